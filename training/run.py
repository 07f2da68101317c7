"""The ends of a run: where it goes on, what it was, and the finished folder."""

import json
import os
import platform
import shutil
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

import accelerate
import torch
import transformers
import yaml
from safetensors.torch import load_file
from transformers.trainer_utils import sort_checkpoints

from titlegen.pipeline import TitleGenerationPipeline
from training.config import ConfigError, DataArguments, ModelArguments, TitleTrainingArguments
from training.evaluation import write_text
from training.examples import Examples
from training.trainer import TitleTrainer, effective_batch_size


def checkpoint_to_resume(arguments: TitleTrainingArguments) -> str | None:
    """Return the checkpoint to go on from: `--resume_from_checkpoint true` (the newest), `auto` (if any) or a folder.

    Raises:
        ConfigError: there is none; or a new run would go among the checkpoints of an earlier one.
    """
    wanted = arguments.resume_from_checkpoint
    folder = Path(arguments.output_dir)
    whole = whole_checkpoints(folder)
    if not wanted or wanted.lower() == "false":
        if whole:
            raise ConfigError(
                f"{folder} holds the checkpoints of an earlier run: go on with it (--resume_from_checkpoint true), give "
                "another --output_dir, or remove the folder."
            )
        return None
    if wanted.lower() not in ("true", "auto"):
        if not (Path(wanted) / "trainer_state.json").is_file():
            raise ConfigError(f"resume_from_checkpoint {wanted} is not a checkpoint: it holds no trainer_state.json.")
        return wanted
    if not whole and wanted.lower() == "true":
        raise ConfigError(
            f"{folder} holds no checkpoint to resume from: leave resume_from_checkpoint out to start anew."
        )
    return str(whole[-1]) if whole else None


def as_begun(model: ModelArguments, checkpoint: str | None) -> ModelArguments:
    """Return `model` with the vocabulary that a resumed run has learnt: grown data would give another one."""
    if checkpoint is None or model.base_model or model.tokenizer:
        return model
    return replace(model, tokenizer=checkpoint)


def whole_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder` by step; one that was being saved when the run was killed is not whole."""
    if not folder.is_dir():
        return []
    checkpoints = map(Path, sort_checkpoints(str(folder)))
    return [path for path in checkpoints if (path / "trainer_state.json").is_file()]


# How a run was watched, where it wrote and what it ran on: not how the model was made.
NOT_RECIPE = (
    "output_dir", "report_to", "run_name", "project", "trackio", "logging_", "log_", "disable_tqdm", "hub_", "push_to_hub",
    "resume_from_checkpoint", "use_cpu", "bf16", "fp16", "local_rank", "ddp_", "deepspeed", "fsdp", "preprocessing_workers",
)  # fmt: skip


def public_name(name: str | None) -> str | None:
    """Return a Hub id as it is, and of a local path only the last part, marked as local: `./pairs.jsonl`."""
    if name and (name.startswith((".", "~")) or Path(name).is_absolute() or Path(name).exists()):
        return f"./{Path(name).name}"
    return name


def used_recipe(model: ModelArguments, data: DataArguments, arguments: TitleTrainingArguments) -> dict[str, Any]:
    """Return every setting that differs from its default, as `--config` reads it; of paths only the last part."""
    defaults = (ModelArguments(), DataArguments(dataset=""), TitleTrainingArguments())
    recipe: dict[str, Any] = {}
    for group, default in zip((model, data, arguments), defaults, strict=True):
        for name in (f.name for f in fields(group) if f.init and not f.name.startswith(NOT_RECIPE)):
            value = getattr(group, name)
            if value != getattr(default, name):
                recipe[name] = value.value if isinstance(value, Enum) else value
    recipe["mixed_precision"] = precision(arguments)
    paths = {name: public_name(recipe[name]) for name in ("base_model", "tokenizer", "dataset") if name in recipe}
    return recipe | paths


def precision(arguments: TitleTrainingArguments) -> str:
    """Return what `mixed_precision: auto` came to: bf16, fp16 or no."""
    return "bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "no"


def run_facts(trainer: TitleTrainer, model: ModelArguments, data: DataArguments, examples: Examples) -> dict[str, Any]:
    """Return what a card needs to know of the run; no path outside the project, no name of the machine."""
    history = trainer.state.log_history
    summary = next((entry for entry in reversed(history) if "train_runtime" in entry), {})
    # Of all sessions, where the run was resumed; the Trainer's own summary knows the last one only.
    seconds = next((entry["seconds"] for entry in reversed(history) if "seconds" in entry), None)
    pairs = trainer.state.global_step * effective_batch_size(trainer.args) * trainer.titles_a_row
    device = torch.cuda.get_device_name() if trainer.args.device.type == "cuda" else f"CPU, {os.cpu_count()} cores"
    return {
        "objective": data.objective,
        "base_model": public_name(model.base_model),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "train_pairs": len(examples.train if examples.train_pairs is None else examples.train_pairs),
        "validation_pairs": len(examples.validation) if examples.validation else 0,
        "steps": trainer.state.global_step,
        "epochs": round(trainer.state.epoch or 0, 3),
        "effective_batch_size": round(effective_batch_size(trainer.args) * trainer.titles_a_row),
        "processes": trainer.args.world_size,
        "precision": {"no": "float32"}.get(precision(trainer.args), precision(trainer.args)),
        "learning_rate": trainer.args.learning_rate,
        "train_seconds": seconds,
        "pairs_per_second": round(pairs / seconds, 3) if seconds else None,
        "train_loss": summary.get("train_loss"),
        "validation": {
            k: v for entry in history for k, v in entry.items() if k.startswith("eval_") and "runtime" not in k
        },
        "device": device,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "accelerate": accelerate.__version__,
        },
    }


def finish(trainer: TitleTrainer) -> TitleGenerationPipeline:
    """Write model, tokenizer and pipeline into the output folder, each file whole, and return the pipeline."""
    arguments = trainer.args
    if arguments.average_checkpoints > 1:
        average_checkpoints(trainer.model, Path(arguments.output_dir), arguments.average_checkpoints)
    pipe = trainer.pipeline()
    if trainer.is_world_process_zero():
        trainer.save_state()
        partial = Path(arguments.output_dir) / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        pipe.save_pretrained(str(partial))
        for file in sorted(partial.iterdir()):
            os.replace(file, Path(arguments.output_dir) / file.name)
        partial.rmdir()
    trainer.accelerator.wait_for_everyone()
    return pipe


def average_checkpoints(model: torch.nn.Module, folder: Path, count: int) -> None:
    """Load the mean of the last `count` checkpoints' weights into `model` (Popel and Bojar, 2018).

    A short run may have fewer, which are averaged then; without any the model stays as it is.
    """
    files = [path / "model.safetensors" for path in whole_checkpoints(folder)[-count:]]
    files = [file for file in files if file.is_file()]
    if len(files) < count:
        print(f"average_checkpoints {count}: there are only {len(files)}.")
    total: dict[str, torch.Tensor] = {}
    for file in files:
        for name, tensor in load_file(file).items():
            total[name] = total.get(name, 0) + tensor.double() / len(files)
    # Tied weights stand once in a file; loading the one loads the others, which `strict` cannot know.
    model.load_state_dict({name: tensor.float() for name, tensor in total.items()}, strict=False)


def write_recipe(trainer: TitleTrainer, model: ModelArguments, data: DataArguments) -> None:
    """Write `recipe.yaml`: `train.py --config recipe.yaml --dataset ...` takes the same steps again."""
    if trainer.is_world_process_zero():
        recipe = used_recipe(model, data, trainer.args)
        text = "# The settings of this run: accelerate launch training/train.py --config recipe.yaml --dataset ...\n"
        text += yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
        write_text(Path(trainer.args.output_dir) / "recipe.yaml", text)


def write_metrics(trainer: TitleTrainer, metrics: dict[str, Any]) -> None:
    """Write `metrics.json`, the last file of a run: where it stands, the folder is complete."""
    if trainer.is_world_process_zero():
        text = json.dumps(metrics, ensure_ascii=False, indent=2) + "\n"
        write_text(Path(trainer.args.output_dir) / "metrics.json", text)
