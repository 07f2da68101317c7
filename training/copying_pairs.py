"""Pairs that teach a fresh model to look: find the quoted words in a passage and write them down.

    python training/copying_pairs.py --pairs build/demo/generated.jsonl --texts TEXTS.jsonl.xz --count 40000 --out build/demo/copying.jsonl

A small encoder-decoder trained on titles at once learns to write likely titles and never to read: its cross-attention
stays uniform, and the loss is the same with another story's synopsis. A few hundred steps of copying from short
passages wake it up (benchmarks/embedded_model.md). The passages are sentences of synopses and of plain texts.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from titlegen.text import flatten_synopsis
from training.data import load_pairs, load_texts
from training.evaluation import write_json_lines

SENTENCE = (6, 34)  # characters
TITLE_CHARACTERS = 24
FROM_TEXT = 4000  # characters read from the middle of each text


def copying_pairs(titles: list[str], sentences: list[str], seed: int) -> Iterator[dict[str, str]]:
    """Yield, without end, passages of two sentences with quoted words between them, and those words as title."""
    draw = random.Random(seed)
    while True:
        before, after = draw.choice(sentences), draw.choice(sentences)
        quoted = draw.choice(titles if draw.random() < 0.6 else sentences).strip("。")[:TITLE_CHARACTERS]
        if "「" not in quoted and "」" not in quoted:
            yield {"title": quoted, "synopsis": f"{before}「{quoted}」{after}"}


def sentences_of(texts: list[str]) -> list[str]:
    """Return the short sentences of `texts`, each with its full stop."""
    parts = (part.strip() for text in texts for part in flatten_synopsis(text).split("。"))
    return [part + "。" for part in parts if SENTENCE[0] <= len(part) <= SENTENCE[1] and "「" not in part]


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True, help="pairs whose titles are quoted")
    parser.add_argument("--texts", help="plain texts (column `text`) for more sentences")
    parser.add_argument("--count", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pairs = load_pairs(arguments.pairs)["train"]
    texts = list(pairs["synopsis"][:5000])
    if arguments.texts:
        whole = load_texts(arguments.texts)["text"]
        texts += [text[len(text) // 3 :][:FROM_TEXT] for text in whole]
    rows = copying_pairs(list(pairs["title"]), sentences_of(texts), arguments.seed)
    write_json_lines(arguments.out, list(islice(rows, arguments.count)))


if __name__ == "__main__":
    main()
