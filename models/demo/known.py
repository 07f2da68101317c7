"""Keeping to what was read: rare words and numbers in a title are those of its synopsis.

A small model mixes one name with another and makes 七千 of 八千. What it may spell, and which numbers it may give, is what
stands in the synopsis or in the beginning of the title.

This module travels with a published model.
"""

import re
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from .constraints import without

_NUMBER = re.compile(r"[0-9〇一二三四五六七八九十百千万億兆]+")
_KATAKANA = re.compile(r"[ァ-ヴー]+")
_KATAKANA_AT_THE_END = re.compile(r"[ァ-ヴー]*$")
FREE_NUMBERS = ("一", "二")  # もう一度, 二度と: more words than numbers


class KnownWords(LogitsProcessor):
    """Forbid words of several tokens that stand neither in the synopsis nor in the beginning of the title.

    A word that the vocabulary has not got whole is rare, a name as a rule.

    Args:
        surfaces: what each id adds to the title (index = id).
        pieces: the ids that continue a word.
        prompt_length: decoder tokens already given.
        sources: for each input of the batch what was read, synopsis and beginning; "" allows every word.
    """

    def __init__(self, surfaces: Sequence[str], pieces: Sequence[int], prompt_length: int, sources: Sequence[str]):
        self.surfaces, self.prompt_length, self.sources = surfaces, prompt_length, sources
        self.pieces = torch.zeros(len(surfaces), dtype=torch.bool)
        self.pieces[list(pieces)] = True
        self.ids: dict[str, list[int]] = {}
        for i in pieces:
            self.ids.setdefault(surfaces[i], []).append(i)
        self.longest = max(map(len, self.ids), default=0)
        self.none = torch.zeros_like(self.pieces)
        self._banned_after: dict[tuple[str, str], torch.Tensor] = {}

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids[:, self.prompt_length :].tolist()
        copies = len(rows) // len(self.sources)
        banned = torch.stack([self._banned(row, self.sources[i // copies]) for i, row in enumerate(rows)])
        return without(banned, scores)

    def _banned(self, row: list[int], source: str) -> torch.Tensor:
        word = self._word(row)
        if not source:
            return self.none
        if row and not word:  # a finished title: padding follows
            return self.pieces
        if (word, source) not in self._banned_after:  # beams and drawn titles share their words
            self._banned_after[word, source] = self._not_read_after(word, source)
        return self._banned_after[word, source]

    def _not_read_after(self, word: str, source: str) -> torch.Tensor:
        banned, at = self.pieces.clone(), 0
        while (at := source.find(word, at)) >= 0:
            rest = source[at + len(word) : at + len(word) + self.longest]
            for k in range(1, len(rest) + 1):
                banned[self.ids.get(rest[:k], [])] = False
            at += 1
        return banned

    def _word(self, row: list[int]) -> str:
        """Return the word at the end of `row`, as far as it is written."""
        start = next((i for i in reversed(range(len(row))) if not self.pieces[row[i]]), 0)
        return "".join(self.surfaces[i] for i in row[start:])


class WholeNames(LogitsProcessor):
    """Begin and finish a katakana word as the synopsis has it: オルソ of オルソラ is nobody, nor is ソラ.

    A run of katakana that begins a run of the synopsis, and stands nowhere in it alone, has to go on as there. Only
    a compound may be cut (スキル of スキルツリー): a word that the vocabulary has whole, with three signs or more to come. And
    no word begins with one or two signs out of the midst of a run.

    Args:
        surfaces: what each id adds to the title (index = id).
        sources: for each input of the batch what was read, synopsis and beginning.
    """

    def __init__(self, surfaces: Sequence[str], sources: Sequence[str]):
        self.surfaces = surfaces
        # A word at the very end is of a beginning that may stop within it.
        self.names = [set(_KATAKANA.findall(_KATAKANA_AT_THE_END.sub("", source))) for source in sources]
        self.ids: dict[str, list[int]] = {}
        for i, text in enumerate(surfaces):
            if _KATAKANA.fullmatch(text):
                self.ids.setdefault(text, []).append(i)
        self.free = torch.zeros(len(surfaces), dtype=torch.bool)
        self.beginnings = [self._from_the_midst(names) for names in self.names]

    def _from_the_midst(self, names: set[str]) -> torch.Tensor:
        banned = self.free.clone()
        inside = {name[k : k + n] for name in names for n in (1, 2) for k in range(1, len(name) - n + 1)}
        for text in inside - {name[:n] for name in names for n in (1, 2)}:
            banned[self.ids.get(text, [])] = True
        return banned

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids.tolist()  # the beginning too
        copies = len(rows) // len(self.names)
        return without(torch.stack([self._banned(row, i // copies) for i, row in enumerate(rows)]), scores)

    def _banned(self, row: list[int], source: int) -> torch.Tensor:
        begun = _KATAKANA_AT_THE_END.search("".join(self.surfaces[i] for i in row)).group()
        if not begun:
            return self.beginnings[source]
        rests = [name[len(begun) :] for name in self.names[source] if name.startswith(begun)]
        if not rests or "" in rests or (begun in self.ids and min(map(len, rests)) >= 3):
            return self.free
        allowed = {rest[:k] for rest in rests for k in range(1, len(rest) + 1)}
        banned = torch.ones_like(self.free)
        banned[[i for text in allowed for i in self.ids.get(text, ())]] = False
        return banned


class KnownNumbers(LogitsProcessor):
    """Forbid numbers, in figures or kanji, that stand neither in the synopsis nor in the beginning of the title.

    A number is a run of numerals; it has to be one from its first to its last sign, unless another promise (length, a
    forbidden word) cuts it short. Numerals inside a word that the vocabulary has whole (一緒, 万能) are no numbers.

    Args:
        surfaces: what each id adds to the title (index = id).
        sources: for each input of the batch the ids that were read, of synopsis and beginning; none allows every number.
    """

    def __init__(self, surfaces: Sequence[str], sources: Sequence[Sequence[int]]):
        self.surfaces = surfaces
        self.numerals = {i: text for i, text in enumerate(surfaces) if _NUMBER.fullmatch(text)}
        self.is_numeral = torch.zeros(len(surfaces), dtype=torch.bool)
        self.is_numeral[list(self.numerals)] = True
        self.begins_so = torch.tensor([bool(_NUMBER.match(text)) for text in surfaces])  # 一人, and the numerals
        self.numbers = [self._numbers(ids) if ids else set() for ids in sources]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids.tolist()  # the beginning too: it may end within a number
        copies = len(rows) // len(self.numbers)
        banned = torch.stack([self._banned(row, self.numbers[i // copies]) for i, row in enumerate(rows)])
        return without(banned, scores)

    def _numbers(self, ids: Sequence[int]) -> set[str]:
        return {*"".join(self.numerals.get(i, " ") for i in ids).split(), *FREE_NUMBERS}

    def _banned(self, row: list[int], numbers: set[str]) -> torch.Tensor:
        start = next((i for i in reversed(range(len(row))) if row[i] not in self.numerals), -1) + 1
        begun = "".join(self.surfaces[i] for i in row[start:])
        on = [number for number in numbers if number.startswith(begun)]
        if not on:  # every number is free, or the title began with one that was not read
            return torch.zeros_like(self.is_numeral)
        if not begun:
            banned = self.is_numeral.clone()
        else:  # 十 must not become 十一人, and 百 not end where only 百八 was read
            banned = self.begins_so.clone() if begun in numbers else torch.ones_like(self.is_numeral)
        for i, text in self.numerals.items():
            if any(number.startswith(begun + text) for number in on):
                banned[i] = False
        return banned
