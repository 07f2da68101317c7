"""How far a second writer's title is from the author's: what the scores of the embedded model are to be seen beside.

    python benchmarks/another_writer.py

`data/original/other_titles.jsonl` holds more hand-written titles for the synopses of the training split. One of them,
drawn at random, is scored against the author's as if a model had written it.

Result: benchmarks/results/another_writer.json
"""

import random
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.machine import write_result
from benchmarks.quality import carried_over
from training.data import load_pairs, read_json_lines
from training.evaluation import score
from training.metrics import lead_sentence

SEED = 0
SYNOPSES = 1000
ORIGINAL = Path(__file__).resolve().parents[1] / "data" / "original"


def main() -> None:
    """Score and write the result."""
    others = {row["title"]: row["others"] for row in read_json_lines(ORIGINAL / "other_titles.jsonl")}
    rows = [row for row in load_pairs(str(ORIGINAL / "pairs.jsonl"))["train"] if row["title"] in others]
    draw = random.Random(SEED)
    rows = draw.sample(rows, min(SYNOPSES, len(rows)))
    synopses, references = [row["synopsis"] for row in rows], [row["title"] for row in rows]
    written = [draw.choice(others[title]) for title in references]
    every = ["\n".join(others[title]) for title in references]
    result = {
        "pairs": len(rows),
        "another_title": score(written, references, []),
        "lead_sentence": score([lead_sentence(synopsis) for synopsis in synopses], references, []),
        "names": carried_over(synopses, references, written),
        "names_in_all": carried_over(synopses, references, every),
        "command": "python benchmarks/another_writer.py",
    }
    write_result("another_writer", result)


if __name__ == "__main__":
    main()
