"""How long cleaning, deduplicating and splitting take, and how much memory, for 10,000 to a million rows.

    python benchmarks/data_scale.py --rows 10000 100000 1000000

The rows are made from the bundled pairs: sentences and halves of titles put together anew, three works by each author,
one row in twenty a near copy of another, one in five with notices. Results go to `benchmarks/results/data_scale.json`.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import psutil

from benchmarks.machine import facts, write_result
from training.data import read_json_lines

PAIRS = ROOT / "data" / "original" / "pairs.jsonl"
RESULTS = ROOT / "benchmarks" / "results" / "data_scale.json"
NOTICES = (
    "※カクヨムにも掲載しています。",
    "毎日18時に更新します。",
    "書籍化が決定しました！ ありがとうございます！",
    "感想をいただけると励みになります。",
)
FIRST_DAY = datetime(2015, 1, 1)


def make_rows(count: int, seed: int = 0) -> Iterator[dict]:
    """Yield `count` rows as a collection would have them."""
    rng = random.Random(seed)
    pairs = list(read_json_lines(PAIRS))
    titles = [pair["title"] for pair in pairs]
    sentences = sorted({s for pair in pairs for s in pair["synopsis"].replace("。", "。\n").split("\n") if len(s) > 12})
    synopsis = ""
    for i in range(count):
        if i % 20 or not synopsis:
            synopsis = "\n".join(_altered(rng.choice(sentences), rng) for _ in range(rng.randint(3, 7)))
        else:
            synopsis = synopsis.replace("、", "", 1) + "つづく。"  # a near copy of the row before
        head, tail = rng.choice(titles), rng.choice(titles)
        title = head[: len(head) // 2] + tail[len(tail) // 2 :] + chr(0x4E00 + rng.randrange(5000))
        debut = random.Random(i // 3).randrange(10 * 365)  # an author's three works come within three months
        day = FIRST_DAY + timedelta(days=debut, minutes=rng.randrange(90 * 24 * 60))
        notice = "\n\n" + rng.choice(NOTICES) if rng.random() < 0.2 else ""
        yield {
            "ncode": f"N{i:07d}", "userid": 1 + i // 3, "title": title, "synopsis": synopsis + notice,
            "first_published": day.isoformat(" "),
        }  # fmt: skip


def _altered(sentence: str, rng: random.Random) -> str:
    """Exchange two characters, so that the sentence's 4-grams are not always the same."""
    letters = list(sentence)
    for _ in range(2):
        letters[rng.randrange(len(letters) - 1)] = chr(0x4E00 + rng.randrange(3000))
    return "".join(letters)


def measure(count: int, workers: int) -> dict:
    """Build a data set of `count` rows in a process of its own; return seconds and the peak of its memory."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        source, out = Path(folder) / "rows.jsonl", Path(folder) / "out"
        with source.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in make_rows(count))
        command = [sys.executable, "training/build_dataset.py", "--input", str(source), "--out", str(out)]
        start, cpu = time.monotonic(), os.times()
        process = subprocess.Popen([*command, "--workers", str(workers)], cwd=ROOT, stdout=subprocess.DEVNULL)
        peak = _watch(process)
        used = os.times()
        if process.returncode:
            raise SystemExit(f"The build of {count:,} rows failed with status {process.returncode}.")
        facts = json.loads((out / "build.json").read_text(encoding="utf-8"))
    return {
        "rows": count,
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(used.children_user + used.children_system - cpu.children_user - cpu.children_system, 1),
        "peak_mib": round(peak / 2**20),
        "rows_out": facts["rows_out"],
        "near_duplicates": sum(row["rows"] for row in facts["dropped"] if row["reason"] == "near_duplicate"),
        "counts": facts["counts"],
    }


def _watch(process: subprocess.Popen) -> int:
    """Return the peak of the memory of a process and its children: proportional set size, bytes, every half second."""
    peak, parent = 0, psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for member in _family(parent):
            try:
                total += member.memory_full_info().pss
            except psutil.Error:
                continue  # it ended meanwhile
        peak = max(peak, total)
        time.sleep(0.5)
    return peak


def _family(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def main() -> None:
    """Measure each size, print and keep the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["measured"] if RESULTS.exists() else []
    for count in arguments.rows:
        result = measure(count, arguments.workers) | {"workers": arguments.workers, "load_before": os.getloadavg()[0]}
        print(json.dumps(result))
        known = sorted([r for r in known if r["rows"] != count] + [result], key=lambda r: r["rows"])
        write_result(
            "data_scale", {"command": "python benchmarks/data_scale.py", "machine": facts(), "measured": known}
        )


if __name__ == "__main__":
    main()
