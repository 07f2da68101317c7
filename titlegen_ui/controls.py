"""Gradio components for the settings, all drawn from `titlegen.settings`, and back again."""

import random
from collections.abc import Sequence
from typing import Any

import gradio as gr

from titlegen.presets import PRESETS
from titlegen.settings import GenerationSettings, control, controls

from .texts import t

NAMES = tuple(controls())
DEFAULTS = GenerationSettings().to_dict()
MAIN = ("method", "length", "num_titles")  # in sight; the rest is behind「詳しい設定」
WORDS = ("prefix", "forbidden_words")


def build_control(name: str, **look: Any) -> gr.components.Component:
    """Return the component for the setting called `name`."""
    limits, default = control(name), DEFAULTS[name]
    common = {"label": t(f"{name}.label"), "info": t(f"{name}.help"), "elem_id": name, "value": default}
    common |= {"interactive": applies(name, DEFAULTS["method"])} | look
    if limits.choices:
        return gr.Radio([(t(f"{name}.{choice}"), choice) for choice in limits.choices], **common)
    if isinstance(default, bool):
        return gr.Checkbox(**common)
    if isinstance(default, str):
        return gr.Textbox(max_length=limits.max_characters, max_lines=1, **common)
    if limits.maximum > 10_000:  # a slider of millions of steps cannot be aimed
        # Without bounds: Gradio's own refusal has one language, that of `GenerationSettings` has both.
        return gr.Number(precision=0, step=limits.step, **common)
    return gr.Slider(limits.minimum, limits.maximum, step=limits.step, **common)


def applies(name: str, method: str) -> bool:
    """Whether the setting called `name` does anything with this method."""
    return method in control(name).methods


def enabled_for(method: str, names: Sequence[str]) -> list[Any]:
    """Return updates that enable the controls which apply to `method`."""
    return [gr.update(interactive=applies(name, method)) for name in names]


def settings_from(values: Sequence[Any]) -> GenerationSettings:
    """Build settings from the components' values in the order of `NAMES`; an emptied number means its default.

    Raises:
        SettingsError: a value that cannot be used.
    """
    given = dict(zip(NAMES, map(sendable, values), strict=True))
    return GenerationSettings.from_dict({n: DEFAULTS[n] if v is None else v for n, v in given.items()})


def sendable(value: Any) -> Any:
    """Return text without lone surrogates, which JSON may carry in but no answer can carry out; all else as it is."""
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else value


def preset_values(preset: str | None, num_titles: int | None = None) -> list[Any]:
    """Return the values of all controls for a preset, in the order of `NAMES`; what people typed stays.

    Beam search returns at most one title for each beam, so there are as many beams as titles at least.
    """
    if preset not in PRESETS:
        return [gr.skip()] * len(NAMES)
    values = PRESETS[preset].settings().to_dict()
    values["num_beams"] = max(values["num_beams"], int(num_titles or 1))
    return [gr.skip() if name in (*WORDS, "seed", "num_titles") else values[name] for name in NAMES]


def default_values() -> list[Any]:
    """Return the defaults in the order of `NAMES`; what people typed stays."""
    return [gr.skip() if name in WORDS else DEFAULTS[name] for name in NAMES]


def roll_dice() -> int:
    """Return a new seed, short enough to read aloud."""
    return random.randrange(1, 100_000)
