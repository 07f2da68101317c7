"""The tokenizer of a run: a base checkpoint's own, or a new WordPiece vocabulary learnt from the training text.

Both are `BertJapaneseTokenizer` (MeCab words through fugashi and unidic-lite, then WordPiece), saved with explicit
`mecab_kwargs`: transformers changed the default dictionary from ipadic to unidic_lite between 4.45 and 4.49, and a
tokenizer that does not name its dictionary cuts other words on another version.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AddedToken, AutoTokenizer, BertJapaneseTokenizer, PreTrainedTokenizerBase
from transformers.models.bert_japanese.tokenization_bert_japanese import MecabTokenizer

from titlegen.text import SPACE_TOKEN, flatten_synopsis
from training.config import ConfigError, ModelArguments

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MECAB = {"mecab_dic": "unidic_lite"}
KANA_AND_SIGNS = (
    [chr(c) for c in range(0x3041, 0x30FB)]
    + list("ー・、。「」『』【】!?()~…―々:&+-.,0123456789")
    + [chr(c) for c in range(ord("A"), ord("z") + 1) if chr(c).isalpha()]
)


def learn_tokenizer(texts: Iterable[str], vocab_size: int, max_characters: int = 4000) -> BertJapaneseTokenizer:
    """Learn a WordPiece vocabulary from `texts` (titles and synopses).

    Args:
        vocab_size: tokens in all, special tokens and the space marker included.
        max_characters: how many different characters may be known; the rarest beyond that are unknown.
    """
    counts = count_words(texts)
    forms, known = character_forms(counts, max_characters)
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        limit_alphabet=len(known),
        initial_alphabet=known,
        # The learner numbers characters in the order of a hash map, and breaks ties between merges by number: two
        # processes would learn two vocabularies. Naming every form first fixes the numbers.
        special_tokens=[*SPECIAL_TOKENS, SPACE_TOKEN, *forms],
        show_progress=False,
    )
    learner.train_from_iterator((" ".join([word] * count) for word, count in sorted(counts.items())), trainer)
    vocabulary = [token for token, _ in sorted(learner.get_vocab().items(), key=lambda item: item[1])]
    with tempfile.TemporaryDirectory() as folder:
        vocab_file = Path(folder) / "vocab.txt"
        vocab_file.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        tokenizer = BertJapaneseTokenizer(
            str(vocab_file),
            word_tokenizer_type="mecab",
            subword_tokenizer_type="wordpiece",
            mecab_kwargs=MECAB,
        )
    return with_space_token(tokenizer)


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Return how often each MeCab word stands in `texts`."""
    mecab = MecabTokenizer(**MECAB)
    return Counter(word for text in texts for word in mecab.tokenize(flatten_synopsis(text)))


def character_forms(counts: Counter[str], limit: int) -> tuple[list[str], list[str]]:
    """Return the one-character tokens, at the beginning (`c`) and inside (`##c`) of words, and the characters."""
    seen: Counter[str] = Counter()
    for word, count in counts.items():
        seen.update({character: count for character in word})
    often = sorted(seen, key=lambda c: (-seen[c], c))
    known = sorted({*often[: max(0, limit - len(KANA_AND_SIGNS))], *KANA_AND_SIGNS})
    inside = {character for word in counts for character in word[1:]}
    return [*known, *("##" + c for c in known if c in inside)], known


def tokenizer_for(model: ModelArguments, texts: Callable[[], Iterable[str]]) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a run: the base model's, the one named, or one learnt from `texts()`."""
    if model.tokenizer or model.base_model:
        name = model.tokenizer or model.base_model
        try:
            return load_tokenizer(name, None if model.tokenizer else model.base_revision)
        except (OSError, ValueError) as error:
            raise ConfigError(f"Tokenizer {name} cannot be read: {str(error).strip().splitlines()[0]}") from error
    return learn_tokenizer(texts(), model.vocab_size)


def load_tokenizer(name_or_path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint; a `BertJapaneseTokenizer` gets the space marker if it has none."""
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, revision=revision)
    return with_space_token(tokenizer) if isinstance(tokenizer, BertJapaneseTokenizer) else tokenizer


def with_space_token(tokenizer: BertJapaneseTokenizer) -> BertJapaneseTokenizer:
    """Make the marker that stands for a space a token of its own; the model's embeddings must follow `len(tokenizer)`."""
    if SPACE_TOKEN not in tokenizer.added_tokens_encoder:
        tokenizer.add_tokens([AddedToken(SPACE_TOKEN, normalized=False)])
    return tokenizer
