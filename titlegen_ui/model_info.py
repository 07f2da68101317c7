"""What is known of the loaded model: name, revision, sizes, scores, training curve; and the Model tab's HTML."""

import hashlib
import html
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from titlegen.novelty import KnownTitles, known_titles

from .cards import note
from .links import is_commit
from .texts import both

SHOWN_METRICS = {
    "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "chrf": "chrF",
    "distinct_1": "distinct-1", "distinct_2": "distinct-2", "copies": both("model.copies"),
}  # fmt: skip
WIDTH, HEIGHT, MARGIN = 560, 220, 36  # of the curve, in SVG units


@dataclass(frozen=True)
class ModelInfo:
    """Facts of a loaded model; what is not known is None or empty."""

    name: str
    revision: str
    parameters: int
    max_source_tokens: int
    metrics: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    known: KnownTitles | None = None


def model_info(pipe: Any, model: str | Path, revision: str | None = None) -> ModelInfo:
    """Collect the facts of `pipe`, loaded from `model` (a folder or a Hub id)."""
    folder = Path(model)
    return ModelInfo(
        name=_public_name(folder) if folder.is_dir() else str(model),
        revision=_fingerprint(folder)
        if folder.is_dir()
        else getattr(pipe.model.config, "_commit_hash", revision) or "",
        parameters=pipe.model.num_parameters(),
        max_source_tokens=pipe.max_source_tokens,
        metrics=_read_json(model, "metrics.json", revision),
        curve=_read_json(model, "trainer_state.json", revision).get("log_history", []),
        known=known_titles(model, revision),
    )


def _public_name(folder: Path) -> str:
    """Return a folder's name without where it lies on this machine; the dot keeps it from being taken for a Hub id."""
    return "./" + "/".join(folder.resolve().parts[-2:])


def _fingerprint(folder: Path) -> str:
    """Return a revision for a folder: the weights' own hash."""
    weights = sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12] if weights else ""


def _read_json(model: str | Path, name: str, revision: str | None) -> dict[str, Any]:
    """Return a JSON file that lies beside the model; the page does without it where there is none."""
    try:
        path = Path(model) / name
        if not Path(model).is_dir():
            from huggingface_hub import hf_hub_download

            path = Path(hf_hub_download(str(model), name, revision=revision))
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def model_html(info: ModelInfo) -> str:
    """Return the Model tab."""
    return (
        f'<div class="model">{_facts(info)}{_metrics(info.metrics.get("test") or {})}{curve_svg(info.curve)}'
        f"<h3>{both('model.limits')}</h3><p>{both('model.limits.text')}</p>"
        f'<h3>{both("model.load")}</h3><pre class="code" tabindex="0">{html.escape(four_lines(info))}</pre>'
        f"<h3>{both('model.api')}</h3><p>{both('model.api.text')}</p>"
        '<pre class="code" tabindex="0" data-address="gradio_api/mcp/"></pre></div>'
    )


def four_lines(info: ModelInfo) -> str:
    """Return how to load the model elsewhere."""
    revision = f", revision={info.revision!r}" if is_commit(info.revision) else ""
    return (
        "from transformers import pipeline\n\n"
        f"pipe = pipeline(model={info.name!r}{revision}, trust_remote_code=True)\n"
        'for title in pipe("目が覚めると、悪役令嬢になっていた。", num_titles=5):\n'
        '    print(title["generated_text"])'
    )


def _facts(info: ModelInfo) -> str:
    rows = {
        "model.name": html.escape(info.name),
        "model.revision": f"<code>{html.escape(info.revision)}</code>",
        "model.parameters": f"{info.parameters:,}",
        "model.reads": both("model.tokens", n=info.max_source_tokens),
        "model.trained": f"{info.metrics['train_pairs']:,}" if "train_pairs" in info.metrics else "",
        "model.links": _links(info),
        "model.known": f"{len(info.known):,}" if info.known else "",
    }
    cells = "".join(f"<dt>{both(key)}</dt><dd>{value}</dd>" for key, value in rows.items() if value)
    return f"<dl>{cells}</dl>"


def _links(info: ModelInfo) -> str:
    """The model's own page, and this project's pages where the Hub serves this one."""
    pages = {"model.page": f"https://huggingface.co/{info.name}"} if not info.name.startswith("./") else {}
    if space := os.environ.get("SPACE_ID"):  # set by Hugging Face
        pages["model.source"] = f"https://huggingface.co/spaces/{space}/tree/main"
    pages["model.site"] = "https://syosetu.com/"
    links = (f'<a href="{html.escape(to)}" rel="noopener" target="_blank">{both(key)}</a>' for key, to in pages.items())
    return " ・ ".join(links)


def _metrics(test: dict[str, Any]) -> str:
    """A table of the scores on held-out pairs, beside the baseline's where there is one."""
    columns = {"model.model": test.get("model") or {}, "model.baseline": test.get("lead_sentence") or {}}
    columns = {key: scores for key, scores in columns.items() if scores}
    if not columns:
        return ""
    head = "".join(f'<th scope="col">{both(key)}</th>' for key in ("model.metric", *columns))
    body = "".join(
        f'<tr><th scope="row">{label}</th>'
        + "".join(f"<td>{_number(s.get(name))}</td>" for s in columns.values())
        + "</tr>"
        for name, label in SHOWN_METRICS.items()
    )
    return f"<h3>{both('model.metrics')}</h3><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "–"


def curve_svg(history: list[dict[str, Any]]) -> str:
    """Return the loss by step, training and validation, as a picture that scales."""
    series = {
        name: [(row["step"], row[name]) for row in history if name in row and "step" in row]
        for name in ("loss", "eval_loss")
    }
    points = [point for line in series.values() for point in line]
    if len(points) < 3:
        return ""
    last, top = max(step for step, _ in points), max(loss for _, loss in points)
    bottom = min(loss for _, loss in points)

    def place(step: float, loss: float) -> str:
        x = MARGIN + (WIDTH - 2 * MARGIN) * step / last
        y = MARGIN + (HEIGHT - 2 * MARGIN) * (top - loss) / ((top - bottom) or 1)
        return f"{x:.1f},{y:.1f}"

    lines = "".join(
        f'<polyline class="{name}" points="{" ".join(place(*p) for p in line)}"/>'
        for name, line in series.items()
        if line
    )
    axis = (
        f'<text x="4" y="{MARGIN}">{top:.2f}</text><text x="4" y="{HEIGHT - MARGIN}">{bottom:.2f}</text>'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 10}" text-anchor="end">{last:,}</text>'
    )
    legend = f'<p class="legend"><i class="loss"></i>{both("model.train_loss")} <i class="eval_loss"></i>{both("model.eval_loss")}</p>'
    return (
        f'<h3>{both("model.curve")}</h3><svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="loss: {top:.2f} → {bottom:.2f}">{axis}{lines}</svg>{legend}'
    )


def status_html(state: str) -> str:
    """Return the sentence about the model's state; nothing once it is ready."""
    return {"loading": note(both("loading")), "failed": note(both("no_model"), "error")}.get(state, "")
