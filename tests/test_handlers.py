"""The page's handlers as plain functions, with a real (tiny) model and no browser."""

import json
import math
import threading
import time
from pathlib import Path

import pytest
import torch
from test_batch import write_input

from titlegen.novelty import KnownTitles
from titlegen.presets import PRESETS
from titlegen.settings import MAX_SYNOPSIS_CHARACTERS, GenerationSettings, SettingsError, controls
from titlegen_ui import api, cards, handlers
from titlegen_ui.controls import NAMES, WORDS, applies, preset_values, settings_from
from titlegen_ui.links import Link, as_curl, as_python, permalink, read_link
from titlegen_ui.model_info import ModelInfo, curve_svg, model_html, model_info
from titlegen_ui.service import ModelNotReady, Result, TitleService
from titlegen_ui.texts import CATALOGUES

SYNOPSIS = "目を覚ますと、剣と魔法の世界で薬屋の看板猫になっていた。"
LONG_WORK = {"method": "sample", "num_titles": 20, "length": "long", "max_length": 100}


@pytest.fixture(scope="module")
def service(pipe):
    service = TitleService(lambda: pipe, lambda p: ModelInfo("models/tiny", "abc", 1, 64)).start()
    service.pipe()
    return service


def values(**changes):
    """The controls' values in order; short titles unless wished otherwise, for tests take time."""
    return list((GenerationSettings().to_dict() | {"max_length": 20} | changes).values())


def last(screens):
    *_, (html, running) = screens
    assert not running
    return html


# ---- writing ---------------------------------------------------------------------------------------------------------


def test_titles_grow_on_the_screen_and_end_as_the_pipeline_writes_them(service, pipe):
    settings = values(method="sample", seed=3, num_titles=3, length="medium")
    screens = list(handlers.write_titles(service, "s", "synopsis", SYNOPSIS, *settings))
    assert any("draft" in html and running for html, running in screens)
    html, running = screens[-1]
    assert not running and "draft" not in html
    for title in pipe(SYNOPSIS, settings=settings_from(settings)):
        assert f'data-title="{title["generated_text"]}"' in html


def test_continuing_a_title_leaves_the_synopsis_out_and_begins_with_the_beginning(service):
    settings = values(prefix="ウマ娘 プリティーダービー", num_titles=2)
    html = last(handlers.write_titles(service, "s", "continue", SYNOPSIS, *settings))
    assert html.count('data-title="ウマ娘 プリティーダービー') == 2 and "看板猫" not in html


@pytest.mark.parametrize(
    ("mode", "synopsis", "changes", "words"),
    [
        ("synopsis", "", {}, "あらすじが空です"),
        ("synopsis", "あ" * (MAX_SYNOPSIS_CHARACTERS + 1), {}, "4,001字"),
        ("synopsis", "あ" * 1_000_000, {}, "1,000,000字"),
        ("synopsis", None, {}, "あらすじが空です"),
        ("synopsis", {"a": 1}, {}, "文字で入れてください"),
        ("continue", SYNOPSIS, {}, "書き出しを入れて"),
        ("synopsis", SYNOPSIS, {"temperature": float("nan")}, "温度"),
        ("synopsis", SYNOPSIS, {"num_titles": 10**9}, "タイトルの数"),
        ("synopsis", SYNOPSIS, {"method": "<script>alert(1)</script>"}, "書き方"),
        ("synopsis", SYNOPSIS, {"prefix": "あ" * 61}, "60字以内"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_in_both_languages(service, mode, synopsis, changes, words):
    html = last(handlers.write_titles(service, "s", mode, synopsis, *values(**changes)))
    assert words in html and 'role="alert"' in html and 'lang="en"' in html
    assert "<script" not in html and "Traceback" not in html


@pytest.mark.parametrize(
    "synopsis",
    [
        "<script>alert(1)</script>物語",
        "\u202e逆さ\u202c",
        "😀👨‍👩‍👧",
        "\x00\x07制御\x1b文字",
        "&lt;b&gt;物語",
        "\ud800壊れた字",
    ],
)
def test_odd_text_is_read_and_shown_as_text(service, synopsis):
    html = last(handlers.write_titles(service, "s", "synopsis", synopsis, *values(num_titles=1)))
    assert "card" in html and "<script" not in html and "<b>物" not in html
    html.encode()  # what cannot be sent would break the answer


def test_an_emptied_number_means_its_default():
    assert settings_from(values(seed=None, top_k=None, max_length=None)) == GenerationSettings()


def test_when_nothing_fits_the_visitor_is_told_what_to_change():
    html = handlers.result_html(Result([], 0.1, False), SYNOPSIS, GenerationSettings(), None)
    assert CATALOGUES["ja"]["nothing"] in html and CATALOGUES["en"]["nothing"].split("the")[0] in html


# ---- stopping ----------------------------------------------------------------------------------------------------------


def test_stop_frees_the_worker_and_keeps_what_is_written(service):
    screens = handlers.write_titles(service, "visitor", "synopsis", SYNOPSIS, *values(**LONG_WORK))
    for html, _ in screens:
        if "draft" in html:
            service.stop("visitor")
            break
    html = last(screens)
    assert CATALOGUES["ja"]["stopped"] in html and "…</p>" in html
    assert service.exclusively(lambda pipe: True)  # the model is free


def test_leaving_the_page_frees_the_worker(service):
    before = time.monotonic()
    screens = handlers.write_titles(service, "visitor", "synopsis", SYNOPSIS, *values(**LONG_WORK))
    while "draft" not in next(screens)[0]:
        pass
    screens.close()  # what Gradio does when a visitor has gone
    watched = service.exclusively(lambda pipe: time.monotonic() - before)
    assert watched < 15 and service._runs == {}


def test_stopping_one_visitor_leaves_another_alone(service):
    with service.visit("one") as one, service.visit("two") as two:
        service.stop("one")
        assert one.is_set() and not two.is_set()
        service.stop("nobody")


def test_two_visitors_at_once_get_the_titles_that_they_get_alone(service):
    settings = [GenerationSettings(method="sample", seed=seed, num_titles=2, max_length=30) for seed in (1, 2)]
    alone = [service.write(SYNOPSIS, s).titles for s in settings]
    together = [None, None]

    def visit(i):
        together[i] = service.write(SYNOPSIS, settings[i]).titles

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert together == alone


# ---- the model's states --------------------------------------------------------------------------------------------------


def test_while_the_model_loads_the_page_says_so_and_then_writes(pipe):
    gate = threading.Event()
    service = TitleService(lambda: gate.wait(30) and pipe).start()
    assert service.state == "loading"
    with pytest.raises(ModelNotReady, match="still loading"):
        service.pipe(timeout=0.01)
    screens = handlers.write_titles(service, "s", "synopsis", SYNOPSIS, *values(num_titles=1, num_beams=1))
    assert CATALOGUES["ja"]["loading"] in next(screens)[0]
    gate.set()
    assert "card" in last(screens) and service.state == "ready"


def test_stop_does_not_wait_for_the_model_to_load(pipe):
    gate = threading.Event()
    service = TitleService(lambda: gate.wait(30) and pipe).start()
    screens = handlers.write_titles(service, "s", "synopsis", SYNOPSIS, *values())
    next(screens)
    threading.Timer(0.2, service.stop, ["s"]).start()
    assert CATALOGUES["ja"]["stopped.nothing"] in last(screens) and service.state == "loading"
    gate.set()


def test_a_model_that_cannot_be_loaded_is_a_sentence_not_a_crash():
    def broken():
        raise OSError("weights /secret/path are broken")

    service = TitleService(broken).start()
    html = last(handlers.write_titles(service, "s", "synopsis", SYNOPSIS, *values()))
    assert service.state == "failed" and "MODEL_ID" in html and "/secret" not in html


def test_a_fault_in_the_model_is_a_sentence_and_the_service_lives_on(pipe):
    class Faulty:
        faults = 1

        def __call__(self, *args, **kwargs):
            if self.faults:
                self.faults = 0
                raise RuntimeError("out of memory at 0xdeadbeef")
            return pipe(*args, **kwargs)

    service = TitleService(Faulty).start()
    first = last(handlers.write_titles(service, "s", "synopsis", SYNOPSIS, *values()))
    assert CATALOGUES["ja"]["failed"] in first and "0xdeadbeef" not in first
    assert "card" in last(handlers.write_titles(service, "s", "synopsis", SYNOPSIS, *values()))


# ---- results -----------------------------------------------------------------------------------------------------------


def test_cards_escape_titles_and_show_score_length_and_novelty():
    known = KnownTitles(["猫は眠る"])
    info = ModelInfo("m", "r", 1, 64, known=known)
    title = {"title": '猫は<b>眠る"', "score": 0.4, "finished": True, "tokens": []}
    html = handlers.result_html(
        Result([title, title | {"title": "猫は眠る"}], 1.0, False), "", GenerationSettings(num_titles=2), info
    )
    assert "<b>眠る" not in html and "&lt;b&gt;眠る&quot;" in html
    assert "40.0%" in html and "badge copy" in html and "badge new" in html


def test_fewer_titles_than_wished_are_explained():
    title = {"title": "猫", "score": 0.4, "finished": True, "tokens": []}
    html = handlers.result_html(Result([title], 1.0, False), "", GenerationSettings(num_titles=5), None)
    assert "1個" in html


def test_japanese_numerals():
    assert [cards.numeral(n) for n in (1, 9, 10, 11, 20)] == ["一", "九", "十", "十一", "二十"]


def test_why_shows_every_token_and_a_row_of_attention_for_each(service):
    html = handlers.why(service, SYNOPSIS, "薬屋の猫")
    assert html.count('data-act="look"') >= 3 and "data-attention" in html
    assert "看板猫" not in html.split('class="source"')[0]


def test_why_without_a_synopsis_and_with_odd_input(service):
    assert CATALOGUES["ja"]["why.no_synopsis"] in handlers.why(service, "", "薬屋の猫")
    assert 'role="alert"' in handlers.why(service, "あ" * 10_000, "猫")
    assert "<script" not in handlers.why(service, SYNOPSIS, "<script>alert(1)</script>" * 100)


def test_attention_is_a_distribution_over_the_synopsis_and_leaves_the_model_as_it_was(service, pipe):
    before = pipe(SYNOPSIS, settings=GenerationSettings(num_titles=2))
    implementation = pipe.model.config._attn_implementation
    found = service.explain(SYNOPSIS, "薬屋の猫", 0.3)
    assert len(found["attention"]) == len(found["tokens"])
    for row in found["attention"]:
        assert len(row) == len(found["source"]) and sum(row) == pytest.approx(1, abs=0.02)
        assert row[0] == row[-1] == 0  # the special tokens
    assert all(0 <= token["probability"] <= 1 and len(token["alternatives"]) == 3 for token in found["tokens"])
    assert pipe.model.config._attn_implementation == implementation
    assert pipe(SYNOPSIS, settings=GenerationSettings(num_titles=2)) == before


def test_the_probabilities_are_those_of_the_training_loss(service, pipe):
    ids = pipe.codec.encode_title("薬屋の猫", 32)
    source = pipe.codec.encode_synopsis(SYNOPSIS, pipe.max_source_tokens)
    loss = pipe.model(input_ids=torch.tensor([source]), labels=torch.tensor([ids])).loss.item()
    tokens = service.explain(SYNOPSIS, "薬屋の猫", 0.3)["tokens"]
    assert len(tokens) == len(ids)
    assert -sum(math.log(token["probability"] + 1e-9) for token in tokens) / len(ids) == pytest.approx(loss, rel=0.05)


def test_programs_get_no_title_that_is_cut_short():
    cut = [{"title": "途中", "score": 0.2, "finished": False}, {"title": "全部", "score": 0.1, "finished": True}]
    assert [title["title"] for title in api._finished(cut)] == ["全部"] and api._finished([]) == []
    with pytest.raises(SettingsError, match="before a title was finished"):
        api._finished(cut[:1])


def test_bert2bert_can_be_explained_too(bert2bert_dir):
    from titlegen import load_pipeline
    from titlegen.explain import explain

    found = explain(load_pipeline(bert2bert_dir, device="cpu"), SYNOPSIS, "薬屋の猫")
    assert sum(found["attention"][0]) == pytest.approx(1, abs=0.02)


def test_compare_shows_four_presets_side_by_side(service):
    html = last(handlers.compare(service, "s", "synopsis", SYNOPSIS, *values(prefix="猫")))
    assert html.count("<section>") == 4 and html.count('data-title="猫') >= 8
    assert "あらすじが空です" in last(handlers.compare(service, "s", "synopsis", "", *values()))


# ---- presets and controls ------------------------------------------------------------------------------------------------


def test_presets_change_the_mood_and_leave_what_people_typed():
    changed = dict(zip(NAMES, preset_values("wild"), strict=True))
    assert changed["temperature"] == PRESETS["wild"].values["temperature"] and changed["method"] == "sample"
    assert all(
        "skip" in str(changed[name]) or "update" in str(changed[name]) for name in (*WORDS, "seed", "num_titles")
    )
    assert len(preset_values("nonsense")) == len(NAMES)


def test_only_controls_that_apply_are_enabled():
    assert applies("num_beams", "beam") and not applies("num_beams", "sample")
    assert applies("temperature", "diverse") and not applies("temperature", "beam")
    assert all(applies("num_titles", method) for method in ("beam", "sample", "diverse"))


# ---- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("synopsis", [SYNOPSIS, "", "改行\nと&記号=%", "とても長い。" * 600, "😀"])
def test_a_link_brings_back_what_made_the_titles(synopsis):
    settings = GenerationSettings(method="sample", seed=42, prefix="猫&", temperature=1.15, early_stopping=False)
    link = Link(synopsis, settings, "user/model", "abc")
    query = permalink(link)
    assert read_link(query) == link and len(query) < 2200
    assert "num_beams" not in query  # it does not apply to sampling


def test_opening_a_link_reproduces_the_titles(service):
    settings = GenerationSettings(method="sample", seed=9, num_titles=2)
    link, message = handlers.open_link(permalink(Link(SYNOPSIS, settings, "models/tiny", "abc")), service.info)
    assert (
        message == "" and service.write(link.synopsis, link.settings).titles == service.write(SYNOPSIS, settings).titles
    )


def test_a_link_of_another_model_says_so_and_a_broken_one_too(service):
    link, message = handlers.open_link("?synopsis=x&model=a&revision=old", service.info)
    assert link.synopsis == "x" and CATALOGUES["ja"]["link.other"] in message
    for query in (
        "?z=%%%",
        "?z=AAAA",
        "?synopsis=x&temperature=hot",
        "?synopsis=x&num_beams=1e9",
        "?synopsis=x&nan=1&top_p=nan",
    ):
        link, message = handlers.open_link(query, service.info)
        assert link is None and 'role="alert"' in message
    assert handlers.open_link("?utm_source=x", service.info) == (None, "")


def test_a_small_link_cannot_unpack_into_a_huge_text():
    import base64
    import zlib

    bomb = base64.urlsafe_b64encode(zlib.compress(b"synopsis=" + b"a" * 50_000_000)).decode()
    with pytest.raises(SettingsError, match="could not be read"):
        read_link(f"?z={bomb}")


def test_the_copied_python_is_a_call_that_gives_the_same_titles(service, pipe):
    settings = GenerationSettings(method="sample", seed=4, num_titles=2, max_length=20)
    code = as_python(Link(SYNOPSIS, settings, "m", "c" * 40), "m")
    call = code.splitlines()[-1]
    assert eval(call, {"pipe": pipe}) == pipe(SYNOPSIS, settings=settings)
    assert f"revision='{'c' * 40}'" in code
    # The fingerprint of a folder is no revision that anybody could load.
    assert "revision" not in as_python(Link(SYNOPSIS, settings, "./models/demo", "0123456789ab"), "./models/demo")


def test_the_copied_curl_survives_quotes():
    code = as_curl(Link('it\'s "here"', GenerationSettings()), api.parameter_names(), base="http://h/")
    assert "it'\\''s" in code and "http://h/gradio_api/call/generate" in code


# ---- batch -------------------------------------------------------------------------------------------------------------


def test_a_file_comes_back_with_titles_and_progress(service, tmp_path):
    path = write_input(tmp_path / "a.jsonl")
    shares, rows = [], []
    for html, done, running in handlers.write_file(service, "s", str(path), *values(num_titles=2, max_length=12)):
        shares += ["--share:80%" in html]
        if done:
            assert not running
            rows = [json.loads(line) for line in Path(done).read_text("utf-8").splitlines()]
    assert any(shares) and len(rows) == 10 and all(row["titles"] for row in rows)


def test_a_batch_can_be_stopped_and_gives_what_is_done(service, tmp_path):
    path = write_input(tmp_path / "a.csv")
    for html, done, running in handlers.write_file(service, "s", str(path), *values(**LONG_WORK | {"num_titles": 1})):
        if "--share:20%" in html:
            service.stop("s")
        if not running:
            assert done.endswith("a_titles.csv") and CATALOGUES["en"]["batch.stopped"].split("{")[0] in html
            assert 3 <= len(Path(done).read_text("utf-8-sig").splitlines()) <= 5


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (None, b"", "先にファイル"),
        ("a.csv", b"\x89PNG\0", "文字のファイルではありません"),
        ("a.jsonl", b'{"synopsis": "x"}\n' * 10_000, "10,000行"),
        ("a.jsonl", b'{"synopsis": "' + b"x" * 5000 + b'"}', "5,000字"),
        ("a.jsonl", b"x" * 3_000_000, "2 MB"),
    ],
)
def test_a_batch_that_cannot_be_done_is_one_sentence(service, tmp_path, name, content, words):
    path = None
    if name:
        path = str(tmp_path / name)
        Path(path).write_bytes(content)
    *_, (html, done, running) = handlers.write_file(service, "s", path, *values())
    assert words in html and 'role="alert"' in html and done is None and not running


# ---- for programs --------------------------------------------------------------------------------------------------------


def test_the_endpoint_has_every_setting_with_its_default_and_its_help():
    import inspect

    generate = api.generate_endpoint(None)
    parameters = inspect.signature(generate).parameters
    assert list(parameters) == ["synopsis", *controls()]
    assert {n: p.default for n, p in parameters.items() if n != "synopsis"} == GenerationSettings().to_dict()
    assert all(f"{name}: {control.help['en']}" in generate.__doc__ for name, control in controls().items())


def test_the_endpoint_says_what_is_wrong_in_one_sentence(service):
    import gradio

    generate = api.generate_endpoint(service)
    with pytest.raises(gradio.Error, match=r"temperature must be a number from 0\.1 to 2"):
        generate(SYNOPSIS, *values(temperature=0))


# ---- the model tab -------------------------------------------------------------------------------------------------------


def test_the_model_tab_shows_what_training_wrote(pipe, model_dir):
    info = model_info(pipe, model_dir)
    html = model_html(info)
    assert f"{pipe.model.num_parameters():,}" in html and len(info.revision) == 12 and info.revision in html
    assert str(model_dir) not in html and "ROUGE-L" in html and 'class="curve"' in curve_svg(info.curve)


def test_the_model_tab_does_without_what_is_missing(pipe, tmp_path):
    assert "<table" not in model_html(model_info(pipe, tmp_path)) and curve_svg([]) == ""


# ---- languages -----------------------------------------------------------------------------------------------------------


def test_both_languages_have_every_text_with_the_same_places_to_fill():
    import re

    assert set(CATALOGUES["ja"]) == set(CATALOGUES["en"])
    for key in CATALOGUES["ja"]:
        assert CATALOGUES["ja"][key] and CATALOGUES["en"][key], key
        ja, en = (sorted(set(re.findall(r"{\w+}", CATALOGUES[lang][key]))) for lang in ("ja", "en"))
        assert ja == en, key


def test_a_settings_error_reaches_the_page_in_both_languages():
    html = cards.error_note(SettingsError("one & two", "一と二"))
    assert "one &amp; two" in html and "一と二" in html
