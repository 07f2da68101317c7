"""How good the embedded model is on text it never saw: metrics, baselines, names carried over, broken titles.

    python benchmarks/quality.py --model models/demo --pairs data/original/pairs.jsonl --split test --name quality_original
    python benchmarks/quality.py --model models/demo --pairs REAL_PAIRS.jsonl --name quality_real --known data/original/pairs.jsonl

Result: benchmarks/results/NAME.json
"""

import argparse
import random
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import fugashi

from benchmarks.machine import facts, write_result
from titlegen import GenerationSettings, load_pipeline
from titlegen.constraints import open_brackets
from titlegen.novelty import known_titles
from titlegen.pipeline import TitleGenerationPipeline
from titlegen.text import canonical
from training.baselines import nearest_titles
from training.data import load_pairs, with_all_splits
from training.evaluation import score
from training.metrics import lead_sentence

LOOP = re.compile(r"(.{2,}?)\1\1")
STRESSED = re.compile(r"『([^』]{1,12})』|「([^」]{1,12})」|([ァ-ヴー]{3,})")


@lru_cache(maxsize=1)
def _tagger() -> fugashi.Tagger:
    return fugashi.Tagger()


def stressed_words(text: str) -> set[str]:
    """Return the names, skills and places of `text`: quoted words, katakana words, proper nouns."""
    quoted = {group for match in STRESSED.finditer(canonical(text)) for group in match.groups() if group}
    names = {word.surface for word in _tagger()(canonical(text)) if word.feature.pos2 == "固有名詞"}
    return {word for word in quoted | names if len(word) > 1}


def carried_over(synopses: list[str], references: list[str], titles: list[str]) -> dict[str, float]:
    """Return how often the stressed words that the author carried into the title stand in the model's title too."""
    hits = [
        word in title
        for synopsis, reference, title in zip(synopses, references, titles, strict=True)
        for word in stressed_words(reference)
        if word in canonical(synopsis)
    ]
    return {"cases": len(hits), "carried_over": round(100 * sum(hits) / max(1, len(hits)), 2)}


def is_broken(title: str) -> bool:
    """Empty, an unknown token, unbalanced brackets, or a loop."""
    return not title or "[UNK]" in title or open_brackets(title) != [] or bool(LOOP.search(title))


def write(pipe: TitleGenerationPipeline, synopses: list[str], settings: GenerationSettings) -> list[list[str]]:
    """Return the titles of each synopsis, best first."""
    # One by one, as the page does: in a batch all would wait for the longest title.
    return [[title["generated_text"] for title in pipe(synopsis, settings=settings)] for synopsis in synopses]


def measure(
    pipe: TitleGenerationPipeline, rows: list[dict[str, str]], known: list[dict[str, str]], learnt: list[str]
) -> dict[str, Any]:
    """Return everything the card says about quality.

    Args:
        known: the training pairs, among which the nearest neighbour is looked for.
        learnt: every title that was trained on.
    """
    synopses, references = [row["synopsis"] for row in rows], [row["title"] for row in rows]
    titles_of_known = [row["title"] for row in known]
    written = write(pipe, synopses, GenerationSettings())
    best = [titles[0] if titles else "" for titles in written]
    everything = [title for titles in written for title in titles][:1000]
    neighbours = nearest_titles(synopses, [row["synopsis"] for row in known], titles_of_known)
    leads = [lead_sentence(synopsis) for synopsis in synopses]
    return {
        "pairs": len(rows),
        "model": score(best, references, learnt),
        "lead_sentence": score(leads, references, titles_of_known),
        "nearest_neighbour": score(neighbours, references, titles_of_known),
        "real_titles": score(references, references, titles_of_known),
        "names": carried_over(synopses, references, best),
        "names_in_five": carried_over(synopses, references, ["\n".join(titles) for titles in written]),
        "broken_percent": round(100 * sum(map(is_broken, everything)) / len(everything), 2),
        "broken_counted_over": len(everything),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--split", help="score only this held-out split; without it, all pairs")
    parser.add_argument("--known", default="data/original/pairs.jsonl", help="the training pairs")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    known = with_all_splits(load_pairs(arguments.known), 0.05, 0.05)["train"].to_list()
    pairs = load_pairs(arguments.pairs)
    rows = with_all_splits(pairs, 0.05, 0.05)[arguments.split] if arguments.split else pairs["train"]
    rows = rows.to_list()
    random.Random(0).shuffle(rows)
    index = known_titles(arguments.model)
    learnt = index.titles if index else [row["title"] for row in known]
    result = measure(load_pipeline(arguments.model), rows[: arguments.limit], known, learnt)
    command = f"python benchmarks/quality.py --name {arguments.name}"
    write_result(arguments.name, result | {"split": arguments.split, "machine": facts(), "command": command})


if __name__ == "__main__":
    main()
