import torch

from titlegen.constraints import OnceEach, TitleConstraints, open_brackets
from titlegen.known import KnownNumbers, KnownWords, WholeNames
from titlegen.vocabulary import Vocabulary

SURFACES = ["", "", "勇者", "の", "剣", "「", "」", "者の", " ", "『", "』", "長い長い題"]
END, START = 1, 0


def allowed(text_ids, **options):
    options = {"prefix": "", "character_range": (1, 20), "forbidden": ()} | options
    constraints = TitleConstraints(Vocabulary(SURFACES), END, 1, **options)
    scores = constraints(torch.tensor([[START, *text_ids]]), torch.zeros(1, len(SURFACES)))
    return {i for i, score in enumerate(scores[0].tolist()) if score == 0}


def test_a_title_ends_only_between_its_bounds():
    assert END not in allowed([2], character_range=(3, 20))
    assert END in allowed([2, 3], character_range=(3, 20))
    assert allowed([2, 3], character_range=(1, 3)) == {END}


def test_brackets_open_and_close_in_order():
    assert 6 not in allowed([2])
    assert 6 not in allowed([5]), "an empty pair says nothing"
    assert END not in allowed([5, 2]) and 6 in allowed([5, 2]) and 10 not in allowed([5, 2])
    assert open_brackets("「『」』") is None and open_brackets("【悲報】「") == ["「"]


def test_room_is_kept_for_the_closing_bracket():
    assert allowed([5, 2, 3], character_range=(1, 5)) == {6}
    assert 5 not in allowed([2], character_range=(1, 4))


def test_a_forbidden_word_is_caught_however_it_is_cut():
    assert 2 not in allowed([], forbidden=("勇者",))
    assert 4 not in allowed([2, 3], forbidden=("者の剣",)) and 4 not in allowed([7], forbidden=("者の剣",))
    assert 4 in allowed([2], forbidden=("者の剣",))


def test_the_prefix_counts():
    assert END in allowed([3], prefix="勇者と仲間", character_range=(6, 20))
    assert 6 in allowed([2], prefix="「") and END not in allowed([2], prefix="「")


def test_spaces_stand_only_between_words():
    assert 8 not in allowed([]) and 8 not in allowed([2, 8]) and 8 in allowed([2])


def test_there_is_always_a_way_on():
    assert allowed([2], character_range=(2, 2), forbidden=("勇",)) == {END}


def test_a_bracket_is_closed_in_whatever_width_the_vocabulary_has_it():
    surfaces = ["", "", "薬", ")", "】"]
    constraints = TitleConstraints(Vocabulary(surfaces), END, 1, "令嬢（", (1, 20))
    scores = constraints(torch.tensor([[START, 2]]), torch.zeros(1, 5))[0]
    assert scores[3] == 0 and scores[4] == -float("inf") and scores[END] == -float("inf")
    assert open_brackets("令嬢（薬)") == [] and open_brackets("[薬］") == [] and open_brackets("(薬］") is None


def test_the_beginning_alone_is_no_title():
    assert END not in allowed([], prefix="勇者の剣") and END in allowed([2], prefix="勇者の剣")


def test_the_promises_outrank_a_penalty_that_forbids_every_way_on():
    constraints = TitleConstraints(Vocabulary(SURFACES), END, 1, "", (1, 5))
    scores = torch.zeros(1, len(SURFACES))
    scores[0, 6] = -float("inf")  # the closer, say by no_repeat_ngram_size
    assert [i for i, s in enumerate(constraints(torch.tensor([[START, 5, 2, 3]]), scores)[0].tolist()) if s == 0] == [6]


def test_a_word_of_several_tokens_is_one_that_was_read():
    surfaces = ["", "", "松", "尾", "鷹", "の", "古", "尾根"]
    pieces = [3, 4, 7]

    def spelled(*ids, source):
        scores = KnownWords(Vocabulary(surfaces, pieces), 1, [source])(
            torch.tensor([[START, *ids]]), torch.zeros(1, 8)
        )[0]
        return {i for i in pieces if scores[i] == 0}

    assert spelled(2, source="松尾の句") == {3} and spelled(6, source="松尾の古い句") == set()
    assert spelled(2, source="松尾根の松鷹") == {3, 4, 7} and spelled(2, 3, source="松尾鷹") == {4}
    assert spelled(2, source="") == {3, 4, 7}, "without a synopsis every word is free"
    scores = KnownWords(Vocabulary(surfaces, pieces), 1, ["松尾", "松鷹"])(
        torch.tensor([[START, 2]] * 4), torch.zeros(4, 8)
    )
    assert [[i for i in pieces if row[i] == 0] for row in scores] == [[3], [3], [4], [4]]


def test_a_name_is_finished_as_the_synopsis_has_it():
    surfaces = ["", "", "オルソ", "ラ", "ン", "は", "スキル", "ツリー", "ト", "ソラ", "ツ", "リー"]
    vocabulary = Vocabulary(surfaces, [3, 4, 8, 11])

    def follows(*ids, sources):
        scores = torch.zeros(len(sources), len(surfaces))
        kept = WholeNames(vocabulary, sources)(torch.tensor([[START, *ids]] * len(sources)), scores)
        return [{i for i in range(len(surfaces)) if row[i] == 0} for row in kept]

    everything = set(range(len(surfaces)))
    assert follows(2, sources=["オルソラは", "オルソとラ", "オルガは", ""]) == [{3}] + [everything] * 3
    assert follows(2, sources=["オルソラとオルソン。"]) == [{3, 4}]
    assert follows(5, 2, sources=["オルソラト。"]) == [{3}] and follows(2, 3, sources=["オルソラト。"]) == [{8}]
    assert follows(6, 2, sources=["スキルのオルソラ\n"]) == [{3}], (
        "after another katakana word, at the end of a synopsis"
    )
    assert follows(2, sources=["オルソラは\n題はオルソ"]) == [{3}], "the beginning stops within the name"
    assert 5 in follows(6, sources=["スキルツリー。"])[0], "a compound may be cut"
    assert follows(10, sources=["ツリーハウス。"]) == [{11}], "one sign is no word"
    assert follows(5, sources=["オルソラは", "オルソラとソラ。"]) == [everything - {9}, everything]
    assert follows(2, 3, sources=["オルソラは"]) == [everything - {9}]


def test_a_number_is_one_that_was_read():
    surfaces = ["", "", "八", "千", "百", "段", "一", "七", "百貨店", "一人"]
    numerals, everything = {2, 3, 4, 6, 7}, set(range(10))

    def follows(*ids, read, scores=None):
        scores = torch.zeros(1, 10) if scores is None else scores
        kept = KnownNumbers(Vocabulary(surfaces), [read])(torch.tensor([[START, *ids]]), scores)[0]
        return {i for i in range(10) if kept[i] == 0}

    assert follows(5, read=[4, 2, 5]) & numerals == {4, 6}, "百 begins 百八, 一 is free"
    assert follows(4, read=[4, 2, 5]) == {2}, "百 has to become 百八"
    assert follows(4, 2, read=[4, 2, 5]) == everything - numerals - {8, 9}
    assert follows(2, read=[4, 2, 5, 2, 3]) == {3} and 5 in follows(4, read=[4, 5, 4, 2])
    assert follows(5, read=[8, 5]) & numerals == {6}, "a numeral inside a word is no number"
    assert follows(5, read=[2, START, 3]) & numerals == {2, 3, 6} and 3 not in follows(2, read=[2, START, 3])
    assert 7 not in follows(6, read=[6, 5]) and follows(7, read=[6]) == follows(read=[]) == everything
    forbidden = torch.zeros(1, 10)
    forbidden[0, 2] = -float("inf")
    assert follows(4, read=[4, 2], scores=forbidden) == everything - {2}, "no dead end"


def test_a_word_stands_once_and_particles_numerals_and_pieces_as_often_as_they_like():
    surfaces = ["", "", "犬", "の", "ソン", "三", "オル"]
    kept = OnceEach(Vocabulary(surfaces, [4]))(torch.tensor([[START, 2, 3, 5], [START, 6, 4, 4]]), torch.zeros(2, 7))
    assert [[i for i in range(7) if row[i] == 0] for row in kept] == [[0, 1, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5]]
    scores = torch.full((1, 7), -float("inf"))
    scores[0, 2] = -1.0
    assert OnceEach(Vocabulary(surfaces, [4]))(torch.tensor([[START, 2]]), scores)[0, 2] == -1.0, "no dead end"
