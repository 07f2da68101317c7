"""What the page does when something is pressed: plain functions and generators, tested without a browser.

A generator yields `(results as HTML, whether it is still running)`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from titlegen.batch import BatchError, read_rows, title_rows, write_rows
from titlegen.presets import COMPARED, PRESETS
from titlegen.settings import GenerationSettings, SettingsError, check_synopsis

from . import cards
from .api import parameter_names
from .controls import sendable, settings_from
from .links import Link, as_curl, as_python, permalink, read_link
from .model_info import ModelInfo
from .service import Result, Step, TitleService
from .texts import both

BATCH_LIMIT = 200  # rows at once on the page
BATCH_BYTES = 2_000_000
BATCH_COST = 400_000  # in `GenerationSettings.cost`: twice the rows' limit with default settings; others are waiting
COMPARED_TITLES = 3  # a preset

Screen = tuple[str, bool]


def write_titles(service: TitleService, session: str, mode: str, synopsis: str, *values: Any) -> Iterator[Screen]:
    """Write titles, showing them while they grow."""
    try:
        synopsis, settings = _checked(mode, synopsis, values)
        with service.visit(session) as stop:
            yield from _shown(service, synopsis, settings, stop)
    except Exception as error:
        yield cards.error_note(error), False


def _checked(mode: str, synopsis: str, values: Sequence[Any]) -> tuple[str, GenerationSettings]:
    """Return what to write from: in the mode "continue" the beginning of the title alone."""
    settings = settings_from(values)
    if mode == "continue" and not settings.prefix.strip():
        raise SettingsError(
            "Write the beginning of a title to continue.", "続けたいタイトルの書き出しを入れてください。"
        )
    synopsis = "" if mode == "continue" else sendable(synopsis or "")
    check_synopsis(synopsis, settings)
    return synopsis, settings


def _shown(service: TitleService, synopsis: str, settings: GenerationSettings, stop: Event) -> Iterator[Screen]:
    if service.state == "loading":
        yield cards.progress("loading"), True
    for event in service.stream(synopsis, settings, stop):
        if isinstance(event, Step):
            yield _drafts(event, settings), True
        else:
            yield result_html(event, synopsis, settings, service.info), False


def _drafts(step: Step, settings: GenerationSettings) -> str:
    if not step.number:
        return cards.progress("reading")
    share = 1 - 1 / (1 + 1.5 * step.number / cards.expected_steps(settings.length))  # never quite full: nobody knows
    key = "searching" if settings.method == "beam" else "writing"
    titles = list(dict.fromkeys(title for title in step.titles if title))
    return cards.progress(key, share) + cards.draft_cards(titles, settings.num_titles)


def result_html(result: Result, synopsis: str, settings: GenerationSettings, info: ModelInfo | None) -> str:
    """Return the finished cards with what can be done with them."""
    titles = [_marked(title, info) for title in result.titles]
    if not titles:
        return cards.note(both("stopped.nothing" if result.stopped else "nothing"))
    notes = cards.note(both("stopped")) if result.stopped else ""
    if not result.stopped and len(titles) < settings.num_titles:
        notes = cards.note(both("fewer", n=len(titles)))
    link = Link(synopsis, settings, info.name if info else "", info.revision if info else "")
    share = cards.share_box(
        permalink(link), as_python(link, link.model or "models/demo"), as_curl(link, parameter_names())
    )
    run = {"synopsis": synopsis, "link": permalink(link), "titles": [title["title"] for title in titles]}
    run["guidance"] = settings.guidance
    return cards.finished(run, notes + cards.title_cards(titles) + share)


def _marked(title: dict[str, Any], info: ModelInfo | None) -> dict[str, Any]:
    return title | {"novelty": info.known.mark(title["title"])} if info and info.known else title


def compare(service: TitleService, session: str, mode: str, synopsis: str, *values: Any) -> Iterator[Screen]:
    """Write titles for the same input in four presets, one after the other, side by side."""
    try:
        synopsis, base = _checked(mode, synopsis, values)
        with service.visit(session) as stop:
            yield from _compared(service, synopsis, base, stop)
    except Exception as error:
        yield cards.error_note(error), False


def _compared(service: TitleService, synopsis: str, base: GenerationSettings, stop: Event) -> Iterator[Screen]:
    kept = {
        "prefix": base.prefix,
        "forbidden_words": base.forbidden_words,
        "seed": base.seed,
        "num_titles": COMPARED_TITLES,
    }
    columns = {name: "" for name in COMPARED}
    for name in COMPARED:
        settings = PRESETS[name].settings(**kept)
        for event in () if stop.is_set() else service.stream(synopsis, settings, stop):
            columns[name] = _column(event, service.info)
            yield cards.comparison(_labelled(columns), synopsis), True
    yield cards.comparison(_labelled(columns), synopsis), False


def _column(event: Step | Result, info: ModelInfo | None) -> str:
    if isinstance(event, Step):
        return cards.draft_cards(event.titles, COMPARED_TITLES) if event.number else cards.progress("reading")
    if not event.titles:
        return cards.note(both("stopped.nothing" if event.stopped else "nothing"))
    return cards.title_cards([_marked(title, info) for title in event.titles], explainable=False)


def _labelled(columns: dict[str, str]) -> list[tuple[str, str]]:
    return [(both(f"preset.{name}"), content) for name, content in columns.items()]


def write_file(
    service: TitleService, session: str, path: str | None, *values: Any
) -> Iterator[tuple[str, str | None, bool]]:
    """Write titles for every row of a file; yields (status as HTML, finished file or None, still running)."""
    try:
        settings = settings_from(values)
        if path is None:
            raise BatchError("Choose a file first.", "先にファイルを選んでください。")
        if Path(path).stat().st_size > BATCH_BYTES:
            raise BatchError(
                f"The file is larger than {BATCH_BYTES // 1_000_000} MB: split it.",
                f"ファイルが{BATCH_BYTES // 1_000_000} MBより大きいので、分けてください。",
            )
        rows = read_rows(Path(path), BATCH_LIMIT, settings)
        if settings.cost(len(rows)) > BATCH_COST:
            raise BatchError(
                "This is too much work at once: take fewer rows, titles or beams.",
                "一度に頼める量を超えています。行、題の数、ビーム数のどれかを減らしてください。",
            )
        with service.visit(session) as stop:
            yield from _file_written(service, Path(path), rows, settings, stop)
    except Exception as error:
        yield cards.error_note(error), None, False


def _file_written(
    service: TitleService, path: Path, rows: list[dict[str, Any]], settings: GenerationSettings, stop: Any
) -> Iterator[tuple[str, str | None, bool]]:
    yield cards.progress("batch.progress", 0.0, done=0, total=len(rows)), None, True
    done: list[dict[str, Any]] = []

    def write(synopses: list[str]) -> list[list[dict[str, Any]]]:
        return service.write_many(synopses, settings, stop)

    for batch in title_rows(rows, write, settings):
        if stop.is_set():  # this batch was cut short
            break
        done += batch
        yield cards.progress("batch.progress", len(done) / len(rows), done=len(done), total=len(rows)), None, True
    if not done:
        yield cards.note(both("stopped.nothing")), None, False
        return
    key = "batch.done" if len(done) == len(rows) else "batch.stopped"
    with tempfile.TemporaryDirectory() as folder:  # Gradio copies the file before this generator goes on
        target = Path(folder) / f"{path.stem}_titles{path.suffix.lower()}"
        write_rows(target, done)
        yield cards.note(both(key, done=len(done), total=len(rows))), str(target), False


def why(service: TitleService, synopsis: str, title: str, guidance: float | None = None) -> str:
    """Return the view of why a title came about, under the guidance it was written with."""
    try:
        title = sendable(str(title))[:100].removesuffix("…")
        guided = GenerationSettings() if guidance is None else GenerationSettings(guidance=guidance)
        return cards.reasons(title, service.explain(synopsis, title, guided.guidance))
    except Exception as error:
        return cards.error_note(error)


def open_link(query: str, info: ModelInfo | None) -> tuple[Link | None, str]:
    """Return what a permalink holds (None if the address is none) and a sentence about it, as HTML."""
    try:
        link = read_link(query)
    except SettingsError as error:
        return None, cards.error_note(error)
    if link and info and (link.model, link.revision) != ("", "") and link.revision != info.revision:
        return link, cards.note(both("link.other"))
    return link, ""


def link_values(link: Link, names: Sequence[str]) -> list[Any]:
    """Return the values of the controls `names` that a link holds."""
    values = link.settings.to_dict()
    return [values[name] for name in names]
