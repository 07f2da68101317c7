"""Holding a title to its synopsis: what the synopsis makes likelier counts more.

A small model falls back on titles that suit any story. So it is asked twice at each step, with the synopsis and without
one, and the difference of the two answers is added to the first: context-aware decoding (Shi et al., NAACL 2024).

This module travels with a published model.
"""

import math
from typing import Any

import torch
from transformers import LogitsProcessor

PLAUSIBLE = math.log(0.1)  # only tokens with a tenth of the likeliest one's probability move (Li et al., ACL 2023)


def guided(read: torch.Tensor, unread: torch.Tensor, strength: float) -> torch.Tensor:
    """Return log-probabilities (..., vocabulary) in which what the synopsis adds counts `1 + strength` times.

    Args:
        read: logits given the synopsis, (..., vocabulary); -inf for what is forbidden.
        unread: logits given none, the same shape.
        strength: 0 changes nothing.
    """
    read, unread = read.float().log_softmax(-1), unread.float().log_softmax(-1)
    moved = read + strength * (read - unread)
    plausible = read >= read.max(-1, keepdim=True).values + PLAUSIBLE
    # The implausible keep their order below everything plausible: a constraint may leave nothing else.
    floor = moved.masked_fill(~plausible, float("inf")).min(-1, keepdim=True).values
    return torch.where(plausible, moved, torch.minimum(read, floor)).log_softmax(-1)


class SourceGuidance(LogitsProcessor):
    """Apply `guided` at every step of `generate()`.

    Args:
        model: the encoder-decoder that writes.
        unread: its encoder's answer to an empty synopsis, (1, source tokens, width).
        strength: how much of the difference is added.
    """

    def __init__(self, model: Any, unread: torch.Tensor, strength: float):
        self.model, self.unread, self.strength = model, unread, strength
        self._cache: Any = None
        self._seen: torch.Tensor | None = None  # the decoder tokens that the cache stands for, (rows, tokens)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return log-probabilities (rows, vocabulary); `input_ids` is (rows, decoder tokens so far)."""
        return guided(scores, self._next_logits(input_ids), self.strength)

    def logits(self, decoder_ids: torch.LongTensor) -> torch.Tensor:
        """Return the logits without a synopsis, (rows, tokens, vocabulary), for (rows, tokens)."""
        return self._answer(decoder_ids, use_cache=False).logits

    def _next_logits(self, ids: torch.LongTensor) -> torch.Tensor:
        """Return the logits after `ids`, (rows, vocabulary): what the last step computed serves again."""
        rows = self._rows_before(ids)
        if rows is None:
            output = self._answer(ids, use_cache=True)
        else:
            self._cache.reorder_cache(rows)
            output = self._answer(ids[:, -1:], use_cache=True, past_key_values=self._cache)
        self._cache, self._seen = output.past_key_values, ids
        return output.logits[:, -1]

    def _rows_before(self, ids: torch.LongTensor) -> torch.Tensor | None:
        """Return for each row of `ids` the row of the last step that it continues; None if there is no such step.

        `generate()` does not tell a processor how beams changed places, but their tokens do.
        """
        if self._seen is None or ids.shape != (self._seen.shape[0], self._seen.shape[1] + 1):
            return None
        continues = (ids[:, None, :-1] == self._seen[None]).all(-1)
        return continues.int().argmax(-1) if bool(continues.any(-1).all()) else None

    def _answer(self, decoder_ids: torch.LongTensor, **cache: Any) -> Any:
        hidden = self.unread.expand(decoder_ids.shape[0], -1, -1)
        return self.model(encoder_outputs=(hidden,), decoder_input_ids=decoder_ids, **cache)
