"""What a run reads, made ready once: tokenizer, tensors and the pairs whose titles are scored."""

from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from training.config import ConfigError, DataArguments, ModelArguments
from training.data import DataError, load_pairs, load_texts, with_all_splits, with_continuations
from training.denoising import DenoisingCollator, windows
from training.model import SpecialIds, writes
from training.tensors import PairCollator, group_titles, tokenize
from training.tokenizer import tokenizer_for


@dataclass
class Examples:
    """Everything the trainer reads; `samples` and `test` keep their text, because titles are written for them."""

    tokenizer: Any
    collator: Any
    train: Dataset
    validation: Dataset | None
    samples: Dataset | None = None
    test: Dataset | None = None
    known_titles: tuple[str, ...] = ()
    train_pairs: Dataset | None = None


def read_examples(model: ModelArguments, data: DataArguments) -> Examples:
    """Read the data set that the arguments name, for any objective.

    Raises:
        ConfigError: preferences without a model to learn them.
        DataError: as `load_pairs`; or no row to train on.
    """
    if data.objective == "prefer" and not writes(model):
        raise ConfigError(
            f"objective prefer improves a model that writes titles: give it as --base_model, which is {model.base_model}."
        )
    return _denoising_examples(model, data) if data.objective == "denoise" else _pair_examples(model, data)


def _pair_examples(model: ModelArguments, data: DataArguments) -> Examples:
    prefer = data.objective == "prefer"
    rejected_column = data.rejected_column if prefer else None
    columns = (data.title_column, data.synopsis_column, data.dataset_revision, rejected_column)
    pairs = load_pairs(data.dataset, *columns)
    if "train" not in pairs:
        raise DataError(f"{data.dataset} has no split called train; it has {', '.join(pairs)}.")
    pairs = with_all_splits(pairs, data.validation_share, data.test_share)
    train = _first(_preferences(pairs["train"], data) if prefer else pairs["train"], data.max_train_pairs)
    tokenizer = tokenizer_for(model, lambda: (text for row in train for text in (row["title"], row["synopsis"])))
    limits = (data.max_source_length, data.max_target_length, data.preprocessing_workers)
    tensors = tokenize(with_continuations(train, 0.0 if prefer else data.continuation_share), tokenizer, *limits)
    held_out = pairs["validation"].select_columns(["title", "synopsis"]) if "validation" in pairs else None
    samples = _first(held_out.shuffle(seed=0), data.eval_pairs) if held_out else None
    return Examples(
        tokenizer=tokenizer,
        collator=_pair_collator(tokenizer),
        train=group_titles(tensors) if data.group_titles else tensors,
        validation=tokenize(samples, tokenizer, *limits) if samples else None,
        samples=samples,
        test=_first(pairs["test"], data.test_pairs) if "test" in pairs else None,
        known_titles=tuple(train["title"]),
        train_pairs=train,
    )


def _preferences(rows: Dataset, data: DataArguments) -> Dataset:
    """Return the rows that have a rejected title: pairs without one may be among them."""
    rows = rows.filter(_is_preference, desc="Rows with a rejected title")
    if not len(rows):
        raise DataError(
            f"No training pair of {data.dataset} has a rejected title, one text, in its column {data.rejected_column!r}."
        )
    return rows


def _is_preference(row: dict[str, Any]) -> bool:
    return isinstance(row["rejected"], str) and bool(row["rejected"].strip())


def _denoising_examples(model: ModelArguments, data: DataArguments) -> Examples:
    texts = load_texts(data.dataset, data.dataset_revision)
    tokenizer = tokenizer_for(model, lambda: (line for row in texts for line in row["text"].splitlines()))
    cut = windows(texts, tokenizer, data.max_source_length - 2, data.preprocessing_workers).shuffle(seed=0)
    count = min(data.eval_pairs, len(cut) // 10)
    held_out, train = cut.select(range(count)), cut.select(range(count, len(cut)))
    special = SpecialIds.of(tokenizer)
    collator = DenoisingCollator(
        _pair_collator(tokenizer),
        mask_id=tokenizer.mask_token_id,
        start_ids=[special.start],
        end_id=special.end,
        sentence_end_id=tokenizer.convert_tokens_to_ids("。"),
    )
    return Examples(tokenizer, collator, _first(train, data.max_train_pairs), held_out if count else None)


def _pair_collator(tokenizer: Any) -> PairCollator:
    special = SpecialIds.of(tokenizer)
    return PairCollator(special.pad, special.start)


def _first(rows: Dataset, count: int | None) -> Dataset:
    return rows if count is None else rows.select(range(min(count, len(rows))))
