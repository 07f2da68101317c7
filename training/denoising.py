"""Self-supervised pre-training pairs from plain text, made in every batch.

Half of the windows lose random spans that the decoder must fill in (span corruption, Raffel et al., JMLR 2020); the
other half lose one whole sentence that says much about the rest (gap sentences, Zhang et al., ICML 2020), which is
close to what a title does. Both teach the decoder to take names and words from the encoder.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset

from titlegen.text import TitleCodec, flatten_synopsis
from training.tensors import PairCollator, map_with_tokenizer

MASKED_SHARE = 0.15
MEAN_SPAN = 3  # tokens
SENTENCE_TOKENS = (6, 40)


def windows(texts: Dataset, tokenizer: Any, size: int, workers: int | None = None) -> Dataset:
    """Cut the column `text` into consecutive windows of at most `size` tokens: columns `input_ids` and `length`."""
    return map_with_tokenizer(texts, tokenizer, WindowCutter(size), workers, desc="Cut windows")


@dataclass(frozen=True)
class WindowCutter:
    """Texts -> windows of whole sentences where they fit."""

    size: int

    def __call__(self, codec: TitleCodec, rows: dict[str, list[str]]) -> dict[str, list]:
        """Return `input_ids` and `length` of each window; what is shorter than a third of a window is left out."""
        kept = [ids for text in rows["text"] for ids in self._cut(codec, text) if len(ids) >= self.size // 3]
        return {"input_ids": kept, "length": [len(ids) for ids in kept]}

    def _cut(self, codec: TitleCodec, text: str) -> Iterator[list[int]]:
        window: list[int] = []
        for sentence in flatten_synopsis(text).replace("。", "。\n").split("\n"):
            ids = codec.encode(sentence)[: self.size]
            if len(window) + len(ids) > self.size:
                yield window
                window = []
            window = window + ids
        yield window


class DenoisingCollator:
    """Corrupt windows of ids and pad them like pairs; a window is corrupted by its own content, so resume repeats it."""

    def __init__(self, pairs: PairCollator, mask_id: int, start_ids: list[int], end_id: int, sentence_end_id: int):
        self.pairs, self.mask_id = pairs, mask_id
        self.start_ids, self.end_id, self.sentence_end_id = start_ids, end_id, sentence_end_id

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Return what `PairCollator` returns."""
        return self.pairs([self._example(row["input_ids"], random.Random(repr(row["input_ids"]))) for row in rows])

    def _example(self, ids: list[int], draw: random.Random) -> dict[str, list[int]]:
        sentence = gap_sentence(ids, self.sentence_end_id, draw) if draw.random() < 0.5 else None
        if sentence:
            start, end = sentence
            source, target = [*ids[:start], self.mask_id, *ids[end:]], ids[start:end]
        else:
            source, target = corrupt_spans(ids, self.mask_id, draw)
        return {"input_ids": [*self.start_ids, *source, self.end_id], "labels": [*target, self.end_id]}


def corrupt_spans(ids: list[int], mask_id: int, draw: random.Random) -> tuple[list[int], list[int]]:
    """Replace spans by one `mask_id` each; the target is the spans, each behind its `mask_id`."""
    count = max(1, round(len(ids) * MASKED_SHARE / MEAN_SPAN))
    starts = sorted(draw.sample(range(len(ids)), min(count, len(ids))))
    source, target, position = [], [], 0
    for start in starts:
        if start < position:
            continue
        end = min(len(ids), start + draw.randint(1, 2 * MEAN_SPAN - 1))
        source += [*ids[position:start], mask_id]
        target += [mask_id, *ids[start:end]]
        position = end
    return source + ids[position:], target


def gap_sentence(ids: list[int], sentence_end_id: int, draw: random.Random) -> tuple[int, int] | None:
    """Return the bounds of the sentence that shares most of its tokens with the rest; None if no sentence fits."""
    bounds, start = [], 0
    for i, token in enumerate(ids):
        if token == sentence_end_id:
            bounds.append((start, i + 1))
            start = i + 1
    fitting = [(a, b) for a, b in bounds if SENTENCE_TOKENS[0] <= b - a <= SENTENCE_TOKENS[1]]
    if len(bounds) < 2 or not fitting:
        return None
    draw.shuffle(fitting)
    return max(fitting, key=lambda bound: _overlap(ids, *bound))


def _overlap(ids: list[int], start: int, end: int) -> float:
    rest = set(ids[:start]) | set(ids[end:])
    return sum(token in rest for token in ids[start:end]) / (end - start)
