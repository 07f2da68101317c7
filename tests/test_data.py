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
