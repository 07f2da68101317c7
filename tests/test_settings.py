import dataclasses

import pytest

from titlegen.settings import GenerationSettings, SettingsError, controls


def test_every_setting_is_labelled_explained_and_bounded_in_both_languages():
    defaults = GenerationSettings()
    for name, control in controls().items():
        assert set(control.label) == set(control.help) == {"ja", "en"}
        assert all(control.label.values()) and all(control.help.values())
        value = getattr(defaults, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert control.minimum <= value <= control.maximum, name


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": 0}, ("temperature", "0.1 to 2")),
        ({"temperature": float("nan")}, ("temperature",)),
        ({"num_titles": 10, "num_beams": 4}, ("num_titles 10", "num_beams 4")),
        ({"num_titles": 2.5}, ("num_titles", "whole number")),
        ({"num_titles": True}, ("num_titles",)),
        ({"method": "magic"}, ("method", "beam, sample, diverse")),
        ({"prefix": "あ" * 61}, ("prefix", "60")),
        ({"prefix": "あ" * 20, "length": "short"}, ("prefix has 20", "12")),
        ({"min_length": 50, "max_length": 20}, ("min_length asks for 50", "max_length allows 20")),
        ({"early_stopping": "yes"}, ("early_stopping", "true or false")),
        ({"seed": -1}, ("seed",)),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_bounds(values, words):
    with pytest.raises(SettingsError) as error:
        GenerationSettings(**values)
    assert all(word in str(error.value) for word in words)
    assert error.value.messages["ja"] != error.value.messages["en"]


def test_an_unknown_setting_gets_a_suggestion():
    with pytest.raises(SettingsError, match=r"'temprature'.*temperature"):
        GenerationSettings.from_dict({"temprature": 1.0})


def test_whole_numbers_may_come_as_floats_from_sliders_and_json():
    settings = GenerationSettings.from_dict({"num_titles": 3.0, "temperature": 1})
    assert settings.num_titles == 3 and isinstance(settings.num_titles, int) and isinstance(settings.temperature, float)


def test_settings_survive_json():
    settings = GenerationSettings(method="diverse", seed=7, prefix="勇者", forbidden_words="魔王、竜 剣")
    assert GenerationSettings.from_dict(settings.to_dict()) == settings
    assert settings.forbidden == ("魔王", "竜", "剣")


def test_wished_length_and_own_bounds_are_both_kept():
    assert GenerationSettings(length="medium", max_length=20).character_range == (13, 20)


def test_cost_grows_with_everything_that_costs():
    base = GenerationSettings(num_titles=2, num_beams=2)
    assert base.cost(inputs=3) == 3 * base.cost()
    assert base.replace(num_beams=8).cost() == 4 * base.cost()
    assert base.replace(method="diverse").cost() > base.replace(method="sample").cost()


def test_settings_cannot_be_changed_behind_the_checks():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GenerationSettings().seed = 3


def test_forbidden_words_are_the_same_in_every_width():
    assert GenerationSettings(forbidden_words="薬草､ﾕｳｼｬ，〜 ！").forbidden == ("薬草", "ユウシャ", "~", "!")
    for prefix, word in (("ユウシャ", "ﾕｳｼｬ"), ("やった！", "!")):
        with pytest.raises(SettingsError, match="forbidden word"):
            GenerationSettings(prefix=prefix, forbidden_words=word)


def test_a_length_that_cannot_be_kept_names_the_setting_that_asks_for_it():
    for changes, names in (
        ({"length": "long", "max_length": 20}, ("length asks for 35", "max_length allows 20", "「長さ」では35字以上")),
        ({"length": "short", "prefix": "あ" * 14}, ("but length allows 12", "change length")),
        ({"min_length": 9, "max_length": 5}, ("min_length asks for 9", "max_length allows 5")),
    ):
        with pytest.raises(SettingsError) as error:
            GenerationSettings(**changes)
        assert all(name in str(error.value) + error.value.messages["ja"] for name in names), error.value.messages
