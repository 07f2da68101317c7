"""The tabs beside the Write tab that have a button of their own: layout and wiring, like `app.py`."""

from typing import Any

import gradio as gr

from . import handlers, parts
from .service import TitleService
from .texts import t

MODEL = {"concurrency_id": "model", "concurrency_limit": 1}  # one at a time: two would halve both, and share a seed
PRIVATE = {"api_visibility": "private"}
AT_ONCE = {"queue": False, "show_progress": "hidden"} | PRIVATE
# A run that the server could not finish left its stop button in the place of its write button.
BUTTONS_BACK = "() => [{__type__: 'update', visible: true}, {__type__: 'update', visible: false}]"


def on_stop(service: TitleService) -> Any:
    """Return the handler of a stop button: it ends the visitor's run at its next step."""

    def stop(request: gr.Request) -> None:
        service.stop(request.session_hash)

    return stop


def compare_tab(service: TitleService, inputs: list[Any]) -> None:
    """The same input in four presets, side by side."""
    gr.HTML(parts.ABOUT_COMPARE, elem_classes="about", **parts.PLAIN)
    button = gr.Button(t("compare.write"), variant="primary", elem_id="compare-write")
    stop = gr.Button(t("stop"), variant="stop", visible=False, elem_id="compare-stop")
    columns = gr.HTML(elem_id="compared", **parts.PLAIN)

    def on_compare(request: gr.Request, *values: Any) -> Any:
        for html, running in handlers.compare(service, request.session_hash, *values):
            yield html, gr.update(visible=not running), gr.update(visible=running)

    run = button.click(
        on_compare,
        inputs,
        [columns, button, stop],
        show_progress="minimal",
        show_progress_on=columns,
        **MODEL,
        **PRIVATE,
    )
    run.failure(None, None, [button, stop], js=BUTTONS_BACK)
    stop.click(on_stop(service), **AT_ONCE)


def batch_tab(service: TitleService, inputs: list[Any]) -> None:
    """A file in, the same file with titles out; the settings are those of the Write tab."""
    gr.HTML(parts.about_batch(handlers.BATCH_LIMIT), elem_classes="about", **parts.PLAIN)
    file = gr.File(label=t("batch.file"), file_types=[".csv", ".jsonl"], elem_id="batch-file", height=140)
    button = gr.Button(t("batch.write"), variant="primary", elem_id="batch-write")
    stop = gr.Button(t("stop"), variant="stop", visible=False, elem_id="batch-stop")
    status = gr.HTML(elem_id="batch-status", **parts.PLAIN)
    result = gr.File(label=t("batch.result"), visible=False, interactive=False, elem_id="batch-result", height=90)

    def on_batch(request: gr.Request, path: str | None, *values: Any) -> Any:
        for html, done, running in handlers.write_file(service, request.session_hash, path, *values):
            yield (
                html,
                gr.update(value=done, visible=done is not None),
                gr.update(visible=not running),
                gr.update(visible=running),
            )

    outputs = [status, result, button, stop]
    run = button.click(
        on_batch, [file, *inputs[2:]], outputs, show_progress="minimal", show_progress_on=status, **MODEL, **PRIVATE
    )
    run.failure(None, None, [button, stop], js=BUTTONS_BACK)
    stop.click(on_stop(service), **AT_ONCE)
