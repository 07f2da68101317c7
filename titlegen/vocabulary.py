"""What each token of a vocabulary adds to a title, and what follows from that: worked out once for all calls.

This module travels with a published model.
"""

import re
from collections.abc import Sequence
from functools import cached_property

import torch

from .text import fold

BRACKETS = {
    "「": "」",
    "『": "』",
    "【": "】",
    "（": "）",
    "〈": "〉",
    "《": "》",
    "［": "］",
    "〔": "〕",
}
CLOSERS = {closer: opener for opener, closer in BRACKETS.items()}
WIDE = str.maketrans("()[]", "（）［］")  # a vocabulary may hold the other half of a bracket in another width
NUMERALS = "〇一二三四五六七八九十百千万億兆"
NUMBER = re.compile(rf"[0-9{NUMERALS}]+")
KATAKANA = re.compile(r"[ァ-ヴー]+")
_WORD = re.compile(rf"[\u30a1-\u30fa\u3400-\u9fff](?<![{NUMERALS}])")  # numerals may come again


class Vocabulary:
    """Tables over the ids of a vocabulary. Masks are boolean tensors, (vocabulary,).

    Args:
        surfaces: what each id adds to the title (index = id), from `TitleCodec.surfaces`.
        pieces: the ids that continue a word, from `TitleCodec.pieces`; none where the vocabulary does not mark them.
    """

    def __init__(self, surfaces: Sequence[str], pieces: Sequence[int] = ()):
        self.surfaces, self.pieces = surfaces, pieces

    def __len__(self) -> int:
        return len(self.surfaces)

    def text(self, ids: Sequence[int]) -> str:
        """Return what `ids` add to a title."""
        return "".join(self.surfaces[i] for i in ids)

    def last_word(self, ids: Sequence[int]) -> str:
        """Return the word at the end of `ids`, as far as it is written."""
        start = next((i for i in reversed(range(len(ids))) if not self.is_piece[ids[i]]), 0)
        return self.text(ids[start:])

    def mask(self, ids: Sequence[int] = ()) -> torch.Tensor:
        """Return the mask of `ids`."""
        mask = torch.zeros(len(self), dtype=torch.bool)
        mask[list(ids)] = True
        return mask

    @cached_property
    def lengths(self) -> torch.Tensor:
        """Characters of each token, (vocabulary,)."""
        return torch.tensor([len(text) for text in self.surfaces])

    @cached_property
    def spaces(self) -> list[int]:
        """The ids that are a space."""
        return [i for i, text in enumerate(self.surfaces) if text == " "]

    @cached_property
    def brackets(self) -> list[int]:
        """The ids with a bracket in them."""
        signs = {*BRACKETS, *CLOSERS}
        return [i for i, text in enumerate(self.surfaces) if not signs.isdisjoint(text.translate(WIDE))]

    @cached_property
    def folded(self) -> list[str]:
        """The tokens as forbidden words are compared: in one width."""
        return [fold(text) for text in self.surfaces]

    @cached_property
    def is_piece(self) -> torch.Tensor:
        """Mask of what continues a word."""
        return self.mask(self.pieces)

    @cached_property
    def piece_ids(self) -> dict[str, list[int]]:
        """Text -> the ids that continue a word with it."""
        return self._by_text(self.pieces)

    @cached_property
    def is_word(self) -> torch.Tensor:
        """Mask of what begins a word in kanji or katakana."""
        return torch.tensor([bool(_WORD.search(text)) for text in self.surfaces]) & ~self.is_piece

    @cached_property
    def katakana(self) -> dict[str, list[int]]:
        """Text -> the ids that are nothing but these katakana."""
        return self._by_text([i for i, text in enumerate(self.surfaces) if KATAKANA.fullmatch(text)])

    @cached_property
    def numerals(self) -> dict[int, str]:
        """Id -> text, of what is nothing but numerals."""
        return {i: text for i, text in enumerate(self.surfaces) if NUMBER.fullmatch(text)}

    @cached_property
    def is_numeral(self) -> torch.Tensor:
        """Mask of the numerals."""
        return self.mask(list(self.numerals))

    @cached_property
    def begins_with_numeral(self) -> torch.Tensor:
        """Mask of 一人, and of the numerals themselves."""
        return torch.tensor([bool(NUMBER.match(text)) for text in self.surfaces])

    def _by_text(self, ids: Sequence[int]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i in ids:
            found.setdefault(self.surfaces[i], []).append(i)
        return found
