"""Cleaning many rows: batches over several processes, in order, a bounded number under way."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from training.clean import Dropped, clean_pair
from training.cleaning_report import CleaningReport
from training.cleaning_rules import CleaningRules
from training.dedup import SIGNATURE, signature

BATCH = 500


@dataclass
class CleanBatch:
    """What became of a batch of rows."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    signatures: np.ndarray = field(default_factory=lambda: np.zeros((0, SIGNATURE), np.uint16))
    report: CleaningReport = field(default_factory=CleaningReport)


class RowCleaner:
    """Cleans a batch; made once in each process.

    Args:
        rules_files: added to the bundled table.
        drop: names of columns (`r15`, `cruel`) whose works are left out.
        removed: ncodes, and `userid 123`, of works that nobody may see again, not even as an example in a report.
    """

    def __init__(
        self, rules_files: tuple[Path, ...] = (), drop: tuple[str, ...] = (), removed: frozenset[str] = frozenset()
    ):
        self.rules, self.drop, self.removed = CleaningRules.load(*rules_files), drop, removed

    def __call__(self, rows: list[dict[str, Any]]) -> CleanBatch:
        """Return the rows that stay, with clean texts, and what there is to report."""
        batch = CleanBatch()
        report = batch.report
        for row in rows:
            report.rows_in += 1
            if self.removed and {(row.get("ncode") or "").upper(), f"userid {row.get('userid')}"} & self.removed:
                report.drop("removed_on_request", "(not shown)")
                continue
            report.measure("title_before", len(row["title"] or ""))
            report.measure("synopsis_before", len(row["synopsis"] or ""))
            if any(row.get(name) for name in self.drop):
                report.drop("adult", row["title"])
                continue
            result = clean_pair(row["title"] or "", row["synopsis"] or "", self.rules)
            for span in result.removed:
                report.remove(span.rule, span.text)
            if isinstance(result, Dropped):
                report.drop(result.reason, f"{row['title']} | {row['synopsis']}"[:200])
                continue
            batch.rows.append(row | {"title": result.title, "synopsis": result.synopsis})
            report.measure("title_after", len(result.title))
            report.measure("synopsis_after", len(result.synopsis))
        if batch.rows:
            batch.signatures = np.stack([signature(row["title"], row["synopsis"]) for row in batch.rows])
        return batch


_cleaner: RowCleaner | None = None


def _start(*arguments: Any) -> None:
    global _cleaner
    _cleaner = RowCleaner(*arguments)


def _run(rows: list[dict[str, Any]]) -> CleanBatch:
    return _cleaner(rows)


def clean_rows(
    rows: Iterable[dict[str, Any]],
    rules_files: tuple[Path, ...] = (),
    drop: tuple[str, ...] = (),
    removed: frozenset[str] = frozenset(),
    workers: int = 0,
) -> Iterator[CleanBatch]:
    """Yield cleaned batches in the order of the rows. A few thousand rows are not worth other processes."""
    workers = workers or os.cpu_count() or 1
    rows = iter(rows)
    first = list(islice(rows, 4 * BATCH))
    cleaner = RowCleaner(rules_files, drop, removed)  # also here: a fault in the rules is told before processes start
    if workers < 2 or len(first) < 4 * BATCH:
        for part in _batches(first):
            yield cleaner(part)
        for part in _batches(rows):
            yield cleaner(part)
        return
    start = "fork" if sys.platform == "linux" else "spawn"  # forked processes share what is loaded
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(workers, context, _start, (rules_files, drop, removed)) as pool:
        yield from _in_order(pool, (part for source in (first, rows) for part in _batches(source)), 2 * workers)


def _in_order(pool: ProcessPoolExecutor, parts: Iterable[list], ahead: int) -> Iterator[CleanBatch]:
    """Like `pool.map`, which would read the whole source at once and hold it in memory."""
    waiting: deque[Future[CleanBatch]] = deque()
    for part in parts:
        waiting.append(pool.submit(_run, part))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        yield batch
