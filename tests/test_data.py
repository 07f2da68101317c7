import gzip
import json
import random

import pytest
from conftest import PAIRS
from datasets import Dataset, DatasetDict

from training.data import DataError, load_pairs, with_all_splits, with_continuations
from training.denoising import corrupt_spans, gap_sentence
from training.tensors import PairCollator, tokenize

ROW = {"title": "赤い竜", "synopsis": "竜がいた。"}


def test_pairs_come_from_any_kind_of_file_or_folder(tmp_path):
    rows = [ROW, {"title": "青い竜", "synopsis": "海にいた。"}]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines)
    (tmp_path / "c.csv").write_text("title,story\n赤い竜,竜がいた。\n青い竜,海にいた。\n", encoding="utf-8-sig")
    Dataset.from_list(rows).to_parquet(tmp_path / "d.parquet")
    DatasetDict(train=Dataset.from_list(rows)).save_to_disk(tmp_path / "e")
    for name in ("a.jsonl", "b.jsonl.gz", "c.csv", "d.parquet", "e"):
        assert load_pairs(str(tmp_path / name))["train"].to_list() == [
            {"title": r["title"], "synopsis": r["synopsis"]} for r in rows
        ], name


@pytest.mark.parametrize("card", ["", "---\nconfigs:\n- config_name: default\n  data_files: train.jsonl\n---\n"])
def test_a_folder_gives_the_rows_it_holds_now_not_those_of_an_earlier_one(tmp_path, card):
    def write(folder, title):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.jsonl").write_text(json.dumps(ROW | {"title": title}, ensure_ascii=False), encoding="utf-8")
        if card:
            (folder / "README.md").write_text(card, encoding="utf-8")
        return load_pairs(str(folder))["train"]["title"][0]

    assert write(tmp_path / "mine", "赤い竜") == "赤い竜"
    assert write(tmp_path / "mine", "青い竜") == "青い竜"
    assert write(tmp_path / "other" / "mine", "白い竜") == "白い竜"
    assert write(tmp_path / "mine", "黒い竜の帰り") == "黒い竜の帰り"


def test_columns_can_be_named(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"head": "題", "body": "本文"}\n', encoding="utf-8")
    pairs = load_pairs(str(tmp_path / "p.jsonl"), title_column="head", synopsis_column="body")
    assert pairs["train"][0] == {"title": "題", "synopsis": "本文"}
    with pytest.raises(DataError, match=r"no column 'title'.*head, body.*--title_column"):
        load_pairs(str(tmp_path / "p.jsonl"))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('{"title": "題", "story": "文"}\n{broken\n', "line 2"),
        ("[1]\n", "line 1"),
        ("", "no pairs"),
        ('{"title": " ", "story": "文"}\n', "no pair with both"),
    ],
)
def test_broken_pairs_are_named_with_file_and_line(tmp_path, content, word):
    (tmp_path / "bad.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=word) as error:
        load_pairs(str(tmp_path / "bad.jsonl"))
    assert "bad.jsonl" in str(error.value)


@pytest.mark.parametrize("source", ["nowhere.jsonl", "./nowhere/", "user/nowhere"])
def test_pairs_that_are_not_there_are_named(source):
    with pytest.raises(DataError, match="nowhere"):
        load_pairs(source)


def test_an_edited_file_is_read_again(tmp_path):
    path = tmp_path / "p.jsonl"
    for title in ("一", "二"):
        path.write_text(json.dumps(ROW | {"title": title}) + "\n", encoding="utf-8")
        assert load_pairs(str(path))["train"]["title"] == [title]


def test_a_pair_keeps_its_split_when_the_data_grows():
    pairs = load_pairs(str(PAIRS))["train"]
    small = with_all_splits(DatasetDict(train=pairs.select(range(300))), 0.1, 0.1)
    large = with_all_splits(DatasetDict(train=pairs), 0.1, 0.1)
    for name in ("train", "validation", "test"):
        assert set(small[name]["title"]) <= set(large[name]["title"]), name
        assert small[name].num_rows
    assert sum(split.num_rows for split in large.values()) == pairs.num_rows


def test_splits_that_are_there_stay():
    given = DatasetDict(train=Dataset.from_list([ROW] * 50), test=Dataset.from_list([ROW]))
    assert with_all_splits(given, 0.0, 0.5)["test"].num_rows == 1


def test_tokenizing_is_cached_and_does_not_depend_on_the_number_of_processes(tokenizer, tmp_path):
    lines = [json.dumps(ROW | {"title": f"赤い竜{i}"}, ensure_ascii=False) for i in range(4100)]
    (tmp_path / "p.jsonl").write_text("\n".join(lines), encoding="utf-8")
    pairs = load_pairs(str(tmp_path / "p.jsonl"))["train"]
    one = tokenize(pairs, tokenizer, 16, 8, workers=1)
    again = tokenize(pairs, tokenizer, 16, 8, workers=2)
    assert one.cache_files == again.cache_files and one.cache_files
    two = tokenize(pairs.select(range(4099)), tokenizer, 16, 8, workers=2)
    assert two.to_list() == one.to_list()[:4099]


def test_a_batch_is_padded_to_its_longest_pair_and_shifted():
    batch = PairCollator(0, 7)([{"input_ids": [2, 5, 3], "labels": [8, 9, 3]}, {"input_ids": [2, 3], "labels": [3]}])
    assert batch["input_ids"].tolist() == [[2, 5, 3], [2, 3, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["decoder_input_ids"].tolist() == [[7, 8, 9], [7, 0, 0]]
    assert batch["decoder_attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[8, 9, 3], [3, -100, -100]]


def test_some_pairs_are_shown_once_more_without_synopsis():
    pairs = Dataset.from_list([ROW | {"title": f"竜{i}"} for i in range(40)])
    grown = with_continuations(pairs, 0.25)
    bare = [row["title"] for row in grown if not row["synopsis"]]
    assert len(grown) == 50 and len(set(bare)) == 10 and grown[:40]["synopsis"] == pairs["synopsis"][:]
    assert with_continuations(pairs, 0.0) is pairs


def test_corrupted_spans_lose_nothing():
    ids, mask = list(range(100, 200)), 4
    for seed in range(20):
        source, target = corrupt_spans(ids, mask, random.Random(seed))
        assert len(source) < len(ids) and target[0] == mask
        assert sorted(n for n in source + target if n != mask) == ids


def test_the_gap_sentence_is_the_one_that_shares_most():
    end = 9
    ids = [*range(20, 26), end, *range(30, 36), end, *range(20, 26), 40, end]
    assert gap_sentence(ids, end, random.Random(0)) in ((0, 7), (14, 22))
    assert gap_sentence([1, 2, end], end, random.Random(0)) is None


def test_all_titles_of_a_synopsis_share_its_split():
    rows = [{"title": f"題{i}の{k}", "synopsis": f"第{i}話のあらすじ。"} for i in range(200) for k in range(4)]
    random.Random(1).shuffle(rows)
    splits = with_all_splits(DatasetDict(train=Dataset.from_list(rows)), 0.2, 0.2)
    synopses = [set(splits[name]["synopsis"]) for name in ("train", "validation", "test")]
    assert all(synopses) and len(set.union(*synopses)) == sum(map(len, synopses)) == 200


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "title,synopsis\n題,前半はここまで,後半はどこへ\n".encode(), "line 2: more cells than the header"),
        ("a.parquet", b"PAR1 but no more", "a.parquet"),
        ("a.jsonl.gz", b"not gzip", "a.jsonl.gz"),
        ("folder/train.jsonl", b'{"title": "a", "synopsis": "b"}\n{"title": ', "folder"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, words):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_pairs(str(path.parent if "/" in name else path))


def test_half_an_emoji_costs_the_half_alone(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"title": "竜\\ud83d", "synopsis": "竜がいた。"}\n', encoding="utf-8")
    assert load_pairs(str(tmp_path / "a.jsonl"))["train"]["title"][0] == "竜"


def test_another_version_of_the_code_tokenizes_anew(tokenizer, tmp_path, monkeypatch):
    pairs = Dataset.from_list([ROW])
    first = tokenize(pairs, tokenizer, 64, 32)
    assert tokenize(pairs, tokenizer, 64, 32)._fingerprint == first._fingerprint
    newer = tmp_path / "text.py"
    newer.write_text("# another version", encoding="utf-8")
    monkeypatch.setattr("titlegen.text.__file__", str(newer))
    assert tokenize(pairs, tokenizer, 64, 32)._fingerprint != first._fingerprint
