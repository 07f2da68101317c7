"""The page: `python app.py`, then open the address it prints. Layout and wiring only; the parts are in titlegen_ui/.

MODEL_ID (folder or Hub id) and MODEL_REVISION choose the model, the embedded one by default; GRADIO_SERVER_NAME and
GRADIO_SERVER_PORT choose the address.
"""

import os
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from titlegen.presets import PRESETS
from titlegen_ui import api, handlers, parts
from titlegen_ui.controls import (
    DEFAULTS,
    MAIN,
    NAMES,
    WORDS,
    applies,
    build_control,
    default_values,
    enabled_for,
    preset_values,
    roll_dice,
)
from titlegen_ui.model_info import model_html, status_html
from titlegen_ui.security import MAX_BODY, Guard
from titlegen_ui.service import TitleService
from titlegen_ui.tabs import AT_ONCE, BUTTONS_BACK, MODEL, PRIVATE, batch_tab, compare_tab, on_stop
from titlegen_ui.texts import I18N, NAME, t
from titlegen_ui.theme import CSS, JS, theme


def build_page(service: TitleService, queue_size: int = 24) -> gr.Blocks:
    """Return the page; `launch` serves it."""
    with gr.Blocks(title=NAME, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(parts.HERO, elem_id="hero", **parts.PLAIN)
        status = gr.HTML(status_html(service.state), elem_id="status", **parts.PLAIN)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab(t("tab.write"), id="write"):
                inputs = _write_tab(service)
            with gr.Tab(t("tab.compare"), id="compare"):
                compare_tab(service, inputs)
            with gr.Tab(t("tab.batch"), id="batch"):
                batch_tab(service, inputs)
            with gr.Tab(t("tab.shelf"), id="shelf"):
                gr.HTML(parts.SHELF, elem_id="shelf", **parts.PLAIN)
            with gr.Tab(t("tab.model"), id="model"):
                model = gr.HTML(elem_id="model", **parts.PLAIN)
        _wire_opening(page, service, inputs, status, model)
        gr.api(api.generate_endpoint(service), api_name="generate", **MODEL)
        gr.api(api.explain_endpoint(service), api_name="explain", **MODEL)
    return page.queue(max_size=queue_size)


def _write_tab(service: TitleService) -> list[Any]:
    """Text in, titles out; returns the inputs: mode, synopsis, and every control in the order of `NAMES`."""
    with gr.Row(elem_id="desk"):
        with gr.Column(scale=5, min_width=300, elem_id="inputs"):
            modes = [(t(f"mode.{mode}"), mode) for mode in ("synopsis", "continue")]
            mode = gr.Radio(modes, value="synopsis", label=t("mode"), elem_id="mode")
            synopsis = gr.Textbox(
                parts.FIRST_EXAMPLE, lines=7, max_lines=16, label=t("synopsis"), placeholder=t("synopsis.placeholder"),
                elem_id="synopsis",
            )  # fmt: skip
            gr.HTML(parts.COUNTER, elem_id="counter", **parts.PLAIN)
            write = gr.Button(t("write"), variant="primary", size="lg", elem_id="write")
            stop = gr.Button(t("stop"), variant="stop", size="lg", visible=False, elem_id="stop")
            controls = {"prefix": build_control("prefix")}
            with gr.Column(elem_id="examples-synopsis"):
                gr.Examples(
                    parts.SYNOPSES, synopsis, label=t("examples"), example_labels=parts.SYNOPSIS_LABELS, **PRIVATE
                )
            with gr.Column(elem_id="examples-continue"):
                gr.Examples(parts.BEGINNINGS, controls["prefix"], label=t("examples.continue"), **PRIVATE)
            presets = [(t(f"preset.{name}"), name) for name in PRESETS]
            preset = gr.Radio(presets, label=t("preset"), elem_id="preset")
            controls |= {name: build_control(name) for name in MAIN}
            with gr.Accordion(t("details"), open=False, elem_id="details"):
                controls["forbidden_words"] = build_control("forbidden_words")
                for name in NAMES:
                    if name not in (*MAIN, *WORDS):
                        controls[name] = build_control(name)
                with gr.Row():
                    dice = gr.Button(t("dice"), elem_id="dice", interactive=applies("seed", DEFAULTS["method"]))
                    reset = gr.Button(t("reset"), elem_id="reset")
        with gr.Column(scale=6, min_width=300, elem_id="output"):
            results = gr.HTML(parts.EMPTY, elem_id="results", **parts.PLAIN, js_on_load=parts.ON_RESULTS)
            reasons = gr.HTML(elem_id="why", **parts.PLAIN)
    inputs = [mode, synopsis, *(controls[name] for name in NAMES)]

    def on_write(request: gr.Request, *values: Any) -> Any:
        for html, running in handlers.write_titles(service, request.session_hash, *values):
            yield html, "", gr.update(visible=not running), gr.update(visible=running)

    def on_why(event: gr.EventData) -> str:
        return handlers.why(service, event.synopsis, event.title, getattr(event, "guidance", None))

    run = write.click(
        on_write,
        inputs,
        [results, reasons, write, stop],
        show_progress="minimal",
        show_progress_on=results,
        **MODEL,
        **PRIVATE,
    )
    run.failure(None, None, [write, stop], js=BUTTONS_BACK)
    stop.click(on_stop(service), **AT_ONCE)
    results.select(on_why, None, reasons, show_progress="hidden", **MODEL, **PRIVATE)
    dice.click(roll_dice, None, controls["seed"], **AT_ONCE)
    _wire_controls(preset, dice, reset, controls)
    return inputs


def _wire_controls(preset: gr.Radio, dice: gr.Button, reset: gr.Button, controls: dict[str, Any]) -> None:
    everything = [controls[name] for name in NAMES]
    preset.input(preset_values, [preset, controls["num_titles"]], everything, **AT_ONCE)
    reset.click(lambda: [None, *default_values()], None, [preset, *everything], **AT_ONCE)
    depending = [name for name in NAMES if name not in (*MAIN, *WORDS)]
    controls["method"].change(
        lambda method: enabled_for(method, [*depending, "seed"]),
        controls["method"],
        [*(controls[name] for name in depending), dice],
        **AT_ONCE,
    )
    controls["num_titles"].change(
        None, [controls["num_titles"], controls["num_beams"]], controls["num_beams"], js=parts.AS_MANY_BEAMS
    )


def _wire_opening(page: gr.Blocks, service: TitleService, inputs: list[Any], status: gr.HTML, model: gr.HTML) -> None:
    """On opening: what the browser remembers, then what the address holds; the model's state until it is loaded."""
    timer = gr.Timer(1.5)

    def on_open(request: gr.Request) -> list[Any]:
        link, message = handlers.open_link(str(request.query_params), service.info)
        if link is None:
            return [message or status_html(service.state), *[gr.skip()] * len(inputs)]
        mode = "synopsis" if link.synopsis else "continue"
        return [message or status_html(service.state), mode, link.synopsis, *handlers.link_values(link, NAMES)]

    def on_tick(request: gr.Request) -> list[Any]:
        if service.state == "loading":
            return [gr.skip()] * 3
        # Only now is the model known that a link may not be from.
        message = handlers.open_link(str(request.query_params), service.info)[1]
        about = model_html(service.info) if service.info else status_html(service.state)
        return [message or status_html(service.state), about, gr.Timer(active=False)]

    remembered = [*inputs[:2], inputs[2 + NAMES.index("prefix")]]
    page.load(None, remembered, remembered, js=parts.RESTORE).then(on_open, None, [status, *inputs], **AT_ONCE).then(
        None, None, None, js=parts.AFTER_OPENING
    )
    timer.tick(on_tick, None, [status, model, timer], **AT_ONCE)


def launch(page: gr.Blocks, **options: Any) -> Any:
    """Serve the page."""
    # Gradio rewrites the selectors of `css=`, which breaks rules about <html> and <body>; in the head they stand as written.
    head = f"<style>{CSS.read_text(encoding='utf-8')}</style><script>{JS.read_text(encoding='utf-8')}</script>"
    return page.launch(
        i18n=I18N, theme=theme(), head=head, mcp_server=True, ssr_mode=False, footer_links=["api", "settings"],
        max_file_size=MAX_BODY, app_kwargs={"middleware": [Middleware(Guard)]}, **options,
    )  # fmt: skip


def service_from_environment() -> TitleService:
    """Return the service for MODEL_ID and MODEL_REVISION; torch is imported in the background, so the page opens at once."""
    name, revision = os.environ.get("MODEL_ID") or None, os.environ.get("MODEL_REVISION") or None

    def load() -> Any:
        from titlegen.loading import load_pipeline

        return load_pipeline(name, revision)

    def describe(pipe: Any) -> Any:
        from titlegen_ui.model_info import model_info

        return model_info(pipe, name or Path(__file__).parent / "models" / "demo", revision)

    return TitleService(load, describe)


if __name__ == "__main__":
    launch(build_page(service_from_environment().start()))
