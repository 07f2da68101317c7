"""Pairs from synopses alone: one sentence is taken out, and is what the model writes (Zhang et al., ICML 2020).

A few thousand synopses have few titles but many sentences. Writing the missing one takes what a title takes, names
included, from the rest; and a model that also does this learns fewer titles by heart.
"""

import random
import re
from collections.abc import Iterable, Iterator

from training.rename_pairs import Pair

GAP = "＿＿"  # stands where the sentence was; no synopsis holds it, so titles and sentences are not confused
SENTENCE = re.compile(r"[^。！？\n]+[。！？]+[」』]?")
LENGTH = (8, 60)  # characters of a sentence worth guessing
FEWEST = 3  # sentences, that something is left to guess from


def gap_pairs(synopses: Iterable[str], seed: int) -> Iterator[Pair]:
    """Yield a pair for each synopsis of at least three sentences: one of them is the title, `GAP` its place."""
    draw = random.Random(seed)
    for synopsis in synopses:
        sentences = list(SENTENCE.finditer(synopsis))
        fitting = [s for s in sentences if LENGTH[0] <= len(s.group()) <= LENGTH[1]]
        if len(sentences) >= FEWEST and fitting:
            taken = draw.choice(fitting)
            yield {
                "title": taken.group().strip(),
                "synopsis": synopsis[: taken.start()] + GAP + synopsis[taken.end() :],
            }
