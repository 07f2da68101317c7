"""What every result says about where it was measured."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from training.evaluation import write_text

RESULTS = Path(__file__).resolve().parent / "results"


def facts() -> dict[str, Any]:
    """Return machine and versions, without names of hosts or users."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "datasets", "accelerate")},
    }


def write_result(name: str, result: dict[str, Any]) -> None:
    """Write `benchmarks/results/NAME.json` and print it."""
    text = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
    write_text(RESULTS / f"{name}.json", text)
    print(text, end="")
