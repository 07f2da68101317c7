"""What a control is, and the check that a value suits it.

The controls themselves stand in `settings.py`. This module travels with a published model: it imports nothing but the
standard library.
"""

import math
from dataclasses import dataclass, field
from typing import Any

ALL, BEAM, SAMPLING = ("beam", "sample", "diverse"), ("beam",), ("sample", "diverse")


@dataclass(frozen=True)
class Control:
    """What a page, a validator or a manual needs to know of one setting."""

    label: dict[str, str]
    help: dict[str, str]
    methods: tuple[str, ...] = ALL
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] | None = None
    choice_labels: dict[str, dict[str, str]] = field(default_factory=dict)  # choice -> {"ja": ..., "en": ...}
    max_characters: int | None = None


def define(default: Any, ja: str, en: str, help_ja: str, help_en: str, **bounds: Any) -> Any:
    """Return a dataclass field with its default and its `Control`."""
    control = Control({"ja": ja, "en": en}, {"ja": help_ja, "en": help_en}, **bounds)
    return field(default=default, metadata={"control": control})


class SettingsError(ValueError):
    """A setting that cannot be used; the message is one sentence for the person who chose it."""

    def __init__(self, en: str, ja: str | None = None):
        super().__init__(en)
        self.messages = {"en": en, "ja": ja or en}


def checked(name: str, value: Any, kind: type, limits: Control) -> Any:
    """Return `value` as `kind` within `limits`; sliders and JSON send whole numbers as floats.

    Raises:
        SettingsError: names the setting, what it must be and what it is.
    """
    if kind in (int, float):
        if _is_number(value, kind) and limits.minimum <= value <= limits.maximum:
            return kind(value)
    elif isinstance(value, kind) and (kind is bool or _fits(value, limits)):
        return value
    wanted_en, wanted_ja = _wanted(kind, limits)
    given = repr(value) if len(repr(value)) <= 40 else repr(value)[:37] + "..."
    raise SettingsError(
        f"{name} must be {wanted_en}, but is {given}.",
        f"「{limits.label['ja']}」は{wanted_ja}にしてください（今は {given}）。",
    )


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return kind is float or value == int(value)


def _fits(text: str, limits: Control) -> bool:
    allowed = limits.choices is None or text in limits.choices
    return allowed and (limits.max_characters is None or len(text) <= limits.max_characters)


def _wanted(kind: type, limits: Control) -> tuple[str, str]:
    if limits.choices:
        return f"one of {', '.join(limits.choices)}", f"{'、'.join(limits.choices)}のどれか"
    if limits.max_characters:
        return f"text of at most {limits.max_characters} characters", f"{limits.max_characters}字以内"
    if kind is bool:
        return "true or false", "オンかオフ"
    number_en = "a whole number" if kind is int else "a number"
    low, high = shown(limits.minimum), shown(limits.maximum)
    return f"{number_en} from {low} to {high}", f"{low}〜{high}の数"


def shown(bound: float) -> str:
    """Return a bound as people write it: whole numbers in full."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
