"""Train, validation and test, so that no author, sequel or near-copy sits on two sides.

    python training/split.py --check data/narou      # exit status 1 and the pairs that leak, if any do

An author's works go together. Test are the works first published from a fixed day on, by authors who have none before
it; what others published from that day on is left out (it would tell of works in train). Validation is a share of the
remaining authors by a hash of their number. Where the author is not known, a work goes by a hash of its own key and
follows the oldest work it resembles. All of it depends on a work, its author and older works only: when a collection
grows, a work keeps its split or leaves the data set, it never changes sides.
"""

import argparse
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import xxhash
from datasets import DatasetDict

from training.collect import JST
from training.data import DataError, load_splits
from training.dedup import kin_links, signature

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
SEQUEL, LEAK = -1, -2  # left out: by an author of the other side, or too like a work of another split
UNKNOWN = np.iinfo(np.int64).min  # time of a work whose day is not known


@dataclass(frozen=True)
class SplitPlan:
    """How to split. `test_since` (unix seconds) is fixed with the first build and kept by later ones."""

    validation_share: float = 0.05
    test_share: float = 0.05
    test_since: int | None = None


def hash64(text: str) -> int:
    """Return a hash that is the same in every process and on every computer."""
    return xxhash.xxh3_64_intdigest(text.encode())


def first_second(day: date) -> int:
    """Return the unix time at which a day begins in Japan."""
    return int(datetime(day.year, day.month, day.day, tzinfo=JST).timestamp())


def choose_test_since(keys: np.ndarray, authors: np.ndarray, times: np.ndarray, share: float) -> int | None:
    """Return the first day of a month, or a day, from which on new authors published about `share` of the works.

    At most three times as many works are that new (the others go on with what older works tell, and are left out).
    None where the works have no times, or stand too close together for a day to part them.
    """
    known = times != UNKNOWN
    if known.sum() < 20 or not share:
        return None
    debuts = np.sort(_debuts(np.where(authors == 0, keys, authors), times)[known])
    ordered = np.sort(times[known])
    wanted = max(debuts[int(len(debuts) * (1 - share))], ordered[int(len(ordered) * max(0, 1 - 3 * share))])
    day = datetime.fromtimestamp(int(wanted), JST).date()
    for start in (day.replace(day=1), day, day + timedelta(days=1)):
        since = first_second(start)
        if 0 < (ordered >= since).mean() <= 3 * share and ordered[0] < since:
            return since
    return None


def assign(keys: np.ndarray, authors: np.ndarray, times: np.ndarray, links: np.ndarray, plan: SplitPlan) -> np.ndarray:
    """Return the split of each row: TRAIN, VALIDATION, TEST, or SEQUEL or LEAK for what is left out.

    Args:
        keys: hash of each work's own key, oldest work first.
        authors: hash of each author, 0 where not known.
        times: first publication, unix seconds, UNKNOWN where not known.
        links: pairs of rows that must not be parted (`dedup.kin_links`).
    """
    groups = np.where(authors == 0, keys, authors)
    codes = _by_hash(groups, plan)
    if plan.test_since is not None:
        codes = _by_time(codes, groups, times, plan)
    _follow_the_oldest(codes, authors == 0, links)
    return _part_kin(codes, links)


def _by_hash(groups: np.ndarray, plan: SplitPlan) -> np.ndarray:
    place = groups.astype(np.float64) / 2**64
    test = 0.0 if plan.test_since is not None else plan.test_share
    codes = np.where(place < test + plan.validation_share, VALIDATION, TRAIN)
    return np.where(place < test, TEST, codes).astype(np.int8)


def _by_time(codes: np.ndarray, groups: np.ndarray, times: np.ndarray, plan: SplitPlan) -> np.ndarray:
    new_work, new_author = times >= plan.test_since, _debuts(groups, times) >= plan.test_since
    return np.where(new_author, TEST, np.where(new_work, SEQUEL, codes)).astype(np.int8)


def _debuts(groups: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return for each work when its author first published; unknown days count as long ago."""
    _, member = np.unique(groups, return_inverse=True)
    debut = np.full(member.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(debut, member, times)  # UNKNOWN is the smallest number
    return debut[member]


def _follow_the_oldest(codes: np.ndarray, alone: np.ndarray, links: np.ndarray) -> None:
    """Put a work without a known author where the oldest work it resembles is, oldest first."""
    for older, newer in links[np.lexsort((-links[:, 0], links[:, 1]))]:
        if alone[newer] and codes[newer] >= 0 and codes[older] >= 0:
            codes[newer] = codes[older]  # the last link of a row is the one to its oldest relative


def _part_kin(codes: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Leave out what resembles a work of a more guarded split: train gives way to validation, both to test."""
    codes = codes.copy()
    for guarded in (TEST, VALIDATION):
        for a, b in ((0, 1), (1, 0)):
            leaks = (codes[links[:, a]] == guarded) & (codes[links[:, b]] >= 0) & (codes[links[:, b]] < guarded)
            codes[links[leaks, b]] = LEAK
    return codes


def leaking_links(codes: np.ndarray, signatures: np.ndarray) -> np.ndarray:
    """Return the pairs of rows that resemble each other and sit in different splits."""
    kept = np.flatnonzero(codes >= 0)
    links = kept[kin_links(signatures[kept])]
    return links[codes[links[:, 0]] != codes[links[:, 1]]]


def find_leaks(pairs: DatasetDict) -> list[str]:
    """Return a sentence for each author and each two similar works that sit in different splits."""
    rows = [(name, i) for name in pairs for i in range(len(pairs[name]))]
    codes = np.array([list(pairs).index(name) for name, _ in rows])
    texts = ((t, s) for split in pairs.values() for t, s in zip(split["title"], split["synopsis"], strict=True))
    signatures = np.stack([signature(title, synopsis) for title, synopsis in texts])
    leaks = [
        " resembles ".join(f"{rows[k][0]} row {rows[k][1]} ({pairs[rows[k][0]][rows[k][1]]['title']})" for k in link)
        for link in leaking_links(codes, signatures).tolist()
    ]
    authors: dict[int, set[str]] = {}
    for name, split in pairs.items():
        for author in set(split["userid"]) - {None} if "userid" in split.column_names else ():
            authors.setdefault(author, set()).add(name)
    return leaks + [f"author {a} is in {' and '.join(sorted(s))}" for a, s in authors.items() if len(s) > 1]


def main(argv: list[str] | None = None) -> int:
    """Check a data set for leaks; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", required=True, help="folder or Hub id of a data set with title and synopsis")
    pairs = load_splits(parser.parse_args(argv).check)
    if not all({"title", "synopsis"} <= set(split.column_names) for split in pairs.values()):
        raise DataError("The check reads the columns title and synopsis; this data set has not both of them.")
    leaks = find_leaks(pairs)
    for leak in leaks[:20]:
        print(leak)
    print(f"{len(leaks)} leaks between {', '.join(pairs)} ({sum(map(len, pairs.values())):,} rows).")
    return 1 if leaks else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, FileNotFoundError, ValueError) as error:
        sys.exit(f"error: {str(error).splitlines()[0]}")
