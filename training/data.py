"""Pairs -> tensors: read pairs from anywhere, split them, tokenize them once, collate them.

python training/data.py --dataset data/original/pairs.jsonl     # how many pairs, from where, how long
"""

import csv
import gzip
import hashlib
import json
import lzma
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from datasets import Dataset, DatasetDict, Features, Value, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from datasets.fingerprint import Hasher

from titlegen.text import TitleCodec, codec_for

if TYPE_CHECKING:
    import torch  # collecting and cleaning read pairs as well; they need no tensors, and torch takes 450 MB

SYNOPSIS_NAMES = ("synopsis", "story")
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")  # the text ones also as .gz or .xz


class DataError(ValueError):
    """Pairs that cannot be used; names the file, the line or column, and what to do."""


def load_pairs(
    source: str,
    title_column: str | None = None,
    synopsis_column: str | None = None,
    revision: str | None = None,
) -> DatasetDict:
    """Read pairs from a file, a folder or the Hub as splits with the columns `title` and `synopsis`.

    Raises:
        DataError: nothing there, a broken line (file and line number), a missing column, or no pairs at all.
    """
    splits = _read(source, revision)
    return DatasetDict(
        {name: _with_our_columns(split, source, title_column, synopsis_column) for name, split in splits.items()}
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
    try:
        return load_dataset(source, revision=revision if not path.is_dir() else None)
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"Pairs {source} cannot be loaded: {reason}") from error


def _read_file(path: Path) -> Dataset:
    if _kind(path) not in SUFFIXES:
        raise DataError(f"{path} is not a kind of file this reads: give {', '.join(SUFFIXES)}.")
    if path.suffix == ".parquet":
        return Dataset.from_parquet(str(path))
    columns = tuple(next(_rows(path), {}))  # a list would be taken for shards
    if not columns:
        raise DataError(f"{path} has no pairs in it.")
    # The content names the cache, so an edited file is read again and an unchanged one is not.
    content = hashlib.sha256(repr(columns).encode() + path.read_bytes()).hexdigest()[:32]
    try:
        return Dataset.from_generator(
            _table, gen_kwargs={"path": path, "columns": columns}, fingerprint=content, features=_text_features(columns)
        )
    except DatasetGenerationError as error:
        raise error.__cause__ if isinstance(error.__cause__, DataError) else error from None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    return _read_csv(path) if _kind(path) == ".csv" else read_json_lines(path)


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str | None]]:
    for row in _rows(path):
        yield {name: None if row.get(name) is None else str(row[name]) for name in columns}


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
        yield from csv.DictReader(lines)


def open_text(path: Path) -> TextIO:
    """Open a text file that may be compressed (.gz, .xz) and may begin with a byte order mark."""
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def _kind(path: Path) -> str:
    """Return the suffix that tells what a file is, looking through compression."""
    return Path(path.stem).suffix if path.suffix in (".gz", ".xz") else path.suffix


def _with_our_columns(split: Dataset, source: str, title: str | None, synopsis: str | None) -> Dataset:
    title = title or "title"
    synopsis = synopsis or next((name for name in SYNOPSIS_NAMES if name in split.column_names), SYNOPSIS_NAMES[0])
    for wanted, flag in ((title, "--title_column"), (synopsis, "--synopsis_column")):
        if wanted not in split.column_names:
            raise DataError(
                f"{source} has no column {wanted!r}; it has {', '.join(split.column_names)}. Name the right one with {flag}."
            )
    split = split.select_columns([title, synopsis]).rename_columns({title: "title", synopsis: "synopsis"})
    split = split.filter(_is_pair, desc="Pairs with title and synopsis")
    if not len(split):
        raise DataError(f"{source} has no pair with both a title and a synopsis.")
    return split


def _is_pair(row: dict[str, Any]) -> bool:
    return all(isinstance(row[name], str) and row[name].strip() for name in ("title", "synopsis"))


def with_all_splits(pairs: DatasetDict, validation_share: float, test_share: float) -> DatasetDict:
    """Hold out the missing splits from `train` by a hash of the title: a pair keeps its split when the file grows."""
    missing = {"validation": validation_share, "test": test_share}
    missing = {name: share for name, share in missing.items() if name not in pairs and share}
    if not missing:
        return pairs
    parts: dict[str, list[int]] = {"train": [], **{name: [] for name in missing}}
    for i, title in enumerate(pairs["train"]["title"]):
        parts[_part(title, missing)].append(i)
    chosen = {name: pairs["train"].select(rows) for name, rows in parts.items() if rows}
    return DatasetDict({**pairs, **chosen})


def _part(title: str, shares: dict[str, float]) -> str:
    place = int.from_bytes(hashlib.sha256(title.encode()).digest()[:8]) / 2**64
    for name, share in shares.items():
        if place < share:
            return name
        place -= share
    return "train"


def tokenize(
    pairs: Dataset, tokenizer: Any, max_source_length: int, max_target_length: int, workers: int | None = None
) -> Dataset:
    """Return `input_ids`, `labels` and `length` for each pair, cached under the content of pairs and tokenizer."""
    limits = (max_source_length, max_target_length)
    return map_with_tokenizer(pairs, tokenizer, PairEncoder(*limits), workers, desc="Tokenize")


@dataclass(frozen=True)
class PairEncoder:
    """Pairs -> ids, a batch at a time."""

    max_source_length: int
    max_target_length: int

    def __call__(self, codec: TitleCodec, rows: dict[str, list[str]]) -> dict[str, list]:
        """Return `input_ids`, `labels` and the source `length` of each pair."""
        sources = [codec.encode_synopsis(text, self.max_source_length) for text in rows["synopsis"]]
        targets = [codec.encode_title(text, self.max_target_length) for text in rows["title"]]
        return {"input_ids": sources, "labels": targets, "length": [len(ids) for ids in sources]}


def map_with_tokenizer(rows: Dataset, tokenizer: Any, encode: Any, workers: int | None, desc: str) -> Dataset:
    """`datasets.map` for `encode(codec, rows)`: several processes, and a cache that survives the process.

    `datasets` cannot hash a tokenizer that holds MeCab, so the fingerprint is made from what decides its ids.
    """
    content = (rows._fingerprint, tokenizer.get_vocab(), tokenizer.init_kwargs.get("mecab_kwargs"), repr(encode))
    workers = min(workers or os.cpu_count() or 1, max(1, len(rows) // 2000))
    return rows.map(
        _WithCodec(tokenizer, encode),
        batched=True,
        num_proc=workers if workers > 1 else None,
        remove_columns=rows.column_names,
        new_fingerprint=Hasher.hash(content),
        desc=desc,
    )


class _WithCodec:
    """Carries tokenizer and function to other processes; the codec, with its cache, is made there."""

    def __init__(self, tokenizer: Any, encode: Any):
        self.tokenizer, self.encode = tokenizer, encode

    def __getstate__(self) -> dict[str, bytes]:
        return {"pickled": pickle.dumps((self.tokenizer, self.encode))}

    def __setstate__(self, state: dict[str, bytes]) -> None:
        self.tokenizer, self.encode = pickle.loads(state["pickled"])

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        if "codec" not in self.__dict__:
            self.codec = codec_for(self.tokenizer)
        return self.encode(self.codec, rows)


class PairCollator:
    """Pad a batch to its longest pair and build what the decoder reads.

    `decoder_input_ids` are made here and not by the model: with a loss of our own the Trainer takes `labels` out of
    the inputs, and `EncoderDecoderModel` would get nothing to decode.

    Args:
        continuation_share: this share of the pairs is shown with an empty synopsis, so that the model learns to go on
            from a title alone. Drawn from torch's generator: the Trainer seeds it and restores it on resume.
    """

    def __init__(self, pad_id: int, start_id: int, empty_source: list[int], continuation_share: float = 0.0):
        self.pad_id, self.start_id = pad_id, start_id
        self.empty_source, self.continuation_share = empty_source, continuation_share

    def __call__(self, rows: list[dict[str, list[int]]]) -> "dict[str, torch.Tensor]":
        """Return `input_ids`, `attention_mask` (pairs, source), `labels`, `decoder_*` (pairs, target)."""
        sources, targets = [self._source(row["input_ids"]) for row in rows], [row["labels"] for row in rows]
        labels = _padded(targets, -100)
        decoder_input_ids = _padded([[self.start_id, *ids[:-1]] for ids in targets], self.pad_id)
        return {
            "input_ids": _padded(sources, self.pad_id),
            "attention_mask": _padded([[1] * len(ids) for ids in sources], 0),
            "decoder_input_ids": decoder_input_ids,
            "decoder_attention_mask": (labels != -100).long(),
            "labels": labels,
        }

    def _source(self, ids: list[int]) -> list[int]:
        import torch

        hidden = self.continuation_share and torch.rand(()).item() < self.continuation_share
        return self.empty_source if hidden else ids


def _padded(rows: list[list[int]], value: int) -> "torch.Tensor":
    import torch

    return torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in rows], batch_first=True, padding_value=value)
