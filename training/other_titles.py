"""Pairs from the other titles of the same synopses: what else could this story be called?

    python training/other_titles.py --pairs data/original/pairs.jsonl --titles data/original/other_titles.jsonl --out FILE

Several titles for one synopsis teach a model what they share, the synopsis, at a fraction of the cost of new pairs. Only
pairs of the training split have any: the others stay unseen.
"""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from training.data import DataError, load_pairs, read_json_lines, with_all_splits
from training.evaluation import write_json_lines

Pair = dict[str, str]


def retitled_pairs(pairs: list[Pair], others: dict[str, list[str]], held_out: set[str]) -> list[Pair]:
    """Return a pair for each of the `others` (title of the pair -> its other titles), in the order of `pairs`.

    Raises:
        DataError: other titles for a title that is no pair's, or one that is a held-out title.
    """
    synopses = {pair["title"]: pair["synopsis"] for pair in pairs}
    if unknown := sorted(set(others) - set(synopses)):
        raise DataError(
            f"No training pair has the title {unknown[0]} ({len(unknown)} such): remove it from the titles."
        )
    rows = [
        {"title": title, "synopsis": synopsis} for own, synopsis in synopses.items() for title in others.get(own, ())
    ]
    if leaked := [row["title"] for row in rows if row["title"] in held_out]:
        raise DataError(f"The title {leaked[0]} is held out for testing: remove it from the other titles.")
    return rows


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True)
    parser.add_argument(
        "--titles", type=Path, required=True, help="JSON Lines of `title` (of a pair) and `others` (a list)"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    splits = with_all_splits(load_pairs(arguments.pairs), 0.05, 0.05)
    others = {row["title"]: row["others"] for row in read_json_lines(arguments.titles)}
    held_out = {title for split in ("validation", "test") for title in splits[split]["title"]}
    write_json_lines(arguments.out, retitled_pairs(splits["train"].to_list(), others, held_out))


if __name__ == "__main__":
    main()
