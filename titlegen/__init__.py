"""Titles in the style of 小説家になろう from a synopsis: what training and serving share.

>>> from titlegen import load_pipeline, GenerationSettings
>>> load_pipeline()("目が覚めると…", settings=GenerationSettings(num_titles=3))
"""

from typing import Any

from .settings import GenerationSettings, SettingsError

__all__ = ["GenerationSettings", "SettingsError", "load_pipeline"]


def __getattr__(name: str) -> Any:
    # torch and transformers take seconds to import; settings and text do not need them.
    if name == "load_pipeline":
        from .loading import load_pipeline

        return load_pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
