"""Cards from facts: every number a card shows is taken from a file of the run, and an empty slot is an error."""

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import CardData, DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData, RepoCard

from training.trees import PublishError

ROOT = Path(__file__).resolve().parents[1]
TESTED_TRANSFORMERS = ("5.23.0", "4.57.6")  # tests/test_loading_versions.py loads a published model with both
SYSTEMS = {
    "model": "this model",
    "lead_sentence": "first sentence of the synopsis",
    "nearest_neighbour": "title of the nearest training synopsis",
}
METRICS = {  # key in metrics.json -> (name in the card, metric id of the Hub)
    "rougeL": ("ROUGE-L, words", "rouge"),
    "rougeL_characters": ("ROUGE-L, characters", "rouge"),
    "chrf": ("chrF", "chrf"),
}


@dataclass(frozen=True)
class RunFacts:
    """What the files of a finished run say about it."""

    metrics: dict[str, Any]
    recipe: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def dataset(self) -> str | None:
        """The Hub id of the data it was trained on, if it has one."""
        return _hub_id(self.recipe.get("dataset"))

    @property
    def base_model(self) -> str | None:
        """The Hub id of the model it began with, if it has one."""
        return _hub_id(self.metrics.get("base_model"))


def read_run(folder: Path) -> RunFacts:
    """Read `metrics.json`, the recipe and the training log of a run (the last two may be missing).

    Raises:
        PublishError: no metrics, or a file that cannot be read.
    """
    if not (folder / "metrics.json").is_file():
        raise PublishError(
            f"{folder} has no metrics.json, so its card would be empty: finish the training, which writes it last."
        )
    metrics = _read_json(folder / "metrics.json")
    missing = [name for name in ("parameters", "train_pairs", "steps", "train_seconds") if metrics.get(name) is None]
    if missing:
        raise PublishError(f"{folder / 'metrics.json'} lacks {', '.join(missing)}: train with training/train.py.")
    recipe = folder / "recipe.yaml"
    state = folder / "trainer_state.json"
    return RunFacts(
        metrics=metrics,
        recipe=yaml.safe_load(recipe.read_text(encoding="utf-8")) if recipe.is_file() else {},
        log=_read_json(state).get("log_history", []) if state.is_file() else [],
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishError(f"{path} is not JSON ({error}): train again or restore the file.") from error


def _hub_id(name: str | None) -> str | None:
    return name if name and not name.startswith((".", "/", "~")) else None


def model_card(
    repo_id: str, facts: RunFacts, examples: list[dict], licence: str, datasets: list[str], loss_curve: bool
) -> str:
    """Render `model_card.md`.

    Args:
        repo_id: what `pipeline(model=...)` will be called with.
        examples: `{"synopsis", "titles"}`, as the model wrote them.
        licence: the Hub's id of a licence.
        datasets: Hub ids of the training data.
        loss_curve: whether `loss.png` goes with the card.
    """
    test = facts.metrics.get("test")
    name = repo_id.rstrip("/").split("/")[-1]
    data = ModelCardData(
        language="ja",
        license=licence,
        library_name="transformers",
        pipeline_tag="summarization",
        tags=["title-generation", "japanese", "web-novel"],
        base_model=facts.base_model,
        datasets=datasets or None,
        metrics=sorted({hub for _, hub in METRICS.values()}) if test else None,
        model_name=name,
        eval_results=_results(test, datasets, facts) if test else None,
        widget=[{"text": example["synopsis"], "output": {"text": example["titles"][0]}} for example in examples[:3]],
    )
    slots = facts.metrics | {
        "repo_id": repo_id,
        "name": name,
        "examples": examples,
        "dataset_ids": datasets,
        "licence": licence,
        "has_loss_curve": loss_curve,
        "has_recipe": bool(facts.recipe),
        "base": facts.base_model,
        "duration": duration(facts.metrics["train_seconds"]),
        "results": _table(test) if test else [],
        "metric_names": [label for label, _ in METRICS.values()],
        "tested": TESTED_TRANSFORMERS,
    }
    return render(ModelCard, ROOT / "model_card.md", data, slots)


def _results(test: dict[str, Any], datasets: list[str], facts: RunFacts) -> list[EvalResult]:
    dataset = datasets[0] if datasets else str(facts.recipe.get("dataset", "pairs")).removeprefix("./")
    return [
        EvalResult(
            task_type="summarization",
            task_name="Title generation",
            dataset_type=dataset,
            dataset_name=dataset.split("/")[-1],
            dataset_split="test",
            metric_type=hub,
            metric_name=label,
            metric_value=test["model"][key],
        )
        for key, (label, hub) in METRICS.items()
    ]


def _table(test: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "scores": [f"{test[system][key]:.1f}" for key in METRICS],
            "length": f"{test[system]['mean_length']:.1f}",
            "copies": f"{test[system]['copies']:.1f}",
        }
        for system, name in SYSTEMS.items()
        if system in test
    ]


def pairs_card(repo_id: str, counts: dict[str, int], licence: str) -> str:
    """Render the card of pairs that were not built with `training/build_dataset.py`: what they are, and how many."""
    data = DatasetCardData(
        language="ja",
        license=licence,
        task_categories=["summarization", "text-generation"],
        pretty_name=repo_id.split("/")[-1],
        size_categories=size_category(sum(counts.values())),
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in counts],
            }
        ],
    )
    slots = {"repo_id": repo_id, "name": repo_id.split("/")[-1], "counts": counts, "licence": licence}
    return render(DatasetCard, ROOT / "training" / "plain_dataset_card.md", data, slots)


def size_category(rows: int) -> str:
    """Return the Hub's name for a data set of so many rows."""
    limits = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for limit, name in limits.items() if rows < limit), "1M<n<10M")


def render(kind: type[RepoCard], template: Path, data: CardData, slots: dict[str, Any]) -> str:
    """Fill a template.

    Raises:
        PublishError: a slot that nothing fills, or a template that is none.
    """
    try:
        text = template.read_text(encoding="utf-8")
        strict = jinja2.Environment(undefined=jinja2.StrictUndefined)
        strict.from_string(text).render(card_data=data.to_yaml(), **data.to_dict() | slots)
    except OSError as error:
        raise PublishError(f"The card's template {template} cannot be read: {error.strerror}.") from error
    except jinja2.TemplateError as error:
        raise PublishError(
            f"The card {template.name} cannot be filled: {error}; no file of the run holds it."
        ) from error
    card = str(kind.from_template(data, template_str=text, **slots))
    if empty := re.search(r"^.*\b(None|nan)\b.*$", card, re.MULTILINE):
        raise PublishError(f"The card {template.name} has an empty slot in the line {empty.group()!r}.")
    return card.rstrip() + "\n"


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def loss_curve(log: list[dict[str, Any]]) -> bytes | None:
    """Draw training and validation loss over the steps, as PNG; None where the log holds no two losses."""
    from matplotlib.figure import Figure  # a figure of its own needs no display

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(row["step"], row[key]) for row in log if key in row]
        if len(points) > 1 or (key == "eval_loss" and points):
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if len(points) < 20 else None, markersize=3)
    if not axes.lines:
        return None
    axes.set(xlabel="optimizer step", ylabel="loss per target token")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
