"""Pairs -> tensors: tokenize once, in several processes and with a cache, then pad batches."""

import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.fingerprint import Hasher

from titlegen import text as codecs
from titlegen.text import TitleCodec, codec_for

CUTTING = ("mecab_kwargs", "do_lower_case", "word_tokenizer_type", "subword_tokenizer_type")
TITLES_A_SYNOPSIS = (
    8  # learnt in one pass of the encoder; bounds the memory of a step; even, so that no preference is cut
)


def tokenize(
    pairs: Dataset, tokenizer: Any, max_source_length: int, max_target_length: int, workers: int | None = None
) -> Dataset:
    """Return `input_ids`, `labels` and `length` for each pair, cached under the content of pairs and tokenizer.

    With a column `rejected`, a row is a preference: `labels` are those of the title and of the rejected one.
    """
    encoder = PreferenceEncoder if "rejected" in pairs.column_names else PairEncoder
    encode = encoder(max_source_length, max_target_length)
    return map_with_tokenizer(pairs, tokenizer, encode, workers, desc="Tokenize")


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


@dataclass(frozen=True)
class PreferenceEncoder(PairEncoder):
    """Preferences -> ids, a batch at a time; `PairCollator` takes them as two titles of one synopsis."""

    def __call__(self, codec: TitleCodec, rows: dict[str, list[str]]) -> dict[str, list]:
        """Return what `PairEncoder` does; `labels` are the liked title's ids and the rejected one's, `titles` is 2."""
        liked = super().__call__(codec, rows)
        rejected = [codec.encode_title(text, self.max_target_length) for text in rows["rejected"]]
        both = [list(ids) for ids in zip(liked["labels"], rejected, strict=True)]
        return liked | {"labels": both, "titles": [2] * len(both)}


def map_with_tokenizer(rows: Dataset, tokenizer: Any, encode: Any, workers: int | None, desc: str) -> Dataset:
    """`datasets.map` for `encode(codec, rows)`: several processes, and a cache that survives the process.

    `datasets` cannot hash a tokenizer that holds MeCab, so the fingerprint is made from what decides its ids: the code
    that cuts texts among it, so that a newer version of this project does not learn what an older one cut.
    """
    cut_by = {name: tokenizer.init_kwargs.get(name) for name in CUTTING}
    fast = getattr(tokenizer, "backend_tokenizer", None)
    modules = (codecs, sys.modules[__name__], sys.modules[type(encode).__module__])
    code = [Path(str(module.__file__)).read_bytes() for module in modules]
    content = (rows._fingerprint, tokenizer.get_vocab(), cut_by, fast and fast.to_str(), code, repr(encode))
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


def group_titles(rows: Dataset, at_most: int = TITLES_A_SYNOPSIS) -> Dataset:
    """Return one row for each synopsis: `labels` is then the list of its titles' ids, `titles` how many they are.

    Most of the work of a training step is reading; where a synopsis has several titles, it is then read once for all
    of them. A synopsis with more than `at_most` titles gets several rows. Preferences, whose labels are two titles' already,
    stay together.
    """
    groups: dict[tuple[int, ...], list[list[int]]] = {}
    for source, labels in zip(rows["input_ids"][:], rows["labels"][:], strict=True):
        groups.setdefault(tuple(source), []).extend(labels if "titles" in rows.column_names else [labels])
    parts = [(ids, all_[i : i + at_most]) for ids, all_ in groups.items() for i in range(0, len(all_), at_most)]
    return Dataset.from_dict(
        {
            "input_ids": [list(ids) for ids, _ in parts],
            "labels": [targets for _, targets in parts],
            "length": [len(ids) for ids, _ in parts],
            "titles": [len(targets) for _, targets in parts],
        }
    )


class PairCollator:
    """Pad a batch to its longest pair and build what the decoder reads.

    Rows of `group_titles` give one source for each row and one target for each title; `titles` tells how many.

    `decoder_input_ids` are made here and not by the model: with a loss of our own the Trainer takes `labels` out of
    the inputs, and `EncoderDecoderModel` would get nothing to decode.
    """

    def __init__(self, pad_id: int, start_id: int):
        self.pad_id, self.start_id = pad_id, start_id

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return `input_ids`, `attention_mask` (rows, source), `labels`, `decoder_*` (titles, target)."""
        sources, targets = [row["input_ids"] for row in rows], [row["labels"] for row in rows]
        counts = [row["titles"] for row in rows if "titles" in row]
        if counts:
            targets = [target for titles in targets for target in titles]
        labels = _padded(targets, -100)
        return ({"titles": torch.tensor(counts)} if counts else {}) | {
            "input_ids": _padded(sources, self.pad_id),
            "attention_mask": _padded([[1] * len(ids) for ids in sources], 0),
            "decoder_input_ids": _padded([[self.start_id, *ids[:-1]] for ids in targets], self.pad_id),
            "decoder_attention_mask": (labels != -100).long(),
            "labels": labels,
        }


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in rows], batch_first=True, padding_value=value)
