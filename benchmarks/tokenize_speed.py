"""How fast pairs become tensors: the project's codec against the plain tokenizer call, in one run.

    python benchmarks/tokenize_speed.py --pairs build/generated.jsonl --tokenizer models/demo

Texts are brought to median lengths of real pairs (synopsis 187, title 15 characters). Result: benchmarks/results/tokenize.json
"""

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets import Dataset, disable_caching

from benchmarks.machine import facts, write_result
from titlegen.text import normalise
from training.data import load_pairs
from training.tensors import tokenize
from training.tokenizer import load_tokenizer

SYNOPSIS_CHARACTERS, TITLE_CHARACTERS = 187, 15


def median_pairs(pairs: Dataset, count: int) -> Dataset:
    """Return `count` different pairs of median length, cut from the pairs' own running text."""
    text = "".join(pairs["synopsis"])
    need = SYNOPSIS_CHARACTERS + TITLE_CHARACTERS
    starts = itertools.islice(itertools.cycle(range(0, len(text) - need, need)), count)
    cuts = [text[s + (i * need) // len(text) :][:need] for i, s in enumerate(starts)]
    return Dataset.from_list(
        [{"synopsis": cut[:SYNOPSIS_CHARACTERS], "title": cut[SYNOPSIS_CHARACTERS:]} for cut in cuts]
    )


def pairs_per_second(run, pairs: Dataset, repeats: int) -> float:
    """Return the median rate of `run(pairs)`."""
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(pairs)
        rates.append(len(pairs) / (time.perf_counter() - start))
    return round(statistics.median(rates), 1)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--tokenizer", default="models/demo")
    parser.add_argument("--count", type=int, default=30000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    disable_caching()
    tokenizer = load_tokenizer(arguments.tokenizer)
    pairs = median_pairs(load_pairs(arguments.pairs)["train"], arguments.count)

    def plain(rows: Dataset) -> None:
        # What a user would write: the tokenizer, mapped in batches with the same processes.
        for row in rows:
            tokenizer(normalise(row["synopsis"])), tokenizer(normalise(row["title"]))

    ours = pairs_per_second(lambda p: tokenize(p, tokenizer, 512, 64, arguments.workers), pairs, 3)
    one = pairs_per_second(lambda p: tokenize(p, tokenizer, 512, 64, 1), pairs, 3)
    theirs = pairs_per_second(plain, pairs.select(range(min(3000, len(pairs)))), 3)
    result = {
        "pairs": len(pairs),
        "workers": arguments.workers,
        "pairs_per_second": ours,
        "pairs_per_second_one_process": one,
        "plain_tokenizer_one_process": theirs,
        "ratio_one_process": round(one / theirs, 2),
        "seconds_for_100000_pairs": round(100000 / ours, 1),
    }
    write_result("tokenize", result | {"machine": facts(), "command": "python benchmarks/tokenize_speed.py"})


if __name__ == "__main__":
    main()
