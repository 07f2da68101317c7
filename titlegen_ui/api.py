"""Endpoints for programs and assistants; the signature of `/generate` is made from `GenerationSettings`."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal

import gradio as gr

from titlegen.control import Control, SettingsError, shown
from titlegen.settings import GenerationSettings, controls

from .controls import sendable
from .service import TitleService

ABOUT = """Write titles for the synopsis of a Japanese web novel, in the style of 小説家になろう, best first.

Returns a list of objects: "title", "score" (geometric mean of the token probabilities, 0 to 1), "characters", and
where the server knows the training titles "nearest", "similarity" (0 to 1) and "verdict" ("new", "near", "copy").
"""


def parameter_names() -> list[str]:
    """Return the parameters of `/generate` in order."""
    return ["synopsis", *controls()]


def generate_endpoint(service: TitleService) -> Callable[..., list[dict[str, Any]]]:
    """Return the function behind `/generate`: synopsis first, then every setting with its default."""

    def generate(*values: Any) -> list[dict[str, Any]]:
        synopsis, *rest = map(sendable, values)
        with _one_sentence():
            settings = GenerationSettings.from_dict(dict(zip(controls(), rest, strict=True)))
            titles = _finished(service.write(synopsis, settings).titles)
        return [_entry(title, service.info) for title in titles]

    generate.__signature__ = inspect.Signature(
        [
            _parameter("synopsis", str, inspect.Parameter.empty),
            *map(_setting_parameter, dataclasses.fields(GenerationSettings)),
        ],
        return_annotation=list[dict[str, Any]],
    )
    generate.__annotations__ = {p.name: p.annotation for p in generate.__signature__.parameters.values()} | {
        "return": list[dict[str, Any]]
    }
    generate.__doc__ = _documentation()
    return generate


def _finished(titles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the titles that were finished in time.

    Raises:
        SettingsError: there are some, but none is finished.
    """
    whole = [title for title in titles if title["finished"]]
    if titles and not whole:
        raise SettingsError(
            "The time for one call was over before a title was finished: ask for fewer or shorter ones."
        )
    return whole


def explain_endpoint(service: TitleService) -> Callable[[str, str], dict[str, Any]]:
    """Return the function behind `/explain`."""

    def explain(synopsis: str, title: str, guidance: float = GenerationSettings().guidance) -> dict[str, Any]:
        """Explain a title: how sure the model was of each token, and where in the synopsis it looked.

        Args:
            synopsis: the synopsis the title is for; may be empty.
            title: any title, generated or your own, at most 100 characters.
            guidance: the setting it was written with.

        Returns:
            "tokens" (text, probability, alternatives), "source" (the synopsis's tokens) and "attention" (a row of
            weights over the source for each token).
        """
        with _one_sentence():
            if not isinstance(title, str) or not title.strip() or len(title) > 100:
                raise SettingsError("title must have 1 to 100 characters.", "題は1〜100字にしてください。")
            settings = GenerationSettings(guidance=guidance)
            return service.explain(sendable(synopsis), sendable(title), settings.guidance)

    return explain


class _one_sentence:
    """Turn whatever goes wrong into one sentence for the caller; no traceback leaves the server."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, SettingsError):
            raise gr.Error(str(error), print_exception=False) from error
        if isinstance(error, Exception):
            raise gr.Error("Writing titles failed on the server; try again in a minute.") from error


def _entry(title: dict[str, Any], info: Any) -> dict[str, Any]:
    entry = {"title": title["title"], "score": title["score"], "characters": len(title["title"])}
    return entry | (info.known.mark(title["title"]) if info and info.known else {})


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def _setting_parameter(field: dataclasses.Field) -> inspect.Parameter:
    choices = field.metadata["control"].choices
    return _parameter(field.name, Literal[choices] if choices else type(field.default), field.default)


def _documentation() -> str:
    lines = ["synopsis: the synopsis (あらすじ) in Japanese; may be empty if a prefix is given."]
    lines += [f"{name}: {control.help['en']} {_bounds(control)}".rstrip() for name, control in controls().items()]
    return ABOUT + "\nArgs:\n" + "\n".join(f"    {line}" for line in lines)


def _bounds(control: Control) -> str:
    applies = "" if len(control.methods) == 3 else f" Only for method {' and '.join(control.methods)}."
    if control.choices:
        return f"One of {', '.join(control.choices)}.{applies}"
    if control.max_characters:
        return f"At most {control.max_characters} characters.{applies}"
    return (
        f"From {shown(control.minimum)} to {shown(control.maximum)}." if control.minimum is not None else ""
    ) + applies
