"""What a title must never be, kept while it is written: too long, too short, unbalanced, or with a forbidden word.

Working on characters instead of tokens makes these promises exact: a word is forbidden however the tokenizer cuts it,
and a length is a length in characters, as people count titles.

This module travels with a published model.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from .text import TitleCodec, fold
from .vocabulary import BRACKETS, CLOSERS, WIDE, Vocabulary


def open_brackets(text: str) -> list[str] | None:
    """Return the brackets still open at the end of `text`, outermost first; None if `text` is already broken."""
    stack: list[str] = []
    text = text.translate(WIDE)
    for i, character in enumerate(text):
        if character in BRACKETS:
            stack.append(character)
        # A closer must close the last opener, and not at once: an empty pair says nothing.
        elif character in CLOSERS and (not stack or stack.pop() != CLOSERS[character] or text[i - 1] in BRACKETS):
            return None
    return stack


class TitleConstraints(LogitsProcessor):
    """Forbid, at every step, the tokens that would make a title impossible to finish well.

    Args:
        vocabulary: what each id adds to the title.
        end_id: the token that ends a title.
        prompt_length: decoder tokens already given (start token and prefix).
        prefix: the text that those tokens stand for; it counts for length and brackets.
        character_range: shortest and longest title in characters, the prefix included.
        forbidden: words that must not appear in the title.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        end_id: int,
        prompt_length: int,
        prefix: str,
        character_range: tuple[int, int],
        forbidden: Sequence[str] = (),
    ):
        self.vocabulary, self.end_id = vocabulary, end_id
        self.prompt_length, self.prefix = prompt_length, prefix
        self.shortest, self.longest = character_range
        self.least = len(prefix) + 1 if prefix else 0  # the beginning alone is no continuation
        self.never = vocabulary.lengths == 0  # special tokens, the unknown token
        self.never[end_id] = False
        self.completions = [
            (word[:k], torch.tensor(ids))
            for word in map(fold, forbidden)
            for k in range(len(word))
            if (ids := [i for i, s in enumerate(vocabulary.folded) if _completes(s, word, k)])
        ]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every forbidden token; `input_ids` is (rows, tokens)."""
        rows = input_ids[:, self.prompt_length :].tolist()
        banned = torch.stack([self._banned(self.prefix + self.vocabulary.text(row)) for row in rows])
        kept = scores.masked_fill(banned.to(scores.device), -float("inf"))
        # Where a penalty (no repeated n-gram) has banned all that may follow, the promises outrank it.
        stuck = kept.isneginf().all(-1, keepdim=True)
        return torch.where(stuck & ~banned.to(scores.device), 0.0, kept)

    def _banned(self, text: str) -> torch.Tensor:
        stack = open_brackets(text) or []
        room = self.longest - len(text) - len(stack)  # every open bracket still needs its other half
        banned = self.never | (self.vocabulary.lengths > room)
        for i in self.vocabulary.brackets:
            longer = text + self.vocabulary.surfaces[i]
            after = open_brackets(longer)
            banned[i] = after is None or len(longer) + len(after) + (len(after) > len(stack)) > self.longest
        if not text or text[-1] == " ":
            banned[self.vocabulary.spaces] = True
        folded = fold(text) if self.completions else ""
        for beginning, ids in self.completions:
            if folded.endswith(beginning):
                banned[ids] = True
        banned[self.end_id] = bool(stack) or len(text.rstrip()) < max(self.shortest, self.least)
        if banned.all():  # no way on: a short title is better than none
            banned[self.end_id] = False
        return banned


class OnceEach(LogitsProcessor):
    """Let a word in kanji or katakana stand once in a title; a search likes to say a noun until it means nothing.

    Args:
        vocabulary: tells words; a word is known by its first token.
    """

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` (rows, vocabulary) with -inf for every word that stands already."""
        there = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, input_ids, True)
        return without(there & self.vocabulary.is_word.to(scores.device), scores)


def without(banned: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return `scores` with -inf where `banned`, both (rows, vocabulary); a row that would have no way on stays as it is."""
    kept = scores.masked_fill(banned.to(scores.device), -float("inf"))
    return torch.where(kept.isneginf().all(-1, keepdim=True), scores, kept)


def _completes(surface: str, word: str, written: int) -> bool:
    """Whether `surface` completes `word` when its first `written` characters stand already."""
    return word in surface if written == 0 else surface.startswith(word[written:])


class Watcher(StoppingCriteria):
    """Show titles while they are written; stop all of them when the callback returns True.

    Args:
        codec: turns ids into text.
        prompt_length: decoder tokens already given.
        prefix: the text that they stand for.
        on_step: gets the unfinished titles after each step (for beam search: the beams as they stand).
    """

    def __init__(self, codec: TitleCodec, prompt_length: int, prefix: str, on_step: Callable[[list[str]], bool | None]):
        self.codec, self.prompt_length, self.prefix, self.on_step = codec, prompt_length, prefix, on_step

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.BoolTensor:
        rows = input_ids[:, self.prompt_length :].tolist()
        stop = bool(self.on_step([self.prefix + self.codec.decode(row) for row in rows]))
        return torch.full((len(rows),), stop, device=input_ids.device)
