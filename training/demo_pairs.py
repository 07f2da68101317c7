"""The training pairs of the embedded model's steps 2 and 3, from what the project holds.

    python training/demo_pairs.py --step 2 --out build/demo/pairs_2.jsonl
    python training/demo_pairs.py --step 3 --out build/demo/pairs_3.jsonl

Step 2 is mostly generated pairs: what a title takes from a synopsis. Step 3 is mostly hand-written titles, several for
each synopsis, once as they are and twice under other names. Held-out pairs are in neither.
"""

import argparse
import random
import sys
from itertools import islice
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from training.data import load_pairs, read_json_lines, with_all_splits
from training.evaluation import write_json_lines
from training.generate_pairs import generate_pairs
from training.other_titles import Pair, retitled_pairs
from training.rename_pairs import renamed_pairs

ORIGINAL = Path(__file__).resolve().parents[1] / "data" / "original"
GENERATED = {2: (0, 60_000), 3: (40_000, 49_000)}  # which of the generated pairs a step reads
SEED = 1


def demo_pairs(step: int, train: list[Pair], others: dict[str, list[str]], held_out: set[str]) -> list[Pair]:
    """Return the shuffled pairs of `step`.

    Args:
        step: 2 or 3.
        train: the original training pairs.
        others: more titles for some of them, by title.
        held_out: titles of validation and test.
    """
    generated = [_pair(row) for row in islice(generate_pairs(GENERATED[step][1], SEED), *GENERATED[step])]
    if step == 2:
        written = train + list(renamed_pairs(train, 5, SEED))
    else:
        titled = train + retitled_pairs(train, others, held_out)
        written = titled + list(renamed_pairs(titled, 2, SEED))
    rows = [row for row in generated + written if row["title"] not in held_out]
    random.Random(SEED).shuffle(rows)
    return rows


def _pair(row: dict[str, str]) -> Pair:
    return {"title": row["title"], "synopsis": row["synopsis"]}


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, choices=tuple(GENERATED), required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    splits = with_all_splits(load_pairs(str(ORIGINAL / "pairs.jsonl")), 0.05, 0.05)
    others = {row["title"]: row["others"] for row in read_json_lines(ORIGINAL / "other_titles.jsonl")}
    held_out = {title for split in ("validation", "test") for title in splits[split]["title"]}
    write_json_lines(arguments.out, demo_pairs(arguments.step, splits["train"].to_list(), others, held_out))


if __name__ == "__main__":
    main()
