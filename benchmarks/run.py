"""Every measurement that needs only this repository, one after the other (about half an hour on two cores).

python benchmarks/run.py
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = "build/generated.jsonl"
COMMANDS = [
    ["training/generate_pairs.py", "--count", "20000", "--seed", "0", "--out", GENERATED],
    ["benchmarks/tokenize_speed.py", "--pairs", GENERATED],
    ["benchmarks/generation_speed.py"],
    ["benchmarks/training_speed.py", "--size", "demo"],
    ["benchmarks/quality.py", "--pairs", "data/original/pairs.jsonl", "--split", "test", "--name", "quality_original"],
    ["benchmarks/sweep.py"],
]


def main() -> None:
    """Run each in a process of its own, so that none warms another's caches."""
    for command in COMMANDS:
        print("$ python", *command, flush=True)
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
