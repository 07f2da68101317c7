"""Which cleaned row goes where: duplicates and splits; on arrays of numbers, a million rows in a minute."""

from dataclasses import dataclass

import numpy as np

from training.clean_rows import CleanBatch
from training.dedup import duplicate_links, kin_links, oldest_of_cluster
from training.split import LEAK, SEQUEL, UNKNOWN, SplitPlan, assign, choose_test_since, hash64, leaking_links
from training.works import key, published

OLDER_VERSION, DUPLICATE, NEAR_DUPLICATE = -3, -4, -5
DROPPED = {
    SEQUEL: "sequel_after_test_day",
    LEAK: "leak",
    OLDER_VERSION: "older_version",
    DUPLICATE: "duplicate",
    NEAR_DUPLICATE: "near_duplicate",
}


class BuildError(RuntimeError):
    """A data set that cannot be built; says why and what to do."""


class LeakError(BuildError):
    """Works that resemble each other sit in different splits."""


@dataclass
class Decision:
    """The split of each row (see `split.SPLITS`), or a key of DROPPED."""

    codes: np.ndarray
    test_since: int | None


class Overview:
    """Numbers about cleaned rows, in their order: 32 bytes a row."""

    def __init__(self):
        self._parts: dict[str, list[np.ndarray]] = {"keys": [], "texts": [], "authors": [], "times": []}

    def add(self, batch: CleanBatch) -> None:
        """Take over a batch."""
        rows = batch.rows
        columns = {
            "keys": [hash64(key(row)) for row in rows],
            "texts": [hash64(f"{row['title']}\n{row['synopsis']}") for row in rows],
            "authors": [hash64(f"userid {row['userid']}") if row.get("userid") else 0 for row in rows],
        }
        for name, values in columns.items():
            self._parts[name].append(np.array(values, np.uint64))
        times = [UNKNOWN if (time := published(row)) is None else time for row in rows]
        self._parts["times"].append(np.array(times, np.int64))

    def __getitem__(self, name: str) -> np.ndarray:
        return np.concatenate(self._parts[name])


def decide(overview: Overview, signatures: np.ndarray, plan: SplitPlan) -> Decision:
    """Decide about every row.

    Raises:
        LeakError: the splits are not apart (a fault of this program: nothing is written).
    """
    keys, texts, authors, times = (overview[name] for name in ("keys", "texts", "authors", "times"))
    codes = np.zeros(len(keys), np.int8)
    _drop_all_but(codes, keys, "last", OLDER_VERSION)
    # Oldest first, by day of publication and then by place: what is dropped or left out gives way to older works.
    order = np.flatnonzero(codes == 0)
    order = order[np.argsort(times[order], kind="stable")]
    part = codes[order]
    _drop_all_but(part, texts[order], "first", DUPLICATE)
    codes[order] = part
    order = order[part == 0]
    near = oldest_of_cluster(len(order), duplicate_links(signatures[order])) != np.arange(len(order))
    codes[order[near]] = NEAR_DUPLICATE
    order = order[~near]
    if plan.test_since is None:
        plan = SplitPlan(
            plan.validation_share,
            plan.test_share,
            choose_test_since(keys[order], authors[order], times[order], plan.test_share),
        )
    codes[order] = _split(keys[order], authors[order], times[order], signatures[order], plan)
    return Decision(codes, plan.test_since)


def _split(
    keys: np.ndarray, authors: np.ndarray, times: np.ndarray, signatures: np.ndarray, plan: SplitPlan
) -> np.ndarray:
    codes = assign(keys, authors, times, kin_links(signatures), plan)
    # Leaving rows out brings others together in a band, which may show links that were hidden behind them. Every round
    # leaves out at least one row, so this ends.
    while len(leaks := leaking_links(codes, signatures)):
        less_guarded = np.where(codes[leaks[:, 0]] < codes[leaks[:, 1]], leaks[:, 0], leaks[:, 1])
        codes[less_guarded] = LEAK
    check(codes, authors, signatures)
    return codes


def check(codes: np.ndarray, authors: np.ndarray, signatures: np.ndarray) -> None:
    """Look once more at the finished splits.

    Raises:
        LeakError: an author or two similar works on two sides.
    """
    leaks = leaking_links(codes, signatures)
    known = (authors != 0) & (codes >= 0)
    sides = np.unique(np.stack([authors[known], codes[known].astype(np.uint64)], axis=1), axis=0)
    authors_apart = len(sides) - len(np.unique(sides[:, 0]))
    if len(leaks) or authors_apart:
        raise LeakError(
            f"The splits leak: {len(leaks)} pairs of similar works and {authors_apart} authors are on two sides. "
            "Nothing was written; please report this with your command."
        )


def _drop_all_but(codes: np.ndarray, values: np.ndarray, which: str, reason: int) -> None:
    """Of rows with the same value keep the first or the last; only rows that are still in count."""
    live = np.flatnonzero(codes == 0)
    ordered = live[::-1] if which == "last" else live
    _, first = np.unique(values[ordered], return_index=True)
    keep = np.zeros(len(codes), bool)
    keep[ordered[first]] = True
    codes[live[~keep[live]]] = reason
