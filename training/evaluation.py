"""Scoring a model the way it is used: through the pipeline, spread over all processes, every row exactly once."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from titlegen.pipeline import TitleGenerationPipeline
from titlegen.settings import MAX_SYNOPSIS_CHARACTERS, GenerationSettings
from training.baselines import nearest_titles
from training.config import TitleTrainingArguments
from training.examples import Examples
from training.metrics import TitleMetric, lead_sentence

GREEDY = GenerationSettings(num_titles=1, num_beams=1)


def write_titles(
    pipe: TitleGenerationPipeline,
    synopses: list[str],
    settings: GenerationSettings,
    batch_size: int = 16,
    show: bool = False,
) -> list[str]:
    """Return the best title of each synopsis, on every process; each process writes its share.

    Raises:
        RuntimeError: a process lost or doubled rows (which would make every score wrong).
    """
    state = PartialState()
    # Similar lengths share a batch; the numbers bring the titles back into their places.
    order = sorted(range(len(synopses)), key=lambda i: -len(synopses[i]))
    mine: list[tuple[int, str]] = []
    with state.split_between_processes(order) as rows:
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        for batch in tqdm(batches, desc="Write titles", disable=not (show and state.is_main_process)):
            # Longer ones are refused from people; training cuts them, and so does its test.
            results = pipe(
                [synopses[i][:MAX_SYNOPSIS_CHARACTERS] for i in batch], settings=settings, batch_size=batch_size
            )
            mine += [
                (i, titles[0]["generated_text"] if titles else "") for i, titles in zip(batch, results, strict=True)
            ]
    titles = dict(gather_object(mine))
    if len(titles) != len(synopses):
        raise RuntimeError(
            f"{len(synopses)} synopses went out to {state.num_processes} processes, {len(titles)} titles came back."
        )
    return [titles[i] for i in range(len(synopses))]


def score(titles: list[str], references: list[str], known_titles: Sequence[str] = ()) -> dict[str, float]:
    """Return the metrics of `titles`; computed in this process alone, without a shared cache file."""
    metric = TitleMetric(known_titles=known_titles, keep_in_memory=True)
    return metric.compute(predictions=titles, references=references)


def final_test(pipe: TitleGenerationPipeline, examples: Examples, arguments: TitleTrainingArguments) -> dict[str, Any]:
    """Score the test pairs with beam search, write `predictions.jsonl`, return the metrics beside the baselines'."""
    synopses, references = list(examples.test["synopsis"]), list(examples.test["title"])
    settings = GenerationSettings(num_titles=1, num_beams=arguments.generation_num_beams)
    titles = write_titles(pipe, synopses, settings, arguments.per_device_eval_batch_size, show=True)
    if not PartialState().is_main_process:
        return {}
    rows = [{"synopsis": s, "reference": r, "title": t} for s, r, t in zip(synopses, references, titles, strict=True)]
    write_json_lines(Path(arguments.output_dir) / "predictions.jsonl", rows)
    leads = [lead_sentence(synopsis) for synopsis in synopses]
    nearest = nearest_titles(synopses, list(examples.train_pairs["synopsis"]), examples.known_titles)
    return {
        "pairs": len(rows),
        "num_beams": settings.num_beams,
        "model": score(titles, references, examples.known_titles),
        "lead_sentence": score(leads, references, examples.known_titles),
        "nearest_neighbour": score(nearest, references, examples.known_titles),
    }


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows to `path`, whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path: Path, text: str) -> None:
    """Write `text` to a temporary name, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
