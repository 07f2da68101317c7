"""The build: clean (streamed, in parallel), decide (arrays of numbers only), write (streamed).

Texts never lie in memory together: cleaned rows wait in a Parquet file beside the result while everything that needs
an overview works on hashes, about 230 bytes a row.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from tqdm.auto import tqdm

from training.clean_rows import CleanBatch, clean_rows
from training.cleaning_report import CleaningReport
from training.cleaning_rules import rules_version
from training.collect import JST
from training.decide import DROPPED, BuildError, Overview, decide
from training.dedup import KIN_SYNOPSIS, KIN_TITLE, SIGNATURE
from training.files import claim_folder, workspace, write_json, write_text
from training.split import SPLITS, SplitPlan, first_second
from training.works import COLUMNS, Source, features, removed_works

VERSION = 1
OURS = re.compile(r"data/[^/]+\.parquet|README\.md|build\.json|cleaning\.(json|md)|[^/]+\.png")  # what a build writes
ROWS_A_SHARD = 200_000  # about 100 MB
CHUNK = 5_000
KEPT, SIGNATURES = "kept.parquet", "signatures.bin"  # for the time of the build only


@dataclass(frozen=True)
class BuildSettings:
    """What a build depends on."""

    source: Source
    rules_files: tuple[Path, ...] = ()
    drop: tuple[str, ...] = ()
    validation_share: float = 0.05
    test_share: float = 0.05
    test_since: str | None = None
    removal_list: Path | None = None
    workers: int = 0


def build(settings: BuildSettings, out: Path) -> dict[str, Any]:
    """Build the data set into `out`, whole or not at all, and return its facts (`build.json`).

    Raises:
        BuildError: nothing is left, a day that is none, or a leak between the splits.
    """
    test_since = _test_since(settings, out)
    with workspace(out) as work:
        overview, report, declared = clean_to_parquet(settings, work)
        signatures = np.fromfile(work / SIGNATURES, np.uint16).reshape(-1, SIGNATURE)
        plan = SplitPlan(settings.validation_share, settings.test_share, test_since)
        decision = decide(overview, signatures, plan)
        counts = write_splits(work, declared, decision.codes, DROPPED, report)
        if not counts.get("train"):
            raise BuildError(f"No row of {settings.source.name} is left to train on: {_reasons(report)}.")
        facts = facts_of(settings, declared, report, counts, decision.test_since)
        finish(work, out, facts, report)
    return facts


def _check_marks(settings: BuildSettings, declared: Features) -> None:
    """Refuse to leave out works by a mark that the rows have not got."""
    if missing := [name for name in settings.drop if name not in declared]:
        raise BuildError(
            f"--drop {missing[0]}: {settings.source.name} has no column {missing[0]!r} of 0 and 1, so nothing can be left out."
        )


def _test_since(settings: BuildSettings, out: Path) -> int | None:
    """Return the test part's first second: as told, or as in the build that is replaced (a work keeps its split)."""
    text = settings.test_since
    if text is None and (out / "build.json").exists():
        text = json.loads((out / "build.json").read_text(encoding="utf-8")).get("test_since")
    if text is None and settings.source.raw and (kept := Path(settings.source.name) / "split.json").exists():
        text = json.loads(kept.read_text(encoding="utf-8"))["test_since"]
    if not text:
        return None
    try:
        return first_second(date.fromisoformat(text))
    except ValueError:
        raise BuildError(f"--test_since {text}: write a day like 2024-12-01.") from None


def clean_to_parquet(settings: BuildSettings, work: Path) -> tuple[Overview, CleaningReport, Features]:
    """Clean every row into `kept.parquet`; return the numbers about them in the same order."""
    overview, report, declared, writer = Overview(), CleaningReport(), None, None
    removed = removed_works(settings.removal_list)
    with ExitStack() as open_files, tqdm(desc="Clean", unit=" rows", leave=False) as bar:
        signatures = open_files.enter_context((work / SIGNATURES).open("wb"))
        for batch in clean_rows(settings.source.rows(), settings.rules_files, settings.drop, removed, settings.workers):
            report.add(batch.report)
            bar.update(batch.report.rows_in)
            if not batch.rows:
                continue
            if writer is None:
                declared = features(batch.rows[0])
                _check_marks(settings, declared)
                kept = pq.ParquetWriter(work / KEPT, declared.arrow_schema, compression="zstd")
                writer = open_files.enter_context(kept)
            writer.write_table(_table(batch, declared))
            # Through a file: an array that grows is copied, and for a moment there twice.
            signatures.write(batch.signatures.tobytes())
            overview.add(batch)
    if writer is None:
        raise BuildError(f"No row of {settings.source.name} is left after cleaning: {_reasons(report)}.")
    return overview, report, declared


def _table(batch: CleanBatch, declared: Features) -> pa.Table:
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in declared} for row in batch.rows], declared.arrow_schema
    )


def _reasons(report: CleaningReport) -> str:
    return ", ".join(f"{reason} {rows:,}" for reason, rows in report.dropped.most_common(3)) or "there were none"


def write_splits(
    work: Path, declared: Features, codes: np.ndarray, dropped: dict[int, str], report: CleaningReport
) -> dict[str, int]:
    """Stream the cleaned rows to the shards of their splits; report those that are left out; return the counts."""
    counts = {name: int((codes == code).sum()) for code, name in enumerate(SPLITS)}
    writers = {code: _ShardWriter(work, SPLITS[code], counts[SPLITS[code]], declared) for code in range(len(SPLITS))}
    start = 0
    for chunk in chunks(work / KEPT):
        part = codes[start : start + len(chunk)]
        for code, writer in writers.items():
            writer.write(chunk.filter(pa.array(part == code)))
        for i in np.flatnonzero(part < 0):
            report.drop(dropped[part[i]], chunk["title"][int(i)].as_py())
        start += len(chunk)
    for writer in writers.values():
        writer.close()
    return {name: count for name, count in counts.items() if count}


def chunks(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file, a few thousand at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(CHUNK):
            yield pa.Table.from_batches([batch])


class _ShardWriter:
    """Writes a split as data/NAME-00000-of-00002.parquet and so on."""

    def __init__(self, work: Path, split: str, count: int, declared: Features):
        self.shards = -(-count // ROWS_A_SHARD)
        self.names = [work / "data" / f"{split}-{i:05d}-of-{self.shards:05d}.parquet" for i in range(self.shards)]
        self.schema, self.written, self.writer = declared.arrow_schema, 0, None
        (work / "data").mkdir(exist_ok=True)

    def write(self, rows: pa.Table) -> None:
        while len(rows):
            if self.writer is None:
                name = self.names[self.written // ROWS_A_SHARD]
                self.writer = pq.ParquetWriter(name, self.schema, compression="zstd")
            part = rows.slice(0, ROWS_A_SHARD - self.written % ROWS_A_SHARD)
            self.writer.write_table(part)
            self.written += len(part)
            rows = rows.slice(len(part))
            if self.written % ROWS_A_SHARD == 0:
                self.close()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def claim_build(out: Path) -> None:
    """Refuse a folder that a build would not only replace by a newer one of the same kind.

    Raises:
        BuildError: it holds files that no build wrote, or the build of another version.
    """
    claim_folder(out, "build.json")
    if not out.exists():
        return
    names = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    if foreign := sorted(name for name in names if not OURS.fullmatch(name)):
        raise BuildError(
            f"{out} holds {foreign[0]}, which no build wrote and the new one would delete: move it, or give another --out."
        )
    if names and (version := json.loads((out / "build.json").read_text(encoding="utf-8")).get("version")) != VERSION:
        raise BuildError(f"{out} holds a build of version {version}, this is version {VERSION}: give another --out.")


def finish(work: Path, out: Path, facts: dict[str, Any], report: CleaningReport) -> None:
    """Write what goes with the shards, and put the folder in the place of an earlier build."""
    report.write(work)
    write_json(work / "build.json", facts)
    write_text(work / "README.md", _local_card(work, facts))
    for name in (KEPT, SIGNATURES):
        (work / name).unlink()
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as aside:
        if out.exists():
            out.rename(Path(aside) / out.name)
        work.rename(out)


def facts_of(
    settings: BuildSettings, declared: Features, report: CleaningReport, counts: dict[str, int], test_since: int | None
) -> dict[str, Any]:
    """Return what the card shows and later builds need: the build's own numbers, nobody's text."""
    source = settings.source
    day = datetime.fromtimestamp(test_since, JST).date().isoformat() if test_since is not None else ""
    columns = [{"name": name, "type": declared[name].dtype, "meaning": COLUMNS[name][2]} for name in declared]
    own = {
        "version": VERSION,
        "built": datetime.now(UTC).date().isoformat(),
        "collected": source.raw or "ncode" in declared,
        "from_api": source.raw,
        "source": "なろう小説API (https://dev.syosetu.com/man/api)" if source.raw else Path(source.name).name,
        "rules": rules_version(*settings.rules_files),
        "left_out": list(settings.drop),
        "validation_share": settings.validation_share,
        "test_since": day,
        "as_published": False,  # training/rebuild.py takes the splits of a published list
        "alike": {"synopses": KIN_SYNOPSIS, "titles": KIN_TITLE},
        "counts": counts,
        "columns": columns,
    }
    if source.raw:
        _keep_test_day(Path(source.name), day)
    return own | report.facts()


def _keep_test_day(raw: Path, day: str) -> None:
    """Note the test day beside the collected works, so that a build to another place parts them alike."""
    if day and not (raw / "split.json").exists():
        try:
            write_json(raw / "split.json", {"test_since": day})
        except OSError as error:
            tqdm.write(f"{raw} is not writable ({error.strerror}): pass --test_since {day} to later builds.")


def _local_card(work: Path, facts: dict[str, Any]) -> str:
    """The card of the folder itself, which is not published: where the Parquet files lie, and a word of warning."""
    files = "".join(f"  - split: {name}\n    path: data/{name}-*.parquet\n" for name in facts["counts"])
    # `load_dataset` caches a folder under its name and this configuration: another build needs another one.
    built = f"  description: rows {_digest(work)}\n"
    return (
        f"---\nlanguage: ja\nconfigs:\n- config_name: default\n{built}  data_files:\n{files}---\n\n"
        "Built by `training/build_dataset.py` for use on this computer. Publish it with `--push_to_hub`, which writes the\n"
        "card and hands on numbers instead of the authors' texts; see `cleaning.md` for what cleaning did.\n"
    )


def _digest(work: Path) -> str:
    digest = hashlib.sha256()
    for shard in sorted((work / "data").glob("*.parquet")):
        with shard.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
