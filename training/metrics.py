"""How good titles are: one metric class for training, the final test and the benchmarks.

The stock ROUGE tokenizer deletes Japanese letters (identical titles score 0, titles that share "Re:2" score 1), so
words come from MeCab and characters are counted as they are. Nothing is fetched: the class is here, not on the Hub.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import datasets
import evaluate
from rouge_score import rouge_scorer
from sacrebleu.metrics import CHRF
from transformers.models.bert_japanese.tokenization_bert_japanese import MecabTokenizer

from titlegen.text import canonical

ROUGE = ("rouge1", "rouge2", "rougeL")


@lru_cache(maxsize=1)
def _mecab() -> MecabTokenizer:
    return MecabTokenizer(mecab_dic="unidic_lite")


def words(text: str) -> list[str]:
    """Return the MeCab words of `text`."""
    return _mecab().tokenize(canonical(text))


def characters(text: str) -> list[str]:
    """Return the characters of `text` without spaces."""
    return [c for c in canonical(text) if c != " "]


class _Units:
    """rouge_score asks for an object with `tokenize`."""

    def __init__(self, split: Callable[[str], list[str]]):
        self.tokenize = split


class TitleMetric(evaluate.Metric):
    """ROUGE-1/2/L over words and characters, chrF, distinct-1/2, length and copies, all but lengths from 0 to 100."""

    def __init__(self, known_titles: Iterable[str] = (), **kwargs):
        """`known_titles`: the training titles; a prediction equal to one of them is a copy."""
        super().__init__(**kwargs)
        self.known = {canonical(title) for title in known_titles}

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description="predictions and references: one title each",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        scores = {}
        for name, split in (("", words), ("_characters", characters)):
            for key, value in _rouge(predictions, references, split).items():
                scores[key + name] = value
        scores["chrf"] = CHRF().corpus_score(list(predictions), [list(references)]).score
        scores["distinct_1"] = distinct(predictions, 1)
        scores["distinct_2"] = distinct(predictions, 2)
        scores["mean_length"] = sum(map(len, predictions)) / len(predictions)
        scores["mean_reference_length"] = sum(map(len, references)) / len(references)
        scores["copies"] = 100 * sum(canonical(p) in self.known for p in predictions) / len(predictions)
        return {name: round(value, 4) for name, value in scores.items()}


def _rouge(
    predictions: Sequence[str], references: Sequence[str], split: Callable[[str], list[str]]
) -> dict[str, float]:
    scorer = rouge_scorer.RougeScorer(list(ROUGE), tokenizer=_Units(split))
    totals = dict.fromkeys(ROUGE, 0.0)
    for prediction, reference in zip(predictions, references, strict=True):
        for name, score in scorer.score(reference, prediction).items():
            totals[name] += score.fmeasure
    return {name: 100 * total / len(predictions) for name, total in totals.items()}


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the share of different word n-grams among all (Li et al., NAACL 2016), 0 to 100."""
    grams = [tuple(w[i : i + n]) for w in map(words, texts) for i in range(len(w) - n + 1)]
    return 100 * len(set(grams)) / len(grams) if grams else 0.0


def lead_sentence(synopsis: str, max_characters: int = 40) -> str:
    """Return the baseline title that needs no model: the synopsis's first sentence, cut."""
    text = canonical(synopsis)
    ends = [i for sign in "。！？" if (i := text.find(sign)) > 0]
    return text[: min([*ends, max_characters])]
