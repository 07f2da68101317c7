"""Text <-> token ids, both ways: the one codec that training and serving share.

A tokenizer for Japanese words loses what a title needs: spaces disappear, decoding puts spaces between
words, full-width signs become half-width, and one rare character turns its whole word into ``[UNK]``.
The codec keeps all of it:

    >>> codec = codec_for(tokenizer)
    >>> codec.decode(codec.encode("ウマ娘 プリティーダービー！"))
    'ウマ娘 プリティーダービー！'

Width normalisation (the only thing a round trip changes, see :func:`canonical`): letters, digits and katakana
take their usual width (NFKC), every run of white space is one space, ``...`` is ``…``, the two wave dashes are
``～``, and in a text with Japanese letters ``! ? ( ) ~`` are full-width, as people write them.

This module travels with a published model: it imports nothing but the standard library.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

SPACE_TOKEN = "␣"  # U+2423: NFKC keeps it, no novel uses it, a reader of the vocabulary sees what it means

_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff々〆ー]")
_FULL_WIDTH = str.maketrans({"!": "！", "?": "？", "(": "（", ")": "）", "~": "～"})
# After a sentence end a line break says nothing more, and in a synopsis it would cost a token each time.
_BREAK_AFTER_SENTENCE = re.compile(r"(?<=[。！？!?…」』】）)])\s+")


def fold(text: str) -> str:
    """Return `text` with every sign in one width: how words are compared."""
    return unicodedata.normalize("NFKC", text).replace("〜", "~")


def normalise(text: str) -> str:
    """Return `text` as the tokenizer should see it: one HTML unescape, NFKC, no control characters, single spaces."""
    text = fold(html.unescape(text)).replace(SPACE_TOKEN, " ")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _replacement(c) for c in text)
    return " ".join(text.split())


def _replacement(unprintable: str) -> str:
    # Separators (Z*) and controls (Cc: line break, tab) are white space; format characters (Cf: right-to-left
    # overrides, zero-width joiners), surrogates, private use and unassigned code points are dropped.
    category = unicodedata.category(unprintable)
    return " " if category[0] == "Z" or category == "Cc" else ""


def display(text: str) -> str:
    """Undo NFKC's half-width signs: the inverse of :func:`normalise` up to the width normalisation above."""
    text = text.replace("...", "…")
    return text.translate(_FULL_WIDTH) if _JAPANESE.search(text) else text.replace("~", "～")


def canonical(text: str) -> str:
    """Return the form in which `text` survives a round trip through the codec."""
    return display(normalise(text))


def flatten_synopsis(text: str) -> str:
    """Normalise a synopsis and drop the line breaks after sentence ends."""
    return normalise(_BREAK_AFTER_SENTENCE.sub("", html.unescape(text).strip()))


class TitleCodec:
    """Text <-> ids for any Hugging Face tokenizer; spaces are whatever that tokenizer makes of them."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.unk_id = tokenizer.unk_token_id
        self.end_id = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
        self._special_ids = set(tokenizer.all_special_ids)

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text` without special tokens."""
        return self._encode_normalised(normalise(text))

    def beginning(self, text: str) -> tuple[str, list[int]]:
        """Return the beginning of a title as titles will show it, and its ids."""
        return canonical(text), self.encode(text)

    def _encode_normalised(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`; special tokens and unknown characters leave nothing behind."""
        return display(normalise(self.tokenizer.decode([i for i in ids if i not in self._special_ids])))

    def encode_synopsis(self, text: str, max_tokens: int) -> list[int]:
        """Return at most `max_tokens` source ids, the tokenizer's special tokens included."""
        return self.tokenizer(flatten_synopsis(text), truncation=True, max_length=max_tokens)["input_ids"]

    def encode_title(self, text: str, max_tokens: int) -> list[int]:
        """Return at most `max_tokens` target ids, closed by the end token."""
        return [*self.encode(text)[: max_tokens - 1], self.end_id]

    def surfaces(self, vocab_size: int) -> list[str]:
        """Return what each id adds to a title (index = id), for constraints that look at characters."""
        names = self.tokenizer.convert_ids_to_tokens(list(range(min(len(self.tokenizer), vocab_size))))
        texts = ["" if i in self._special_ids else self._surface(name) for i, name in enumerate(names)]
        return texts + [""] * (vocab_size - len(texts))

    def pieces(self, vocab_size: int) -> list[int]:
        """Return the ids that continue a word, where the vocabulary marks them."""
        return []

    def _surface(self, token: str) -> str:
        return display(self.tokenizer.convert_tokens_to_string([token]))


class WordPieceCodec(TitleCodec):
    """The codec for `BertJapaneseTokenizer`: MeCab words cut into WordPieces, spaces kept by a marker token.

    Gives the ids that ``tokenizer(text)`` gives, except where that has ``[UNK]`` for a whole word: there
    only the unknown characters are lost. Words repeat, so their pieces are cached: this is what makes
    100,000 pairs a matter of seconds.
    """

    def __init__(self, tokenizer: Any):
        super().__init__(tokenizer)
        self.vocab = tokenizer.get_vocab()
        self.space_id = self.vocab.get(SPACE_TOKEN)
        self._word_ids: dict[str, list[int]] = {}

    def encode_synopsis(self, text: str, max_tokens: int) -> list[int]:
        room = max_tokens - self.tokenizer.num_special_tokens_to_add(pair=False)
        return self.tokenizer.build_inputs_with_special_tokens(self._encode_normalised(flatten_synopsis(text))[:room])

    def beginning(self, text: str) -> tuple[str, list[int]]:
        shown, ids = super().beginning(text)
        if shown and text[-1].isspace() and self.space_id is not None:  # what follows is a word of its own
            return shown + " ", [*ids, self.space_id]
        return shown, ids

    def _encode_normalised(self, text: str) -> list[int]:
        ids: list[int] = []
        for i, segment in enumerate(text.split(" ")):
            if i and self.space_id is not None:
                ids.append(self.space_id)
            for word in self.tokenizer.word_tokenizer.tokenize(segment) if segment else ():
                ids.extend(self._word_ids.get(word) or self._cut(word))
        return ids

    def _cut(self, word: str) -> list[int]:
        ids = self.tokenizer.convert_tokens_to_ids(self.tokenizer.subword_tokenizer.tokenize(word))
        if self.unk_id in ids:
            ids = [self._character_id(c, first=i == 0) for i, c in enumerate(word)]
        if len(self._word_ids) < 500_000:  # bounds a server's memory; real text has far fewer words
            self._word_ids[word] = ids
        return ids

    def _character_id(self, character: str, first: bool) -> int:
        forms = (character, "##" + character) if first else ("##" + character, character)
        return next((self.vocab[form] for form in forms if form in self.vocab), self.unk_id)

    def decode(self, ids: Iterable[int]) -> str:
        tokens = self.tokenizer.convert_ids_to_tokens([int(i) for i in ids if int(i) not in self._special_ids])
        return display("".join(self._raw_surface(token) for token in tokens).strip())

    def pieces(self, vocab_size: int) -> list[int]:
        return [i for token, i in self.vocab.items() if token.startswith("##") and len(token) > 2 and i < vocab_size]

    def _surface(self, token: str) -> str:
        return display(self._raw_surface(token))

    @staticmethod
    def _raw_surface(token: str) -> str:
        if token == SPACE_TOKEN:
            return " "
        return token[2:] if token.startswith("##") and len(token) > 2 else token


def codec_for(tokenizer: Any) -> TitleCodec:
    """Return the codec that fits `tokenizer`."""
    is_wordpiece = getattr(tokenizer, "subword_tokenizer_type", None) in ("wordpiece", "character")
    return (WordPieceCodec if is_wordpiece else TitleCodec)(tokenizer)
