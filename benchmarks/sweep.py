"""Which defaults suit the embedded model: guidance, beams, penalties, temperature and top-p on validation pairs.

    python benchmarks/sweep.py --model models/demo

Result: benchmarks/results/sweep.json. Read: high rougeL and carried-over names, few broken titles, distinct_2 near real titles.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.machine import facts, write_result
from benchmarks.quality import carried_over, is_broken, write
from titlegen import GenerationSettings, load_pipeline
from training.data import load_pairs, with_all_splits
from training.evaluation import score

BEAM = [
    {"num_titles": 1} | values
    for values in (
        {},
        {"num_beams": 5},
        {"num_beams": 8},
        {"known_words": False},
        {"guidance": 0.0},
        {"guidance": 0.6},
        {"repetition_penalty": 1.2},
        {"repetition_penalty": 1.8},
        {"no_repeat_ngram_size": 3},
        {"length_penalty": 2.0},
    )
]
SAMPLE = [
    {"method": "sample", "num_titles": 1} | values
    for values in (
        {"temperature": 0.6, "guidance": 0.3},
        {"temperature": 0.9, "guidance": 0.3},
        {"temperature": 0.8, "top_p": 0.8, "guidance": 0.6},
    )
]
DIVERSE = [{"method": "diverse", "temperature": 0.8, "guidance": g} for g in (0.0, 0.4)]


def main() -> None:
    """Score every setting on the validation pairs and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--pairs", default="data/original/pairs.jsonl")
    parser.add_argument("--limit", type=int, default=60)
    arguments = parser.parse_args()
    pipe = load_pipeline(arguments.model)
    rows = with_all_splits(load_pairs(arguments.pairs), 0.05, 0.05)["validation"].to_list()[: arguments.limit]
    synopses, references = [row["synopsis"] for row in rows], [row["title"] for row in rows]
    table = []
    for values in [*BEAM, *SAMPLE, *DIVERSE]:
        start = time.perf_counter()
        titles = [titles[0] if titles else "" for titles in write(pipe, synopses, GenerationSettings(**values))]
        scores = score(titles, references)
        kept = ("rouge1", "rougeL", "chrf", "distinct_2", "mean_length")
        table.append(
            values
            | {name: scores[name] for name in kept}
            | carried_over(synopses, references, titles)
            | {
                "broken_percent": round(100 * sum(map(is_broken, titles)) / len(titles), 2),
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
        print(table[-1], flush=True)
    real = {"distinct_2": score(references, references)["distinct_2"]}
    write_result("sweep", {"pairs": len(rows), "real_titles": real, "settings": table, "machine": facts()})


if __name__ == "__main__":
    main()
