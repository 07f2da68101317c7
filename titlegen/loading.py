"""load_pipeline: the one way the page, the command line and the tests get a model."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.pipelines import PIPELINE_REGISTRY

from .pipeline import TitleGenerationPipeline

TASK = "title-generation"
EMBEDDED_MODEL = Path(__file__).resolve().parents[1] / "models" / "demo"

# Registering is what makes `save_pretrained` write the pipeline's code and its name beside the model.
PIPELINE_REGISTRY.register_pipeline(TASK, pipeline_class=TitleGenerationPipeline, pt_model=AutoModelForSeq2SeqLM)


class ModelError(OSError):
    """A model that cannot be loaded; the message names it, what is wrong and what to do."""


def load_pipeline(
    model: str | os.PathLike | None = None,
    revision: str | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> TitleGenerationPipeline:
    """Load a title generator without running any code that comes with it.

    Args:
        model: a folder or a Hub id; the embedded model by default.
        revision: branch, tag or commit of a Hub model.
        device: as torch names it; the first GPU if there is one, else the CPU.
        dtype: "float32", "bfloat16", ...; float32 by default, which every device computes exactly.

    Raises:
        ModelError: no such model, unreadable files, or a model that is not sequence-to-sequence.
    """
    name = str(model or EMBEDDED_MODEL)
    if dtype is not None and not isinstance(
        dtype := getattr(torch, str(dtype).removeprefix("torch."), None), torch.dtype
    ):
        raise ModelError("dtype must be the name of a torch type such as float32 or bfloat16.")
    looks_local = name.startswith((".", "/", "~")) or Path(name).is_absolute() or Path(name).exists()
    if looks_local and not (Path(name) / "config.json").is_file():
        raise ModelError(f"No model in folder {name}: there is no config.json. Train one first, or give a Hub id.")
    try:
        loaded = AutoModelForSeq2SeqLM.from_pretrained(name, revision=revision, dtype=dtype or torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"Model {name} cannot be loaded: {reason}") from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return TitleGenerationPipeline(model=loaded.eval(), tokenizer=tokenizer, task=TASK, device=device)
