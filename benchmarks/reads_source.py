"""Does a model read? Its loss on titles with their own synopsis, and with another story's.

    python benchmarks/reads_source.py --model models/demo

Equal losses mean that the model writes likely titles and ignores what it is given. Result: benchmarks/results/reads_source.json
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torch.nn.functional import cross_entropy

from benchmarks.machine import facts, write_result
from titlegen import load_pipeline
from titlegen.pipeline import TitleGenerationPipeline
from training.data import load_pairs, with_all_splits
from training.tensors import PairCollator


@torch.no_grad()
def title_loss(pipe: TitleGenerationPipeline, synopses: list[str], titles: list[str]) -> float:
    """Return the mean loss over the tokens of `titles`, given `synopses`."""
    start = pipe.model.generation_config.decoder_start_token_id
    collate = PairCollator(pipe.tokenizer.pad_token_id, start)
    total = count = 0
    for i in range(0, len(titles), 16):
        rows = [
            {
                "input_ids": pipe.codec.encode_synopsis(s, pipe.max_source_tokens),
                "labels": pipe.codec.encode_title(t, 64),
            }
            for s, t in zip(synopses[i : i + 16], titles[i : i + 16], strict=True)
        ]
        batch = collate(rows)
        labels = batch.pop("labels").flatten()
        logits = pipe.model(**batch).logits.flatten(0, 1)
        total += cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
        count += labels.ne(-100).sum().item()
    return round(total / count, 4)


def main() -> None:
    """Measure on the held-out test pairs and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--pairs", default="data/original/pairs.jsonl")
    parser.add_argument("--name", default="reads_source")
    arguments = parser.parse_args()
    test = with_all_splits(load_pairs(arguments.pairs), 0.05, 0.05)["test"]
    synopses, titles = list(test["synopsis"]), list(test["title"])
    pipe = load_pipeline(arguments.model, device="cpu")
    own, other = title_loss(pipe, synopses, titles), title_loss(pipe, synopses[1:] + synopses[:1], titles)
    result = {"pairs": len(titles), "loss_own_synopsis": own, "loss_another_synopsis": other, "machine": facts()}
    write_result(arguments.name, result | {"command": f"python benchmarks/reads_source.py --name {arguments.name}"})


if __name__ == "__main__":
    main()
