import csv
import io
import json

import pytest
from conftest import run_python

from titlegen.__main__ import main
from titlegen.batch import BatchError, pipeline_writer, read_rows, title_rows, write_rows
from titlegen.settings import GenerationSettings

SYNOPSES = [
    f"{hero}は目を覚ますと見知らぬ森にいた。"
    for hero in ("猫", "竜", "姫", "剣士", "薬師", "商人", "騎士", "魔女", "村人", "王")
]
QUICK = GenerationSettings(num_titles=2, num_beams=2, max_length=12)


def write_input(path, synopses=SYNOPSES, name="synopsis"):
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", name])
            rows.writerows(enumerate(synopses))
    else:
        path.write_text("".join(json.dumps({"id": i, name: s}) + "\n" for i, s in enumerate(synopses)))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("name", ["synopsis", "story", "あらすじ"])
def test_both_kinds_of_file_are_read_with_any_name_of_the_column(tmp_path, suffix, name):
    rows = read_rows(write_input(tmp_path / f"a{suffix}", name=name))
    assert [row[name] for row in rows] == SYNOPSES and [int(row["id"]) for row in rows] == list(range(10))


def test_a_file_of_japanese_excel_is_read(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes('synopsis,備考\r\n"森で、\r\n目が覚めた。",①\r\n'.encode("cp932"))
    assert read_rows(path) == [{"synopsis": "森で、\r\n目が覚めた。", "備考": "①"}]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"synopsis": "x"}\n{broken\n', ("a.jsonl", "line 2", "not JSON")),
        ("a.jsonl", b"[1]\n", ("line 1", "not an object")),
        ("a.jsonl", b"[" * 100_000 + b"\n", ("line 1", "not JSON")),
        ("a.jsonl", b'{"title": "x"}\n', ("no column synopsis or story", "title")),
        ("a.jsonl", b'{"synopsis": "x"}\n{"synopsis": "  "}\n', ("row 2", "empty")),
        ("a.jsonl", b'{"synopsis": 5}\n', ("row 1", "must be text")),
        (
            "a.jsonl",
            '{"synopsis": "猫"}\n'.encode() * 2 + b'{"synopsis": "' + b"a" * 5000 + b'"}\n',
            ("row 3", "5,000"),
        ),
        ("a.jsonl", b'{"synopsis": "x", "n": ' + b"9" * 5000 + b"}\n", ("line 1", "not JSON")),
        ("a.jsonl", b"\n\n", ("no rows",)),
        ("a.csv", b"", ("no rows",)),
        ("a.csv", b"id,synopsis\n1,a,b\n", ("line 2", "cells")),
        ("a.csv", b'id,synopsis\n1,"open\n', ("not CSV",)),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ("not text", ".csv")),
        ("a.xlsx", b"PK", ("a.xlsx", ".jsonl or .csv")),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_with_the_place(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BatchError) as error:
        read_rows(tmp_path / name)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value) and error.value.messages["ja"] != error.value.messages["en"]


def test_more_rows_than_the_limit_are_refused_with_both_numbers(tmp_path):
    path = write_input(tmp_path / "many.jsonl", ["物語。"] * 10_000)
    with pytest.raises(BatchError, match=r"10,000 rows.*200"):
        read_rows(path, limit=200)


def test_every_row_gets_the_titles_that_it_gets_alone(pipe, tmp_path):
    rows = read_rows(write_input(tmp_path / "a.jsonl"))
    for settings in (QUICK, QUICK.replace(method="sample", seed=5)):
        together = [row for batch in title_rows(rows, pipeline_writer(pipe, settings), settings) for row in batch]
        assert [row["id"] for row in together] == list(range(10))
        for row in (together[0], together[7]):
            alone = [title["generated_text"] for title in pipe(row["synopsis"], settings=settings)]
            assert [title["title"] for title in row["titles"]] == alone


def test_csv_gets_columns_that_a_spreadsheet_shows(tmp_path):
    rows = [{"synopsis": "森で、", "titles": [{"title": "「森」", "score": 0.5}, {"title": "=1+1", "score": 0.1}]}]
    rows.append({"synopsis": "海で", "titles": [{"title": "海", "score": 0.3}]})
    write_rows(tmp_path / "b.csv", rows)
    data = (tmp_path / "b.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    first, second = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    assert first["title_1"] == "「森」" and float(first["score_1"]) == 0.5
    assert first["title_2"] == "'=1+1"  # a title must not become a formula
    assert second["title_2"] == ""


def test_the_command_writes_titles_for_a_whole_file(model_dir, tmp_path):
    source, target = write_input(tmp_path / "a.jsonl", SYNOPSES[:3]), tmp_path / "b.jsonl"
    arguments = ["--num_titles", 2, "--num_beams", 2, "--max_length", 12, "--model", model_dir]
    done = run_python("-m", "titlegen", "--input", source, "--output", target, *arguments)
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [row["synopsis"] for row in rows] == SYNOPSES[:3] and "3 rows" in done.stdout
    assert all(0 < len(t["title"]) <= 12 and 0 < t["score"] <= 1 for row in rows for t in row["titles"])


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--temperature", "0"], "temperature must be a number from 0.1 to 2"),
        (["--output", "b.xlsx"], "b.xlsx is not a kind of file"),
        (["--input", "none.jsonl"], "none.jsonl cannot be read"),
        (["--model", "./nowhere"], "No model in folder ./nowhere"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_leaves_nothing_behind(tmp_path, monkeypatch, extra, words):
    monkeypatch.chdir(tmp_path)
    write_input(tmp_path / "a.jsonl", SYNOPSES[:1])
    with pytest.raises(SystemExit) as stopped:
        main(["--input", "a.jsonl", "--output", "b.jsonl", *extra])
    assert words in str(stopped.value.code) and "\n" not in str(stopped.value.code)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_beginning_will_do_where_the_synopsis_is_empty(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"synopsis": ""}\n', encoding="utf-8")
    assert read_rows(path, settings=GenerationSettings(prefix="追放された")) == [{"synopsis": ""}]


@pytest.mark.parametrize("column", ["titles", "title_1", "score_2"])
def test_a_column_that_titles_would_overwrite_is_named(tmp_path, column):
    path = tmp_path / "a.csv"
    path.write_text(f"synopsis,{column}\n猫がいた。,元の題\n", encoding="utf-8")
    with pytest.raises(BatchError, match=f"column {column} already"):
        read_rows(path)
