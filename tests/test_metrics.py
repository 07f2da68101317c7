import pytest

from training.metrics import TitleMetric, distinct, lead_sentence, words


def compute(predictions, references, known=()):
    return TitleMetric(known_titles=known, keep_in_memory=True).compute(predictions=predictions, references=references)


def test_identical_japanese_titles_score_100():
    scores = compute(["最弱の勇者、世界を救う"], ["最弱の勇者、世界を救う"])
    for name in ("rouge1", "rouge2", "rougeL", "rougeL_characters", "chrf"):
        assert scores[name] == pytest.approx(100), name


def test_titles_that_share_only_a_number_score_low():
    scores = compute(["Re:2 追放された荷物持ちは最強だった"], ["Re:2 海辺で眠る猫と少女に花束を"])
    assert all(scores[name] < 40 for name in ("rouge1", "rougeL", "rougeL_characters", "chrf")), scores


def test_different_titles_score_zero_and_half_matches_half():
    assert compute(["海と空"], ["魔王城"])["rouge1"] == 0
    one, both = compute(["赤い竜"], ["赤い竜"])["rouge1"], compute(["赤い竜", "海と空"], ["赤い竜", "魔王城"])["rouge1"]
    assert both == pytest.approx(one / 2)


def test_variety_length_and_copies_are_counted():
    scores = compute(["赤い竜", "赤い竜"], ["赤い竜の島", "青い竜"], known=["赤い竜"])
    assert scores["copies"] == 100 and scores["mean_length"] == 3 and scores["mean_reference_length"] == 4
    assert scores["distinct_1"] == pytest.approx(50)
    assert distinct(["竜"], 2) == 0


def test_an_empty_title_scores_nothing_and_breaks_nothing():
    assert compute([""], ["赤い竜"])["rouge1"] == 0


def test_words_are_mecab_words():
    assert words("俺は魔王の剣") == ["俺", "は", "魔王", "の", "剣"]


@pytest.mark.parametrize(
    ("synopsis", "lead"),
    [
        ("魔王が来た。皆が逃げた。", "魔王が来た"),
        ("「来るな！」と叫んだ。", "「来るな"),
        ("あ" * 60, "あ" * 40),
        ("短い", "短い"),
    ],
)
def test_the_lead_sentence_is_the_baseline(synopsis, lead):
    assert lead_sentence(synopsis) == lead
