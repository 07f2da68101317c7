"""Holding a title to its synopsis: what the synopsis makes likelier counts double.

A small model falls back on titles that suit any story. At each step it is therefore asked twice, with the synopsis and
without one, and the difference of the two answers is added to the first: context-aware decoding (Shi et al., NAACL 2024).

This module travels with a published model.
"""

import math
from typing import Any

import torch
from transformers import LogitsProcessor

PLAUSIBLE = math.log(0.1)  # only tokens with a tenth of the likeliest one's probability are moved up (Li et al., ACL 2023)


class SourceGuidance(LogitsProcessor):
    """Raise, at every step, the tokens that are likelier with the synopsis than without.

    Args:
        model: the encoder-decoder that writes.
        nothing: its encoder's answer to an empty synopsis, (1, source tokens, width).
        strength: how much of the difference is added; 0 changes nothing.
    """

    def __init__(self, model: Any, nothing: torch.Tensor, strength: float):
        self.model, self.nothing, self.strength = model, nothing, strength

    @torch.no_grad()
    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return log-probabilities (rows, vocabulary); `input_ids` is (rows, decoder tokens so far)."""
        # Without a cache: beams change places at every step, and a title is short.
        unread = self.model(
            encoder_outputs=(self.nothing.expand(input_ids.shape[0], -1, -1),),
            decoder_input_ids=input_ids,
            use_cache=False,
        ).logits[:, -1]
        read = scores.float().log_softmax(-1)
        guided = read + self.strength * (read - unread.float().log_softmax(-1))
        possible = read >= read.max(-1, keepdim=True).values + PLAUSIBLE
        # What is implausible keeps its order, below everything plausible: constraints may still need it.
        floor = guided.masked_fill(~possible, float("inf")).min(-1, keepdim=True).values
        return torch.where(possible, guided, torch.minimum(read, floor)).log_softmax(-1)
