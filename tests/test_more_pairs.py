"""More pairs from few: other names for the same story, other titles for the same synopsis."""

import json

import pytest

from training import demo_pairs, other_titles, rename_pairs
from training.data import DataError, load_pairs, read_json_lines, with_all_splits
from training.gap_sentences import GAP, gap_pairs

COMMON = [{"title": f"スキルの話{i}", "synopsis": f"スキルを得た者の第{i}話。"} for i in range(5)]
STORY = {"title": "ルチアーノの灯台守", "synopsis": "スキルのないルチアーノは灯台守になる。ルチアーノの朝は早い。"}
OTHER = {"title": "氷室番とオデット", "synopsis": "氷室番のオデットは夏を待つ。"}


def test_names_change_together_in_title_and_synopsis_and_common_words_stay():
    renamed = list(rename_pairs.renamed_pairs([STORY, OTHER, *COMMON], copies=20, seed=1))
    stories = renamed[::7]
    names = {row["title"].split("の")[0] for row in stories}
    assert names == {"ルチアーノ", "オデット"}  # the rare katakana words of these pairs
    for row in stories:
        name, thing = row["title"].split("の")
        assert row["synopsis"].startswith(f"スキルのない{name}は{thing}になる。{name}の")
    assert {row["title"].split("の")[1] for row in stories} == {"灯台守", "氷室番"}
    assert all(row in COMMON for i, row in enumerate(renamed) if i % 7 > 1)


def test_half_of_a_longer_word_is_not_renamed():
    pairs = [{"title": "アルマ", "synopsis": "アルマとアルマジロの話。"}, OTHER]
    for row in rename_pairs.renamed_pairs(pairs, copies=30, seed=0):
        assert "ジロ" not in row["synopsis"].replace("アルマジロ", "")


def test_the_titles_of_one_synopsis_change_together():
    second = {"title": "待つルチアーノ", "synopsis": STORY["synopsis"]}
    renamed = list(rename_pairs.renamed_pairs([STORY, OTHER, second], 9, 2))
    for first, again in zip(renamed[::3], renamed[1::3], strict=True):
        assert first["synopsis"] == again["synopsis"] and again["title"] == "待つ" + first["title"].split("の")[0]


def test_the_same_seed_gives_the_same_names():
    first, again, other = (list(rename_pairs.renamed_pairs([STORY, OTHER], 10, seed)) for seed in (3, 3, 4))
    assert first == again != other


@pytest.fixture
def pairs_file(tmp_path):
    rows = [{"title": f"題{i}", "synopsis": f"あらすじ{i}。"} for i in range(200)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path, with_all_splits(load_pairs(str(path)), 0.05, 0.05)


def run(tool, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["tool", *map(str, arguments)])
    tool.main()


def test_only_training_pairs_are_renamed(pairs_file, tmp_path, monkeypatch):
    path, splits = pairs_file
    run(rename_pairs, monkeypatch, "--pairs", path, "--copies", 2, "--out", tmp_path / "out.jsonl")
    written = [row["title"] for row in read_json_lines(tmp_path / "out.jsonl")]
    assert len(splits["test"]) and written == list(splits["train"]["title"]) * 2


def test_other_titles_become_pairs_and_held_out_ones_are_refused(pairs_file, tmp_path, monkeypatch):
    path, splits = pairs_file
    titles, out = tmp_path / "titles.jsonl", tmp_path / "out.jsonl"
    own = splits["train"][3]
    row = {"title": own["title"], "others": ["別の題", "もう一つの題"]}
    titles.write_text(json.dumps(row, ensure_ascii=False), "utf-8")
    run(other_titles, monkeypatch, "--pairs", path, "--titles", titles, "--out", out)
    written = list(read_json_lines(out))
    assert written == [{"title": title, "synopsis": own["synopsis"]} for title in row["others"]]

    for title, others, words in (
        (own["title"], [splits["test"][0]["title"]], "is held out"),
        (splits["test"][0]["title"], ["別の題"], "No training pair has the title"),
    ):
        titles.write_text(json.dumps({"title": title, "others": others}, ensure_ascii=False), "utf-8")
        with pytest.raises(DataError, match=words):
            run(other_titles, monkeypatch, "--pairs", path, "--titles", titles, "--out", out)


def test_one_sentence_of_a_synopsis_is_taken_out_and_becomes_the_title():
    synopsis = (
        "灯台守のルチアーノは朝が早い。\n「霧が出るぞ！」と叫んで鐘を鳴らす。誰も聞いていない。ある日、鐘が鳴り返した。"
    )
    rows = list(gap_pairs([synopsis] * 30, seed=1))
    assert len(rows) == 30 and len({row["title"] for row in rows}) > 1
    for row in rows:
        assert row["synopsis"].count(GAP) == 1 and row["synopsis"].replace(GAP, row["title"]) == synopsis
    assert rows == list(gap_pairs([synopsis] * 30, seed=1))
    assert list(gap_pairs(["二つの文しかない話。それだけで終わる。", ""], seed=1)) == []


@pytest.mark.parametrize("step", [2, 3, 4])
def test_the_embedded_model_never_sees_a_held_out_pair(step, monkeypatch):
    monkeypatch.setattr(demo_pairs, "GENERATED", {2: (0, 50), 3: (20, 40), 4: (0, 0)})
    train = [STORY, OTHER, *COMMON]
    others = {STORY["title"]: ["灯台守の朝", "誰もいない灯台"]}
    rows = demo_pairs.demo_pairs(step, train, others, held_out={"とっておきの題"})
    expected = {2: 50 + len(train) * 6, 3: 20 + (len(train) + 2) * 7, 4: (len(train) + 2) * 2}
    assert len(rows) == expected[step] and all(set(row) == {"title", "synopsis"} for row in rows)
    assert ({"title": "誰もいない灯台", "synopsis": STORY["synopsis"]} in rows) == (step > 2)
    assert rows == demo_pairs.demo_pairs(step, train, others, held_out={"とっておきの題"})
    known = {pair["title"] for pair in train} | set(others[STORY["title"]])
    unseen = next(row["title"] for row in rows if row["title"] not in known)
    assert unseen not in [row["title"] for row in demo_pairs.demo_pairs(step, train, others, held_out={unseen})]


def test_preferences_come_as_they_are_and_under_other_names():
    train = [STORY, OTHER, *COMMON]
    said = [{"of": STORY["title"], "liked": "灯台守ルチアーノ", "rejected": "ルチアーノの灯台の灯台"}]
    rows = demo_pairs.preferences(train, said, held_out={"とっておきの題"})
    own = {"synopsis": STORY["synopsis"], "title": said[0]["liked"], "rejected": said[0]["rejected"]}
    assert len(rows) == 2 and own in rows and rows[0] != rows[1]
    for row in rows:
        name = row["title"].removeprefix(row["title"][:3])
        assert name in row["synopsis"] and row["rejected"].startswith(name)
    cut = [said[0] | {"rejected": "ルチアの灯台"}]
    assert len(demo_pairs.preferences(train, cut, held_out=set())) == 1, "a cut name cannot be renamed"
    with pytest.raises(DataError, match="no training pair"):
        demo_pairs.preferences(train, [said[0] | {"of": "知らない題"}], held_out=set())
    with pytest.raises(DataError, match="is held out"):
        demo_pairs.preferences(train, said, held_out={"灯台守ルチアーノ"})


def test_the_folder_of_preferences_has_no_rejected_title_among_the_held_out_pairs(pairs_file, tmp_path, monkeypatch):
    splits = pairs_file[1]
    said = {"of": splits["train"][0]["title"], "liked": "よい題", "rejected": "だめな題"}
    (tmp_path / "preferences.jsonl").write_text(json.dumps(said, ensure_ascii=False), "utf-8")
    monkeypatch.setattr(demo_pairs, "ORIGINAL", tmp_path)
    demo_pairs.main(["--step", "5", "--out", str(tmp_path / "step")])
    written = load_pairs(str(tmp_path / "step"), rejected_column="rejected")
    assert set(written["train"]["title"]) == {"よい題"} and set(written["train"]["rejected"]) == {"だめな題"}
    assert list(written["test"]["title"]) == list(splits["test"]["title"])


def test_the_folder_of_a_step_holds_the_held_out_pairs_apart(pairs_file, tmp_path, monkeypatch):
    splits = pairs_file[1]
    (tmp_path / "other_titles.jsonl").write_text("", "utf-8")
    monkeypatch.setattr(demo_pairs, "ORIGINAL", tmp_path)
    demo_pairs.main(["--step", "4", "--out", str(tmp_path / "step")])
    written = load_pairs(str(tmp_path / "step"))
    for split in ("validation", "test"):
        assert list(written[split]["title"]) == list(splits[split]["title"])
    assert sorted(written["train"]["title"]) == sorted(list(splits["train"]["title"]) * 2)
