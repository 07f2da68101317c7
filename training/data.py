"""Pairs from anywhere (file, folder, Hub) as splits with the columns `title` and `synopsis`. No tensors here."""

import csv
import gzip
import hashlib
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import datasets
from datasets import Dataset, DatasetDict, Features, Value, concatenate_datasets, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

UNREADABLE = (  # what the libraries below raise for files and repositories that cannot be read
    DatasetGenerationError, DatasetNotFoundError, OSError, EOFError, ConnectionError, ValueError, lzma.LZMAError,
)  # fmt: skip
SYNOPSIS_NAMES = ("synopsis", "story")
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")  # the text ones also as .gz or .xz


class DataError(ValueError):
    """Pairs that cannot be used; names the file, the line or column, and what to do."""


def load_pairs(
    source: str,
    title_column: str | None = None,
    synopsis_column: str | None = None,
    revision: str | None = None,
    rejected_column: str | None = None,
) -> DatasetDict:
    """Read pairs from a file, a folder or the Hub as splits with the columns `title` and `synopsis`.

    With `rejected_column` the training pairs have a third one, `rejected`, which may be empty.

    Raises:
        DataError: nothing there, a broken line (file and line number), a missing column, or no pairs at all.
    """
    splits = _read(source, revision)
    return DatasetDict(
        {
            name: _with_our_columns(
                split, source, title_column, synopsis_column, rejected_column if name == "train" else None
            )
            for name, split in splits.items()
        }
    )


def load_texts(source: str, revision: str | None = None) -> Dataset:
    """Read running text: the column `text` of a file, folder or Hub data set, one document a row."""
    texts = _read(source, revision)["train"]
    if "text" not in texts.column_names:
        raise DataError(f"{source} has no column 'text'; it has {', '.join(texts.column_names)}.")
    return texts.select_columns(["text"])


def stream_rows(source: str, revision: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, a folder or a Hub data set, all splits, with every column; memory stays small.

    Raises:
        DataError: as `load_pairs`.
    """
    path = Path(source)
    if path.is_file() and _kind(path) in SUFFIXES[:3]:
        yield from _rows(path)
        return
    for split in _read(source, revision).values():
        for batch in split.iter(1000):
            names = list(batch)
            yield from (dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True))


def _read(source: str, revision: str | None) -> DatasetDict:
    try:
        return _read_anything(source, revision)
    except DataError:
        raise
    except UNREADABLE as error:
        if isinstance(error.__cause__, DataError):
            raise error.__cause__ from None
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise DataError(f"Pairs {source} cannot be loaded: {reason}") from error


def _read_anything(source: str, revision: str | None) -> DatasetDict:
    path = Path(source)
    if path.is_file():
        return DatasetDict(train=_read_file(path))
    if path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists()):
        loaded = load_from_disk(str(path))
        return loaded if isinstance(loaded, DatasetDict) else DatasetDict(train=loaded)
    if not path.is_dir() and (source.count("/") != 1 or source.startswith((".", "/", "~"))):
        raise DataError(
            f"No pairs at {source}: there is no such file or folder, and it is not a Hub id like user/name."
        )
    return load_splits(source, revision)


def load_splits(source: str, revision: str | None = None) -> DatasetDict:
    """`load_dataset` for the Hub or a folder, whose rows are always those that it holds now.

    The stock cache knows a folder by its last name and its card: built anew, or beside another of that name, it would give
    the old rows (datasets 5.2).
    """
    folder = Path(source)
    if not folder.is_dir():
        return load_dataset(source, revision=revision)
    return load_dataset(source, cache_dir=str(Path(datasets.config.HF_DATASETS_CACHE) / "folders" / stamp(folder)))


def stamp(folder: Path) -> str:
    """Return a name for what a folder holds: its place and the names, sizes and times of its files."""
    files = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in folder.resolve().rglob("*"))
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


def _read_file(path: Path) -> Dataset:
    if _kind(path) not in SUFFIXES:
        raise DataError(f"{path} is not a kind of file this reads: give {', '.join(SUFFIXES)}.")
    if path.suffix == ".parquet":
        return Dataset.from_parquet(str(path))
    # Of all rows, so that no column hides behind a first row without it; a list would be taken for shards.
    columns = tuple(dict.fromkeys(name for row in _rows(path) for name in row))
    if not columns:
        raise DataError(f"{path} has no pairs in it.")
    # The content names the cache, so an edited file is read again and an unchanged one is not.
    content = hashlib.sha256(repr(columns).encode() + path.read_bytes()).hexdigest()[:32]
    return Dataset.from_generator(
        _table, gen_kwargs={"path": path, "columns": columns}, fingerprint=content, features=_text_features(columns)
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from _read_csv(path) if _kind(path) == ".csv" else read_json_lines(path)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (byte {error.start:,}): save it as UTF-8, from Excel as 'CSV UTF-8'."
        ) from error
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}.") from error


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str | None]]:
    for row in _rows(path):
        yield {name: None if row.get(name) is None else _storable(str(row[name])) for name in columns}


def _storable(text: str) -> str:
    return text.encode(errors="ignore").decode()  # JSON may hold half of an emoji


def _text_features(columns: tuple[str, ...]) -> Features:
    return Features({name: Value("string") for name in columns})


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file; a broken line is named, not skipped."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error.msg}). Mend or remove the line.") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: a pair is an object with title and synopsis.")
            yield row


def _read_csv(path: Path) -> Iterator[dict[str, Any]]:
    with open_text(path) as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            if None in row:
                raise DataError(
                    f"{path}, line {reader.line_num}: more cells than the header has; put quotes around a text with commas."
                )
            yield row


def open_text(path: Path) -> TextIO:
    """Open a text file that may be compressed (.gz, .xz) and may begin with a byte order mark."""
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def _kind(path: Path) -> str:
    """Return the suffix that tells what a file is, looking through compression."""
    return Path(path.stem).suffix if path.suffix in (".gz", ".xz") else path.suffix


def _with_our_columns(
    split: Dataset, source: str, title: str | None, synopsis: str | None, rejected: str | None
) -> Dataset:
    title = title or "title"
    synopsis = synopsis or next((name for name in SYNOPSIS_NAMES if name in split.column_names), SYNOPSIS_NAMES[0])
    ours = {"title": title, "synopsis": synopsis} | ({"rejected": rejected} if rejected else {})
    for name, wanted in ours.items():
        if wanted not in split.column_names:
            raise DataError(
                f"{source} has no column {wanted!r}; it has {', '.join(split.column_names)}. "
                f"Name the right one with --{name}_column."
            )
    split = split.select_columns(list(ours.values())).rename_columns({theirs: name for name, theirs in ours.items()})
    split = split.filter(_is_pair, desc="Pairs with title and synopsis")
    if not len(split):
        raise DataError(f"{source} has no pair with both a title and a synopsis.")
    return split


def _is_pair(row: dict[str, Any]) -> bool:
    return all(isinstance(row[name], str) and row[name].strip() for name in ("title", "synopsis"))


def with_all_splits(pairs: DatasetDict, validation_share: float, test_share: float) -> DatasetDict:
    """Hold out the missing splits from `train` by a hash of the title: a pair keeps its split when the file grows.

    Where a synopsis has several titles, the first one decides for all: none of them is learnt if one is held out.
    """
    missing = {"validation": validation_share, "test": test_share}
    missing = {name: share for name, share in missing.items() if name not in pairs and share}
    if not missing:
        return pairs
    parts: dict[str, list[int]] = {"train": [], **{name: [] for name in missing}}
    decides: dict[str, str] = {}
    rows = zip(pairs["train"]["title"][:], pairs["train"]["synopsis"][:], strict=True)
    for i, (title, synopsis) in enumerate(rows):
        parts[_part(decides.setdefault(synopsis, title), missing)].append(i)
    chosen = {name: pairs["train"].select(rows) for name, rows in parts.items() if rows}
    return DatasetDict({**pairs, **chosen})


def _part(title: str, shares: dict[str, float]) -> str:
    place = int.from_bytes(hashlib.sha256(title.encode()).digest()[:8]) / 2**64
    for name, share in shares.items():
        if place < share:
            return name
        place -= share
    return "train"


def with_continuations(pairs: Dataset, share: float) -> Dataset:
    """Add a `share` of the pairs once more without synopsis, so that the model learns to go on from a title alone."""
    count = round(share * len(pairs))
    if not count:
        return pairs
    bare = pairs.shuffle(seed=0).select(range(count)).map(lambda row: {"synopsis": ""})
    return concatenate_datasets([pairs, bare])
