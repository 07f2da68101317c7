import re

import numpy as np
import pytest
from conftest import PAIRS, run_python
from datasets import Dataset, DatasetDict

from training.clean_rows import CleanBatch
from training.data import DataError, read_json_lines
from training.decide import LeakError, Overview, check, decide
from training.dedup import duplicate_links, kin_links, oldest_of_cluster, signature
from training.split import (
    LEAK,
    SEQUEL,
    TEST,
    TRAIN,
    UNKNOWN,
    VALIDATION,
    SplitPlan,
    assign,
    choose_test_since,
    find_leaks,
    hash64,
    leaking_links,
    main,
)

NONE = np.empty((0, 2), np.int64)
DAY = 24 * 3600
STORIES = [row["synopsis"] for row in read_json_lines(PAIRS)][:400]
TITLES = [row["title"] for row in read_json_lines(PAIRS)][:400]


def hashes(names):
    return np.array([hash64(str(name)) if name is not None else 0 for name in names], np.uint64)


def split(keys, authors=None, times=None, links=NONE, **plan):
    authors = [None] * len(keys) if authors is None else authors
    times = [UNKNOWN] * len(keys) if times is None else times
    return assign(hashes(keys), hashes(authors), np.array(times), np.array(links).reshape(-1, 2), SplitPlan(**plan))


def test_an_author_is_on_one_side_and_the_shares_are_kept():
    authors = [i // 4 for i in range(20_000)]
    codes = split(range(20_000), authors)
    assert all(len(set(codes[i : i + 4])) == 1 for i in range(0, 20_000, 4))
    assert 0.04 < (codes == VALIDATION).mean() < 0.06 and 0.04 < (codes == TEST).mean() < 0.06


def test_the_test_part_is_newer_than_everything_else():
    rng = np.random.default_rng(0)
    authors, times = rng.integers(0, 3000, 5000), rng.integers(0, 1000 * DAY, 5000)
    since = 900 * DAY
    codes = split(range(5000), authors, times, test_since=since)
    assert (codes == TEST).any() and times[codes == TEST].min() >= since
    assert times[(codes == TRAIN) | (codes == VALIDATION)].max() < since
    assert not set(authors[codes == TEST]) & set(authors[(codes == TRAIN) | (codes == VALIDATION)])
    assert (codes == SEQUEL).any()


def test_a_grown_collection_moves_no_work_to_another_split():
    rng = np.random.default_rng(1)
    authors = [int(a) if a < 2500 else None for a in rng.integers(0, 3000, 6000)]
    times = np.sort(rng.integers(0, 1000 * DAY, 6000))
    links = np.array([(i, j) for i, j in rng.integers(0, 6000, (300, 2)) if i < j])
    before = split(range(4000), authors[:4000], times[:4000], links[links[:, 1] < 4000], test_since=600 * DAY)
    after = split(range(6000), authors, times, links, test_since=600 * DAY)
    both = (before >= 0) & (after[:4000] >= 0)
    assert both.mean() > 0.9 and (before[both] == after[:4000][both]).all()


def test_a_work_without_an_author_follows_the_oldest_work_it_resembles():
    keys = range(2000)
    alone = split(keys)
    old = int(np.flatnonzero(alone == TEST)[0])
    new = next(i for i in range(old + 1, 2000) if alone[i] == TRAIN)
    assert split(keys, links=[(old, new)])[new] == TEST


def test_of_two_alike_works_on_two_sides_the_less_guarded_one_is_left_out():
    authors = list(range(2000))
    codes = split(authors, authors)
    train, validation, test = (int(np.flatnonzero(codes == code)[0]) for code in (TRAIN, VALIDATION, TEST))
    parted = split(authors, authors, links=[sorted((train, validation)), sorted((validation, test))])
    assert (parted[train], parted[validation], parted[test]) == (TRAIN, LEAK, TEST) or parted[train] == LEAK


def test_the_test_day_is_the_first_of_a_month_where_that_fits():
    def day(times, authors=None):
        authors = hashes([None] * len(times) if authors is None else authors)
        return choose_test_since(hashes(range(len(times))), authors, np.array(times), 0.05)

    start = 1_704_034_800  # 2024-01-01 in Japan
    year = np.arange(start, start + 366 * DAY, DAY)
    assert day(year) == start + 335 * DAY  # 2024-12-01
    assert day(year[:40]) == start + 38 * DAY  # a month would be a fifth
    assert day(np.full(100, UNKNOWN)) is None and day(np.full(100, start)) is None
    regulars = [i % 40 if i < 330 else 1000 + i for i in range(366)]  # new authors appear at the end only
    assert day(year, regulars) == start + 335 * DAY


def test_near_copies_are_found_and_others_are_not():
    copies = [story.replace("。", "！").replace("は", "が", 1) for story in STORIES[:50]]
    signatures = np.stack([signature("題", story) for story in STORIES + copies])
    links = duplicate_links(signatures)
    found = {(i, j) for i, j in links.tolist()}
    assert len({(i, 400 + i) for i in range(50)} & found) >= 48
    assert not [(i, j) for i, j in found if j != i + 400]
    oldest = oldest_of_cluster(450, links)
    assert (oldest[:400] == np.arange(400)).all() and (oldest[400:] < 400).sum() >= 48


def test_titles_of_a_series_are_kin():
    a, b = "灯台守の娘は海のむこうへ手紙を書く", "灯台守の娘は海のむこうへ手紙を書く　２"
    signatures = np.stack([signature(title, story) for title, story in zip([a, b, "夏"], STORIES, strict=False)])
    assert kin_links(signatures).tolist() == [[0, 1]]


def test_short_texts_are_not_alike_by_chance():
    signatures = np.stack([signature("夏", "夏のお話。"), signature("夏", "夏のお話。")])
    assert not len(kin_links(signatures))


def test_a_run_of_equal_texts_stays_linear():
    signatures = np.repeat(np.stack([signature("灯台守の手紙と海のむこう", STORIES[0])]), 5000, axis=0)
    links = duplicate_links(signatures)
    assert len(links) < 10_000 and (oldest_of_cluster(5000, links) == 0).all()


def pairs_of(rows, **more):
    return Dataset.from_dict({"title": [TITLES[i] for i in rows], "synopsis": [STORIES[i] for i in rows]} | more)


def test_leaks_are_found_and_named():
    clean = DatasetDict(train=pairs_of(range(100)), test=pairs_of(range(100, 120)))
    assert find_leaks(clean) == []
    leaking = DatasetDict(train=pairs_of(range(100)), test=pairs_of([5, 110]))
    assert len(leaks := find_leaks(leaking)) == 1 and "train row 5" in leaks[0] and "test row 0" in leaks[0]
    authors = DatasetDict(train=pairs_of([1, 2], userid=[7, 8]), test=pairs_of([3], userid=[7]))
    assert find_leaks(authors) == ["author 7 is in test and train"]
    codes, signatures = np.array([TRAIN, TEST]), np.stack([signature(TITLES[0], STORIES[0])] * 2)
    assert len(leaking_links(codes, signatures)) == 1


def test_the_check_is_a_command_that_fails_on_a_leak(tmp_path, capsys):
    for folder, rows in (("leaking", [5, 110]), ("clean", [110, 111])):
        for name, part in (("train", range(100)), ("test", rows)):
            pairs_of(part).to_parquet(tmp_path / folder / "data" / f"{name}-00000-of-00001.parquet")
    done = run_python("training/split.py", "--check", tmp_path / "leaking", check=False)
    assert done.returncode == 1 and "train row 5" in done.stdout and "1 leaks" in done.stdout, done.stderr
    assert main(["--check", str(tmp_path / "clean")]) == 0
    assert "0 leaks between train, test (102 rows)" in capsys.readouterr().out


def test_the_check_refuses_what_has_no_texts(tmp_path):
    Dataset.from_dict({"ncode": ["N1"]}).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="title and synopsis"):
        main(["--check", str(tmp_path)])


@pytest.mark.parametrize("what", ["texts", "author"])
def test_a_leak_fails_the_build(what):
    one, other = (signature(TITLES[i], STORIES[i]) for i in range(2))
    signatures = np.stack([one, one if what == "texts" else other])
    authors = np.array([7, 8 if what == "texts" else 7], np.uint64)
    check(np.array([TRAIN, TRAIN], np.int8), authors, signatures)
    with pytest.raises(LeakError, match="Nothing was written"):
        check(np.array([TRAIN, TEST], np.int8), authors, signatures)


def test_counted_without_hashing_no_near_copy_is_left_on_two_sides():
    """The split and its check share MinHash; this counts character pieces in full instead, over every pair of works."""
    rng = np.random.default_rng(2)

    def altered(text, share):
        letters = list(text)
        for place in rng.choice(len(letters), int(share * len(letters)), replace=False):
            letters[place] = "かきくけこ"[rng.integers(5)]
        return "".join(letters)

    rows = [{"synopsis": altered(story, share)} for share in (0.0, 0.02, 0.04, 0.05, 0.06) for story in STORIES]
    rows = [row | {"title": f"題{i}", "ncode": f"N{i}", "userid": i + 1} for i, row in enumerate(rows)]
    overview = Overview()
    overview.add(CleanBatch(rows))
    signatures = np.stack([signature(row["title"], row["synopsis"]) for row in rows])
    codes = decide(overview, signatures, SplitPlan(validation_share=0.25, test_share=0.25)).codes
    kept = np.flatnonzero(np.isin(codes, (TRAIN, VALIDATION, TEST)))
    letters = {i: re.sub(r"\W", "", rows[i]["synopsis"]) for i in kept}
    pieces = {i: {text[k : k + 4] for k in range(len(text) - 3)} for i, text in letters.items()}
    alike = [
        (i, j) for i in kept for j in kept if j < i and len(pieces[i] & pieces[j]) >= 0.7 * len(pieces[i] | pieces[j])
    ]
    assert len(alike) > 20  # near-copies that are not near enough to be dropped
    assert [(i, j) for i, j in alike if codes[i] != codes[j]] == []
    assert all((codes == code).sum() > 30 for code in (TRAIN, VALIDATION, TEST))
