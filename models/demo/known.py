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
from .vocabulary import KATAKANA, Vocabulary

_KATAKANA_AT_THE_END = re.compile(rf"(?:{KATAKANA.pattern})?\Z")
FREE_NUMBERS = ("一", "二")  # もう一度, 二度と: more words than numbers


class KnownWords(LogitsProcessor):
    """Forbid words of several tokens that stand neither in the synopsis nor in the beginning of the title.

    A word that the vocabulary has not got whole is rare, a name as a rule.

    Args:
        vocabulary: what each id adds to the title, and which continue a word.
        prompt_length: decoder tokens already given.
        sources: for each input of the batch what was read, synopsis and beginning; "" allows every word.
    """

    def __init__(self, vocabulary: Vocabulary, prompt_length: int, sources: Sequence[str]):
        self.vocabulary, self.prompt_length, self.sources = vocabulary, prompt_length, sources
        self.longest = max(map(len, vocabulary.piece_ids), default=0)
        self.none = vocabulary.mask()
        self._banned_after: dict[tuple[str, str], torch.Tensor] = {}

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids[:, self.prompt_length :].tolist()
        copies = len(rows) // len(self.sources)
        banned = torch.stack([self._banned(row, self.sources[i // copies]) for i, row in enumerate(rows)])
        return without(banned, scores)

    def _banned(self, row: list[int], source: str) -> torch.Tensor:
        word = self.vocabulary.last_word(row)
        if not source:
            return self.none
        if row and not word:  # a finished title: padding follows
            return self.vocabulary.is_piece
        if (word, source) not in self._banned_after:  # beams and drawn titles share their words
            self._banned_after[word, source] = self._not_read_after(word, source)
        return self._banned_after[word, source]

    def _not_read_after(self, word: str, source: str) -> torch.Tensor:
        banned, at = self.vocabulary.is_piece.clone(), 0
        while (at := source.find(word, at)) >= 0:
            rest = source[at + len(word) : at + len(word) + self.longest]
            for k in range(1, len(rest) + 1):
                banned[self.vocabulary.piece_ids.get(rest[:k], [])] = False
            at += 1
        return banned


class WholeNames(LogitsProcessor):
    """Begin and finish a katakana word as the synopsis has it: オルソ of オルソラ is nobody, nor is ソラ.

    A run of katakana that begins a run of the synopsis, and stands nowhere in it alone, has to go on as there, after another
    katakana word too. Only a compound may be cut (スキル of スキルツリー): after a word of three signs or more that the
    vocabulary has whole, with three more to come. And no word begins with one or two signs out of the midst of a run.

    Args:
        vocabulary: what each id adds to the title.
        sources: for each input of the batch what was read, synopsis and beginning.
    """

    def __init__(self, vocabulary: Vocabulary, sources: Sequence[str]):
        self.vocabulary = vocabulary
        # A word at the very end is of a beginning that may stop within it.
        self.names = [set(KATAKANA.findall(_KATAKANA_AT_THE_END.sub("", source))) for source in sources]
        self.beginnings = [self._from_the_midst(names) for names in self.names]

    def _from_the_midst(self, names: set[str]) -> torch.Tensor:
        inside = {name[k : k + n] for name in names for n in (1, 2) for k in range(1, len(name) - n + 1)}
        beginnings = {name[:n] for name in names for n in (1, 2)}
        return self._any_of(inside - beginnings) & ~self.vocabulary.is_piece

    def _any_of(self, texts: set[str]) -> torch.Tensor:
        return self.vocabulary.mask([i for text in texts for i in self.vocabulary.katakana.get(text, ())])

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids.tolist()  # the beginning too
        copies = len(rows) // len(self.names)
        return without(torch.stack([self._banned(row, i // copies) for i, row in enumerate(rows)]), scores)

    def _banned(self, row: list[int], source: int) -> torch.Tensor:
        for begun in map(_katakana_at_the_end, (self.vocabulary.text(row), self.vocabulary.last_word(row))):
            rests = {name[len(begun) :] for name in self.names[source] if begun and name.startswith(begun)}
            if rests:
                return self.beginnings[source] if self._may_end(begun, rests) else ~self._any_of(_beginnings(rests))
        return self.beginnings[source]

    def _may_end(self, begun: str, rests: set[str]) -> bool:
        whole = any(not self.vocabulary.is_piece[i] for i in self.vocabulary.katakana.get(begun, ()))
        return "" in rests or (whole and len(begun) >= 3 and min(map(len, rests)) >= 3)


def _katakana_at_the_end(text: str) -> str:
    return _KATAKANA_AT_THE_END.search(text).group()


def _beginnings(texts: set[str]) -> set[str]:
    return {text[:k] for text in texts for k in range(1, len(text) + 1)}


class KnownNumbers(LogitsProcessor):
    """Forbid numbers, in figures or kanji, that stand neither in the synopsis nor in the beginning of the title.

    A number is a run of numerals; it has to be one from its first to its last sign, unless another promise (length, a
    forbidden word) cuts it short. Numerals inside a word that the vocabulary has whole (一緒, 万能) are no numbers.

    Args:
        vocabulary: what each id adds to the title.
        sources: for each input of the batch the ids that were read, of synopsis and beginning; none allows every number.
    """

    def __init__(self, vocabulary: Vocabulary, sources: Sequence[Sequence[int]]):
        self.vocabulary = vocabulary
        self.numbers = [self._numbers(ids) if ids else set() for ids in sources]
        self._banned_after: dict[tuple[str, int], torch.Tensor] = {}

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids.tolist()  # the beginning too: it may end within a number
        copies = len(rows) // len(self.numbers)
        return without(torch.stack([self._banned(row, i // copies) for i, row in enumerate(rows)]), scores)

    def _numbers(self, ids: Sequence[int]) -> set[str]:
        return {*"".join(self.vocabulary.numerals.get(i, " ") for i in ids).split(), *FREE_NUMBERS}

    def _banned(self, row: list[int], source: int) -> torch.Tensor:
        start = next((i for i in reversed(range(len(row))) if row[i] not in self.vocabulary.numerals), -1) + 1
        begun = self.vocabulary.text(row[start:])
        if (begun, source) not in self._banned_after:  # most rows have no number under way
            self._banned_after[begun, source] = self._not_read_after(begun, self.numbers[source])
        return self._banned_after[begun, source]

    def _not_read_after(self, begun: str, numbers: set[str]) -> torch.Tensor:
        is_numeral = self.vocabulary.is_numeral
        on = [number for number in numbers if number.startswith(begun)]
        if not on:  # every number is free, or the title began with one that was not read
            return torch.zeros_like(is_numeral)
        if not begun:
            banned = is_numeral.clone()
        else:  # 十 must not become 十一人, and 百 not end where only 百八 was read
            banned = self.vocabulary.begins_with_numeral.clone() if begun in numbers else torch.ones_like(is_numeral)
        for i, text in self.vocabulary.numerals.items():
            if any(number.startswith(begun + text) for number in on):
                banned[i] = False
        return banned
