"""Presets: named moods of writing, each a few settings that differ from the defaults."""

from dataclasses import dataclass
from typing import Any

from .settings import GenerationSettings


@dataclass(frozen=True)
class Preset:
    """A name in both languages and the settings behind it."""

    label: dict[str, str]
    values: dict[str, Any]

    def settings(self, **others: Any) -> GenerationSettings:
        """Return the preset as settings; `others` (a beginning, forbidden words) are added to it."""
        return GenerationSettings.from_dict(self.values | others)


def _preset(ja: str, en: str, **values: Any) -> Preset:
    return Preset({"ja": ja, "en": en}, values)


PRESETS = {
    "steady": _preset("手堅く", "Steady"),
    "playful": _preset("遊び心", "Playful", method="sample", temperature=0.9, top_p=0.92),
    "wild": _preset("大暴走", "Wild", method="sample", temperature=1.2, top_p=0.98, min_p=0.03),
    "varied": _preset("より取り", "Assorted", method="diverse", temperature=0.9, top_p=0.95),
    "epic": _preset("長い題", "Endless", method="sample", length="long", temperature=0.7),
    "terse": _preset("ひとこと", "Terse", length="short"),
}
COMPARED = ("steady", "playful", "wild", "varied")  # the four that the comparison shows side by side
