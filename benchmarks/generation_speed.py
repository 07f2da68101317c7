"""How long a visitor waits: loading, the first title, five titles by each method; and the pipeline against bare generate().

    python benchmarks/generation_speed.py --model models/demo

Result: benchmarks/results/generation.json. Single times on a shared machine mean little; the ratios are of one run.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from benchmarks.machine import facts, write_result
from titlegen import GenerationSettings, load_pipeline
from training.data import load_pairs

SETTINGS = {
    "greedy": GenerationSettings(num_titles=1, num_beams=1),
    "beam_5": GenerationSettings(num_titles=5, num_beams=5),
    "default": GenerationSettings(),
    "sample_5": GenerationSettings(method="sample", num_titles=5),
    "diverse_5": GenerationSettings(method="diverse", num_titles=5),
}


def seconds(run, inputs) -> float:
    """Return the median time of `run` over `inputs`, after one warm-up."""
    run(inputs[0])
    times = []
    for text in inputs:
        start = time.perf_counter()
        run(text)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times), 3)


def bare_generate(pipe, text: str) -> str:
    """What a user without the pipeline would write: encode, generate with the same beams, decode."""
    ids = torch.tensor([pipe.codec.encode_synopsis(text, pipe.max_source_tokens)])
    with torch.no_grad():
        written = pipe.model.generate(ids, num_beams=5, num_return_sequences=5, no_repeat_ngram_size=3)
    return pipe.tokenizer.batch_decode(written, skip_special_tokens=True)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--pairs", default="data/original/pairs.jsonl")
    parser.add_argument("--inputs", type=int, default=20)
    arguments = parser.parse_args()
    synopses = load_pairs(arguments.pairs)["train"]["synopsis"][: arguments.inputs]
    start = time.perf_counter()
    pipe = load_pipeline(arguments.model)
    result = {"load_seconds": round(time.perf_counter() - start, 3)}
    for name, settings in SETTINGS.items():
        result[f"{name}_seconds"] = seconds(lambda text, s=settings: pipe(text, settings=s), synopses)
    result["bare_generate_beam_5_seconds"] = seconds(lambda text: bare_generate(pipe, text), synopses)
    result["pipeline_over_bare"] = round(result["beam_5_seconds"] / result["bare_generate_beam_5_seconds"], 2)
    batch = time.perf_counter()
    pipe(list(synopses), settings=SETTINGS["greedy"], batch_size=16)
    result["greedy_batch_16_titles_per_second"] = round(len(synopses) / (time.perf_counter() - batch), 1)
    result |= {"inputs": len(synopses), "machine": facts(), "command": "python benchmarks/generation_speed.py"}
    write_result("generation", result)


if __name__ == "__main__":
    main()
