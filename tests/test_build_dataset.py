import json
import shutil

import pyarrow.parquet as pq
import pytest
from conftest import PAIRS, run_python
from datasets import Dataset, load_dataset
from narou_server import DAY, START, NarouServer, make_work, original_works

from training.build_dataset import main
from training.clean import main as clean
from training.collect import main as collect
from training.data import DataError, load_pairs, read_json_lines
from training.dataset_publish import dataset_tree
from training.decide import BuildError
from training.shards import RawStore
from training.split import find_leaks
from training.trees import PublishError

WORKS = 600


def api_works():
    """Bundled pairs as works of a year, with what the real ones have: notices, copies, an author who goes on."""
    works = original_works(WORKS)
    works[10]["title"] = f"【書籍化決定】{works[10]['title']}"
    works[11]["story"] += "\n\n※カクヨムにも掲載しています。\n毎日更新します。"
    works[12]["story"] = "※お知らせです。"
    copy = make_work(5000, START + 290 * DAY, "べつの題", works[100]["story"] + "！", author=777)
    sequel = make_work(
        5001, START + 299 * DAY, "続きの物語", "むかしの町へ帰った娘は、父の船をもう一度海へ出した。", author=0
    )
    return [*works, copy, sequel]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collected") / "raw"
    with NarouServer(api_works()) as server:
        days = ["--since", "2024-03-01", "--until", "2024-12-31", "--endpoint", server.url, "--pace", "0"]
        assert collect([*days, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "narou"
    main(["--input", str(raw), "--out", str(folder)])
    return folder


def facts_of(folder):
    return json.loads((folder / "build.json").read_text(encoding="utf-8"))


def rows_of(folder):
    return {
        row["ncode"]: row | {"split": path.name.split("-")[0]}
        for path in sorted((folder / "data").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    }


def test_collected_works_become_a_data_set_with_declared_columns(built):
    splits = load_dataset(str(built))
    assert set(splits) == {"train", "validation", "test"}
    train = splits["train"]
    assert train.features["r15"].dtype == "bool" and train.features["points"].dtype == "int64"
    assert {"ncode", "userid", "writer", "keywords", "first_published", "short_story"} <= set(train.column_names)
    works, rows = api_works(), rows_of(built)
    assert not rows[works[10]["ncode"]]["title"].startswith("【")
    assert rows[works[11]["ncode"]]["synopsis"] == original_works(WORKS)[11]["story"]
    assert rows[works[10]["ncode"]]["short_story"] is (works[10]["novel_type"] == 2)
    assert load_pairs(str(built))["train"].column_names == ["title", "synopsis"]


def test_each_row_that_left_is_counted_with_its_reason(built):
    facts, works, rows = facts_of(built), api_works(), rows_of(built)
    dropped = {row["reason"]: row["rows"] for row in facts["dropped"]}
    assert facts["rows_in"] == len(works) and facts["rows_out"] == sum(facts["counts"].values()) == len(rows)
    assert facts["rows_in"] - facts["rows_out"] == sum(dropped.values())
    assert dropped["synopsis_only_notices"] == 1 and dropped["sequel_after_test_day"] >= 1
    assert works[-2]["ncode"] not in rows and dropped["near_duplicate"] >= 1 and works[100]["ncode"] in rows
    report = json.loads((built / "cleaning.json").read_text(encoding="utf-8"))
    assert set(report["dropped_examples"]) == set(dropped)


def test_nothing_leaks_and_the_test_part_is_the_newest(built):
    splits = load_dataset(str(built))
    assert find_leaks(splits) == []
    day = facts_of(built)["test_since"]
    assert min(splits["test"]["first_published"]) >= day
    assert max([*splits["train"]["first_published"], *splits["validation"]["first_published"]]) < day


def test_a_grown_collection_keeps_every_split(raw, built, tmp_path):
    grown = tmp_path / "raw"
    shutil.copytree(raw, grown)
    more = [make_work(6000 + i, START + (301 + i % 4) * DAY, pair["title"], pair["synopsis"], author=9000 + i)
            for i, pair in enumerate(list(read_json_lines(PAIRS))[WORKS : WORKS + 100])]  # fmt: skip
    with NarouServer([*api_works(), *more]) as server:
        days = ["--since", "2024-03-01", "--until", "2025-01-31", "--endpoint", server.url, "--pace", "0"]
        assert collect([*days, "--out", str(grown)]) == 0
    main(["--input", str(grown), "--out", str(tmp_path / "again")])
    before, after = rows_of(built), rows_of(tmp_path / "again")
    assert (
        len(after) >= len(before) + 90 and facts_of(built)["test_since"] == facts_of(tmp_path / "again")["test_since"]
    )
    assert all(after[ncode]["split"] == row["split"] for ncode, row in before.items() if ncode in after)
    assert len(set(before) - set(after)) <= 2


def test_the_same_input_gives_the_same_files(raw, built, tmp_path):
    main(["--input", str(raw), "--out", str(tmp_path / "again"), "--workers", "2"])
    assert rows_of(tmp_path / "again") == rows_of(built)


def test_works_that_were_collected_twice_count_once_with_their_newest_text(raw, tmp_path):
    shutil.copytree(raw, tmp_path / "raw")
    work = next(iter(RawStore(raw).rows()))
    with RawStore(tmp_path / "raw", writable=True) as store:
        store.append([work | {"title": "新しくつけた題"}], None, 1)
    main(["--input", str(tmp_path / "raw"), "--out", str(tmp_path / "out")])
    assert rows_of(tmp_path / "out")[work["ncode"]]["title"] == "新しくつけた題"
    assert {"reason": "older_version", "rows": 1}.items() <= next(
        row for row in facts_of(tmp_path / "out")["dropped"] if row["reason"] == "older_version"
    ).items()


def test_marked_works_are_left_out_on_request(raw, tmp_path):
    main(["--input", str(raw), "--out", str(tmp_path / "out"), "--drop", "r15", "cruel"])
    assert not any(row["r15"] for row in rows_of(tmp_path / "out").values())


def test_a_build_deletes_nothing_that_no_build_wrote(raw, tmp_path):
    out = tmp_path / "out"
    main(["--input", str(raw), "--out", str(out)])
    (tmp_path / "out.old").mkdir()
    (tmp_path / "out.old" / "mine.md").write_text("mine")
    main(["--input", str(raw), "--out", str(out)])  # a second build replaces the first
    assert (tmp_path / "out.old" / "mine.md").read_text() == "mine"
    (out / "notes.md").write_text("mine")
    with pytest.raises(BuildError, match=r"notes\.md, which no build wrote"):
        main(["--input", str(raw), "--out", str(out)])
    (out / "notes.md").unlink()
    facts = json.loads((out / "build.json").read_text())
    (out / "build.json").write_text(json.dumps(facts | {"version": 99}))
    with pytest.raises(BuildError, match="version 99"):
        main(["--input", str(raw), "--out", str(out)])


def test_a_build_is_not_published_over_itself_and_an_unknown_licence_is_told_first(raw, tmp_path):
    out = str(tmp_path / "out")
    for options, words in (
        (["--push_to_hub", out], "own folder"),
        (["--push_to_hub", "u/n", "--license", "gnu"], "gnu"),
    ):
        with pytest.raises(PublishError, match=words):
            main(["--input", str(raw), "--out", out, *options])
    assert not (tmp_path / "out").exists()


def test_works_on_the_removal_list_are_nowhere(raw, tmp_path):
    works = api_works()
    removed = tmp_path / "removal_list.txt"
    removed.write_text(f"{works[12]['ncode'].lower()}  # on request\nuserid {works[30]['userid']}\n", encoding="utf-8")
    pushed = tmp_path / "pushed"
    options = ["--removal_list", str(removed), "--push_to_hub", str(pushed), "--publish", "text"]
    main(["--input", str(raw), "--out", str(tmp_path / "out"), *options, "--i_may_publish_these_texts"])
    gone = {work["ncode"] for work in works if work["userid"] == works[30]["userid"]} | {works[12]["ncode"]}
    assert not gone & set(rows_of(tmp_path / "out")) and not gone & set(rows_of(pushed))
    for file in [*(tmp_path / "out").glob("*.*"), *pushed.glob("*.*")]:
        if file.suffix in (".md", ".json"):
            assert works[30]["title"] not in file.read_text(encoding="utf-8")
    removed.write_text("please remove me\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"removal_list\.txt, line 1"):
        main(["--input", str(raw), "--out", str(tmp_path / "out"), "--removal_list", str(removed)])


def test_works_removed_after_the_build_are_not_published_with_it(built, tmp_path, monkeypatch):
    removed = next(iter(rows_of(built)))
    (tmp_path / "removed.txt").write_text(f"{removed}\n", encoding="utf-8")
    monkeypatch.setattr("training.works.REMOVAL_LIST", tmp_path / "removed.txt")
    with pytest.raises(PublishError, match="on the removal list by now"):
        dataset_tree(built, "user/name", "ids", "other", tmp_path)


def test_numbers_are_published_by_default_and_rebuild_the_texts(raw, built, tmp_path, capsys):
    ids = tmp_path / "ids"
    main(["--input", str(raw), "--out", str(tmp_path / "out"), "--push_to_hub", str(ids)])
    table = pq.read_table(ids / "data" / "train-00000-of-00001.parquet")
    assert table.column_names == ["ncode", "sha256"]
    card = (ids / "README.md").read_text(encoding="utf-8")
    assert "numbers only" in card and "rebuild --ids" in card and "removal list" in card
    texts = [work["title"] for work in api_works()]
    for file in ids.iterdir():
        if file.suffix in (".md", ".json"):
            assert not any(title in file.read_text(encoding="utf-8") for title in texts)

    works = api_works()
    changed, gone = works[40], works[41]
    present = [
        w | ({"story": "まったく新しいあらすじを、あとから書き直した話。"} if w is changed else {})
        for w in works
        if w is not gone
    ]
    with NarouServer(present, fail_share=0.2) as server:
        options = ["--endpoint", server.url, "--pace", "0"]
        main(["rebuild", "--ids", str(ids), "--out", str(tmp_path / "mine"), *options])
        assert all(len(query["ncode"].split("-")) <= 200 for query in server.requests)
    before, after = rows_of(built), rows_of(tmp_path / "mine")
    assert after == {n: row for n, row in before.items() if n not in (changed["ncode"], gone["ncode"])}
    said = capsys.readouterr()
    assert "1 are gone" in said.err and "1 have another text" in said.err
    main(["rebuild", "--ids", str(ids), "--input", str(raw), "--out", str(tmp_path / "from_raw")])
    assert rows_of(tmp_path / "from_raw") == before and "other rules" not in said.err + capsys.readouterr().err


def test_rebuilding_with_other_rules_than_the_publisher_s_is_told(raw, tmp_path, capsys):
    rules = tmp_path / "mine.yaml"
    rules.write_text("rules:\n  stars:\n    kind: span\n    where: title\n    patterns: ['★+']\n", "utf-8")
    ids = tmp_path / "ids"
    main(["--input", str(raw), "--out", str(tmp_path / "out"), "--rules", str(rules), "--push_to_hub", str(ids)])
    command = ["rebuild", "--ids", str(ids), "--input", str(raw), "--out", str(tmp_path / "again")]
    main(command)
    assert "cleaned by other rules" in capsys.readouterr().err
    main([*command, "--rules", str(rules)])
    assert "other rules" not in capsys.readouterr().err


def test_texts_are_handed_on_only_with_the_duty_accepted(raw, tmp_path, capsys):
    target = tmp_path / "pushed"
    command = ["--input", str(raw), "--out", str(tmp_path / "out"), "--push_to_hub", str(target), "--publish", "text"]
    with pytest.raises(SystemExit):
        main(command)
    assert "--i_may_publish_these_texts" in capsys.readouterr().err and not target.exists()
    main([*command, "--i_may_publish_these_texts"])
    assert rows_of(target) == rows_of(tmp_path / "out")
    assert load_pairs(str(target))["train"].num_rows == facts_of(target)["counts"]["train"]
    card = (target / "README.md").read_text(encoding="utf-8")
    assert (
        "belong to the authors" in card
        and "license: other" in card
        and f"| train | {facts_of(target)['counts']['train']} |" in card
    )
    with pytest.raises(PublishError, match="other files"):
        main(["--input", str(raw), "--out", str(tmp_path / "out"), "--push_to_hub", str(tmp_path)])


def test_any_pairs_go_the_same_way(tmp_path):
    rows = [{"head": r["title"], "body": r["synopsis"]} for r in list(read_json_lines(PAIRS))[:300]]
    Dataset.from_list(rows).to_parquet(tmp_path / "pairs.parquet")
    columns = ["--title_column", "head", "--synopsis_column", "body"]
    main(["--input", str(tmp_path / "pairs.parquet"), *columns, "--out", str(tmp_path / "out")])
    splits = load_dataset(str(tmp_path / "out"))
    assert splits["train"].column_names == ["title", "synopsis"] and sum(map(len, splits.values())) > 280
    with pytest.raises(PublishError, match="no ncode"):
        main(["--input", str(tmp_path / "pairs.parquet"), *columns, "--out", str(tmp_path / "out"),
              "--push_to_hub", str(tmp_path / "ids")])  # fmt: skip
    assert not (tmp_path / "ids").exists()


def test_a_column_that_only_shares_its_name_with_one_of_the_site_is_not_taken_for_it(tmp_path):
    rows = [row | {"genre": "宇宙SF", "points": i} for i, row in enumerate(list(read_json_lines(PAIRS))[:200])]
    Dataset.from_list(rows).to_json(tmp_path / "pairs.jsonl", force_ascii=False)
    main(["--input", str(tmp_path / "pairs.jsonl"), "--out", str(tmp_path / "out")])
    train = load_dataset(str(tmp_path / "out"))["train"]
    assert train.column_names == ["title", "synopsis", "points"] and set(train["points"]) <= set(range(200))


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"--input": "nowhere.jsonl"}, DataError, "nowhere.jsonl"),
        ({"--title_column": "head"}, DataError, "no column 'head'; it has title, synopsis"),
        ({"--test_since": "soon"}, BuildError, "2024-12-01"),
        ({"--removal_list": "none.txt"}, DataError, "no such removal list"),
        ({"--push_to_hub": "a/b/c"}, PublishError, "user/name"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_written(tmp_path, change, error, word):
    (tmp_path / "p.jsonl").write_text(
        '{"title": "灯台", "synopsis": "灯台守の娘が海へ手紙を流す話。"}\n', encoding="utf-8"
    )
    options = {"--input": str(tmp_path / "p.jsonl"), "--out": str(tmp_path / "out")} | change
    with pytest.raises(error, match=word):
        main([part for option in options.items() for part in option])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.jsonl"]


def test_parts_that_were_cleaned_on_other_machines_give_the_same_data_set(tmp_path):
    lines = PAIRS.read_text("utf-8").splitlines(keepends=True)[:120]
    (tmp_path / "whole.jsonl").write_text("".join(lines), "utf-8")
    (tmp_path / "parts").mkdir()
    for number, part in enumerate((lines[:70], lines[70:])):
        (tmp_path / "part.jsonl").write_text("".join(part), "utf-8")
        clean(["--input", str(tmp_path / "part.jsonl"), "--out", str(tmp_path / str(number))])
        shutil.move(tmp_path / str(number) / "pairs.jsonl", tmp_path / "parts" / f"{number}.jsonl")
    for source, out in (("whole.jsonl", "one"), ("parts", "many")):
        main(["--input", str(tmp_path / source), "--out", str(tmp_path / out)])
    one, many = (load_dataset(str(tmp_path / out)) for out in ("one", "many"))
    assert {name: sorted(map(str, split)) for name, split in one.items()} == {
        name: sorted(map(str, split)) for name, split in many.items()
    }


def test_what_another_s_folder_holds_is_not_built_upon(tmp_path):
    diary = tmp_path / "mine.building" / "diary.txt"
    diary.parent.mkdir()
    diary.write_text("precious", "utf-8")
    with pytest.raises(FileExistsError, match="was not written by this command"):
        main(["--input", str(PAIRS), "--out", str(tmp_path / "mine")])
    assert diary.read_text("utf-8") == "precious"


def test_a_removal_list_finds_numbers_however_a_table_writes_them(tmp_path, capsys):
    rows = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()[:60]]
    texts = "".join(
        f'"{row["title"]}","{row["synopsis"]}",{"" if not i else f"{i}.0"},n{i:04}ab \n'
        for i, row in enumerate(rows)
        if '"' not in row["title"] + row["synopsis"]
    )
    (tmp_path / "rows.csv").write_text("title,synopsis,userid,ncode\n" + texts, "utf-8")
    (tmp_path / "removed.txt").write_text("userid 7\nN0009AB\n", "utf-8")
    options = ["--input", str(tmp_path / "rows.csv"), "--removal_list", str(tmp_path / "removed.txt")]
    main([*options, "--out", str(tmp_path / "out")])
    report = json.loads((tmp_path / "out" / "cleaning.json").read_text("utf-8"))
    dropped = {row["reason"]: row["rows"] for row in report["dropped"]}
    assert dropped["removed_on_request"] == 2
    with pytest.raises(BuildError, match=r"no column .r15."):
        main([*options, "--out", str(tmp_path / "other"), "--drop", "r15", "--drop", "cruel"])


def test_load_dataset_notices_that_a_build_is_another_one(tmp_path):
    rows = list(read_json_lines(PAIRS))[:300]
    for part in (rows[:150], rows[150:]):
        Dataset.from_list(part).to_parquet(tmp_path / "pairs.parquet")
        main(["--input", str(tmp_path / "pairs.parquet"), "--out", str(tmp_path / "out")])
        train = load_dataset(str(tmp_path / "out"))["train"]  # as a reader calls it
        assert set(train["title"]) <= {row["title"] for row in part}


def test_an_earlier_build_is_replaced_whole_and_other_folders_are_left_alone(raw, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x", encoding="utf-8")
    with pytest.raises(FileExistsError, match="not written by this command"):
        main(["--input", str(raw), "--out", str(tmp_path / "mine")])
    out = tmp_path / "out"
    main(["--input", str(raw), "--out", str(out)])
    (tmp_path / "bad.jsonl").write_text('{"title": "x", "synopsis": "y"}\n', encoding="utf-8")
    before = rows_of(out)
    with pytest.raises(BuildError, match="is left"):
        main(["--input", str(tmp_path / "bad.jsonl"), "--out", str(out)])
    assert rows_of(out) == before and {p.name for p in tmp_path.iterdir()} == {"mine", "out", "bad.jsonl"}


def test_the_command_ends_with_a_sentence_and_no_traceback(tmp_path):
    done = run_python("training/build_dataset.py", "--input", "none.csv", "--out", tmp_path / "out", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: No pairs at none.csv")
