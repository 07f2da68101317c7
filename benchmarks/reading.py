"""Fifty held-out synopses with five titles each, as they come, for people to read.

    python benchmarks/reading.py --model models/demo

Result: benchmarks/reading.md. The first lines, what readers counted, are written by hand and kept.
"""

import argparse
import random
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.quality import write
from titlegen import GenerationSettings, load_pipeline
from training.data import load_pairs, with_all_splits
from training.files import write_text

PAGE = Path(__file__).with_name("reading.md")
MARK = "<!-- as they came -->"
HEAD = "# Read by people\n\nNobody has read these yet.\n\n"


def main() -> None:
    """Write the titles below the mark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--pairs", default="data/original/pairs.jsonl")
    parser.add_argument("--count", type=int, default=50)
    arguments = parser.parse_args()
    rows = with_all_splits(load_pairs(arguments.pairs), 0.05, 0.05)["test"].to_list()
    rows = random.Random(50).sample(rows, arguments.count)
    written = write(load_pipeline(arguments.model), [row["synopsis"] for row in rows], GenerationSettings())
    head = PAGE.read_text(encoding="utf-8").split(MARK)[0] if PAGE.exists() else HEAD
    write_text(PAGE, head + MARK + "\n\n" + "\n".join(map(_section, range(1, len(rows) + 1), rows, written)))


def _section(number: int, row: dict[str, str], titles: list[str]) -> str:
    synopsis = row["synopsis"].replace("\n", "  \n> ")
    lines = [f"## {number}", "", f"> {synopsis}", "", *(f"- {title}" for title in titles)]
    return "\n".join([*lines, "", f"The author's title: {row['title']}", ""])


if __name__ == "__main__":
    main()
