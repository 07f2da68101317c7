"""The training pairs of the embedded model's steps 2 to 5, from what the project holds.

    python training/demo_pairs.py --step 2 --out build/demo/pairs_2

The folder then holds `train.jsonl`, and the original pairs that are never trained on in `validation.jsonl` and
`test.jsonl`. Step 2 is mostly generated pairs: what a title takes from a synopsis. Step 3 is mostly hand-written
titles, several for each synopsis, as they are and under other names, and sentences missing from synopses. Step 4 is
the hand-written titles, as they are and once under other names. Step 5, a trial, is what readers said of the titles that the
model wrote: `title` is one they liked, `rejected` one they did not.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from training.data import DataError, load_pairs, read_json_lines, with_all_splits
from training.evaluation import write_json_lines
from training.gap_sentences import gap_pairs
from training.generate_pairs import generate_pairs
from training.other_titles import Pair, retitled_pairs
from training.rename_pairs import KATAKANA, Renamer, renamed_pairs

ORIGINAL = Path(__file__).resolve().parents[1] / "data" / "original"
GENERATED = {2: (0, 60_000), 3: (40_000, 49_000), 4: (0, 0)}  # which of the generated pairs a step reads
RENAMED = {2: 5, 3: 6, 4: 1}  # how often the hand-written pairs come under other names
GAP_ROUNDS = 3  # step 3: sentences taken out of each synopsis
SEED = 1


def demo_pairs(step: int, train: list[Pair], others: dict[str, list[str]], held_out: set[str]) -> list[Pair]:
    """Return the shuffled training pairs of `step`.

    Args:
        step: 2, 3 or 4.
        train: the original training pairs.
        others: more titles for some of them, by title; step 2 does without them.
        held_out: titles of validation and test.
    """
    generated = [_pair(row) for row in islice(generate_pairs(GENERATED[step][1], SEED), *GENERATED[step])]
    titled = train if step == 2 else train + retitled_pairs(train, others, held_out)
    renamed = list(renamed_pairs(titled, RENAMED[step], SEED))
    gaps = _gaps(train, renamed) if step == 3 else []
    rows = [row for row in generated + titled + renamed if row["title"] not in held_out] + gaps
    random.Random(SEED).shuffle(rows)
    return rows


def _gaps(train: list[Pair], renamed: list[Pair]) -> list[Pair]:
    synopses = [row["synopsis"] for row in train]
    others = list(dict.fromkeys(row["synopsis"] for row in renamed))
    random.Random(SEED).shuffle(others)
    return list(gap_pairs(synopses + others[: (GAP_ROUNDS - 1) * len(synopses)], SEED))


def preferences(train: list[Pair], said: list[dict[str, str]], held_out: set[str]) -> list[Pair]:
    """Return shuffled rows of `synopsis`, `title` and `rejected`, as they are and once under other names.

    Args:
        train: the original training pairs.
        said: rows of `of` (the title of a training pair), `liked` and `rejected` (titles of its synopsis).
        held_out: titles of validation and test.

    Raises:
        DataError: a row whose pair is not among the training pairs, or whose liked title is held out.
    """
    synopses = {pair["title"]: pair["synopsis"] for pair in train}
    for row in said:
        if row["of"] not in synopses or row["liked"] in held_out:
            what = "the title is held out" if row["of"] in synopses else "there is no training pair of this title"
            raise DataError(f"{row['liked']} for {row['of']}: {what}.")
    rows = [{"synopsis": synopses[row["of"]], "title": row["liked"], "rejected": row["rejected"]} for row in said]
    rows += _renamed_preferences([row for row in rows if not _cuts_a_name(row)], Renamer(train, SEED))
    random.Random(SEED).shuffle(rows)
    return rows


def _cuts_a_name(row: Pair) -> bool:
    """Whether the rejected title has a part of a name: under another name it would be a stranger's."""
    names = set(KATAKANA.findall(row["synopsis"]))
    return any(run not in names and any(run in name for name in names) for run in KATAKANA.findall(row["rejected"]))


def _renamed_preferences(rows: list[Pair], renamer: Renamer) -> Iterator[Pair]:
    """Yield the rows of stories that have names to change; those of one synopsis change together."""
    stories: dict[str, list[Pair]] = {}
    for row in rows:
        stories.setdefault(row["synopsis"], []).append(row)
    for synopsis, group in stories.items():
        other, titles = renamer.rename(synopsis, [title for row in group for title in (row["title"], row["rejected"])])
        if other != synopsis:
            pairs = zip(titles[::2], titles[1::2], strict=True)
            yield from ({"synopsis": other, "title": liked, "rejected": rejected} for liked, rejected in pairs)


def _pair(row: dict[str, Any]) -> Pair:
    return {"title": row["title"], "synopsis": row["synopsis"]}


def main(argv: list[str] | None = None) -> None:
    """Write the three splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, choices=(*GENERATED, 5), required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    splits = with_all_splits(load_pairs(str(ORIGINAL / "pairs.jsonl")), 0.05, 0.05)
    rows = {split: splits[split].to_list() for split in ("validation", "test")}
    held_out = {row["title"] for split in rows.values() for row in split}
    if arguments.step == 5:
        said = list(read_json_lines(ORIGINAL / "preferences.jsonl"))
        rows = {split: [row | {"rejected": ""} for row in pairs] for split, pairs in rows.items()}
        rows["train"] = preferences(splits["train"].to_list(), said, held_out)
    else:
        others = {row["title"]: row["others"] for row in read_json_lines(ORIGINAL / "other_titles.jsonl")}
        rows["train"] = demo_pairs(arguments.step, splits["train"].to_list(), others, held_out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for split, pairs in rows.items():
        write_json_lines(arguments.out / f"{split}.jsonl", pairs)


if __name__ == "__main__":
    main()
