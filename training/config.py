"""Every setting of a training run: three dataclasses, a YAML recipe, and flags that override it.

    accelerate launch training/train.py --config training/recipes/smoke.yaml --learning_rate 1e-4

A recipe is a flat YAML file whose keys are the fields below. `--help` prints every one with its default.
"""

import argparse
import sys
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import HfArgumentParser, Seq2SeqTrainingArguments
from transformers.trainer_utils import IntervalStrategy

from titlegen.settings import GenerationSettings


class ConfigError(ValueError):
    """A setting that cannot be used; one sentence that names it and says what to do."""


@dataclass
class ModelArguments:
    """Which model is trained."""

    base_model: str | None = field(
        default=None,
        metadata={
            "help": "Encoder (BERT...) or seq2seq (T5, BART...) checkpoint, Hub id or folder. None: a new small model."
        },
    )
    base_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of the base model."})
    decoder_layers: int | None = field(
        default=None, metadata={"help": "Keep this many evenly spaced layers of an encoder checkpoint as decoder."}
    )
    share_embeddings: bool = field(
        default=False,
        metadata={"help": "One embedding table for encoder and decoder (a new seq2seq model always has one)."},
    )
    architecture: str = field(
        default="pegasus",
        metadata={
            "help": "Shape of a new model: pegasus (layer norm first) or bert2bert.",
            "choices": ["pegasus", "bert2bert"],
        },
    )
    hidden_size: int = field(default=256, metadata={"help": "Width of a new model."})
    encoder_layers: int = field(default=4, metadata={"help": "Encoder layers of a new model."})
    new_decoder_layers: int = field(default=3, metadata={"help": "Decoder layers of a new model."})
    attention_heads: int = field(default=4, metadata={"help": "Attention heads of a new model."})
    dropout: float | None = field(
        default=None, metadata={"help": "Dropout while training. None: the base model's own, 0.1 for a new model."}
    )
    tokenizer: str | None = field(
        default=None,
        metadata={"help": "Tokenizer of a new model, Hub id or folder. None: learn one from the training pairs."},
    )
    vocab_size: int = field(default=8000, metadata={"help": "Size of a tokenizer that is learnt."})

    def __post_init__(self) -> None:
        if self.hidden_size % self.attention_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} must be a multiple of attention_heads {self.attention_heads}."
            )
        if self.base_model is None and self.decoder_layers is not None:
            raise ConfigError("decoder_layers cuts a base_model's layers; for a new model set new_decoder_layers.")


@dataclass
class DataArguments:
    """What the model reads, and how much of it."""

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "Pairs: JSON Lines, CSV or Parquet file, a folder of them or of a saved data set, or a Hub id."
        },
    )
    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a Hub data set."})
    title_column: str | None = field(default=None, metadata={"help": "Column of the titles. Default: title."})
    synopsis_column: str | None = field(
        default=None, metadata={"help": "Column of the synopses. Default: synopsis or story."}
    )
    rejected_column: str = field(
        default="rejected", metadata={"help": "Column of the titles that readers like less (objective prefer)."}
    )
    max_source_length: int = field(default=512, metadata={"help": "Tokens of a synopsis that are read."})
    max_target_length: int = field(default=64, metadata={"help": "Tokens of a title that are learnt."})
    validation_share: float = field(
        default=0.05, metadata={"help": "Held out for validation where the data has no such split."}
    )
    test_share: float = field(
        default=0.05, metadata={"help": "Held out for the final test where the data has no such split."}
    )
    continuation_share: float = field(
        default=0.05,
        metadata={
            "help": "Share of training pairs shown without synopsis, so that the model can continue a bare title."
        },
    )
    group_titles: bool = field(
        default=False,
        metadata={"help": "Read a synopsis once for all its titles; a batch then counts synopses, not pairs."},
    )
    objective: str = field(
        default="pairs",
        metadata={
            "help": "pairs: synopsis to title. denoise: pre-training on the column `text` of the dataset. prefer: pairs "
            "whose column `rejected` holds a title that readers like less; needs a base_model that writes titles, and does "
            "without continuation_share and label smoothing.",
            "choices": ["pairs", "denoise", "prefer"],
        },
    )
    max_train_pairs: int | None = field(default=None, metadata={"help": "Use only this many training pairs."})
    eval_pairs: int = field(
        default=200, metadata={"help": "Fixed part of the validation pairs scored during training."}
    )
    test_pairs: int | None = field(default=None, metadata={"help": "Score only this many test pairs at the end."})
    preprocessing_workers: int | None = field(
        default=None, metadata={"help": "Processes that tokenize. Default: every core."}
    )

    def __post_init__(self) -> None:
        for name in ("validation_share", "test_share", "continuation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be from 0 to below 1, but is {getattr(self, name)}.")
        if self.dataset is None:
            raise ConfigError("No pairs to train on: give --dataset FILE, FOLDER or Hub id.")


@dataclass
class TitleTrainingArguments(Seq2SeqTrainingArguments):
    """The Trainer's own arguments with this project's defaults; see the transformers documentation for the rest."""

    output_dir: str = field(
        default="build/run", metadata={"help": "The finished model, its metrics and its checkpoints."}
    )
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={"help": "How training pairs are ordered; similar lengths together waste little padding."},
    )
    generation_num_beams: int = field(default=4, metadata={"help": "Beams of the final test."})
    mixed_precision: str = field(
        default="auto",
        metadata={
            "help": "auto (bfloat16 where the device has it), bf16, fp16 or no.",
            "choices": ["auto", "bf16", "fp16", "no"],
        },
    )
    average_checkpoints: int = field(
        default=0,
        metadata={"help": "Average the weights of the last N checkpoints into the finished model; 0: do not."},
    )
    preference_beta: float = field(
        default=0.1,
        metadata={
            "help": "Objective prefer: how soon titles are far enough apart; lower moves further from the start."
        },
    )
    preference_weight: float = field(
        default=10.0,
        metadata={
            "help": "Objective prefer: what a preference weighs beside the loss of one token of the liked title."
        },
    )
    logging_steps: float = field(default=20, metadata={"help": "Optimizer steps between log lines."})
    report_to: str = field(default="tensorboard", metadata={"help": "Trackers: tensorboard, mlflow, none..."})
    push_to_hub: bool = field(
        default=False,
        metadata={"help": "Publish the finished run as --hub_model_id, once and at the end (training/publish.py)."},
    )

    def __post_init__(self) -> None:
        # The Trainer would push from inside the loop, and a failed upload would cost the run.
        self.publish_at_end, self.push_to_hub = self.push_to_hub, False
        if self.preference_beta <= 0 or self.preference_weight < 0:
            raise ConfigError("preference_beta must be above 0 and preference_weight not below it.")
        if self.publish_at_end and not self.hub_model_id:
            raise ConfigError("push_to_hub needs a name to publish under: give --hub_model_id user/name.")
        # Without this the Trainer refuses bfloat16 on a machine that has no accelerator but has the instructions.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        if self.mixed_precision == "auto":
            self.bf16 = self.bf16 or (not self.fp16 and has_bfloat16(self.use_cpu))
        else:
            self.bf16, self.fp16 = self.mixed_precision == "bf16", self.mixed_precision == "fp16"
        # The collator makes every tensor the model needs; the Trainer must not drop a column it does not know.
        self.remove_unused_columns = False
        self.length_column_name = "length"
        try:
            GenerationSettings(num_titles=1, num_beams=self.generation_num_beams)
            super().__post_init__()
        except ValueError as error:  # SettingsError is one
            raise ConfigError(" ".join(str(error).split())) from error


def has_bfloat16(use_cpu: bool) -> bool:
    """Whether bfloat16 arithmetic is faster than float32 here, not only possible."""
    if torch.cuda.is_available() and not use_cpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def parse_arguments(argv: list[str] | None = None) -> tuple[ModelArguments, DataArguments, TitleTrainingArguments]:
    """Read `--config YAML` and the flags that override it.

    Raises:
        ConfigError: a recipe that is missing, malformed, or has a key that no setting is called.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = HfArgumentParser([ModelArguments, DataArguments, TitleTrainingArguments], allow_abbrev=False)
    parser.add_argument("--config", help="YAML recipe; flags override it.")
    recipe = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    recipe.add_argument("--config")
    config = recipe.parse_known_args(argv)[0].config
    known = {f.name for kind in parser.dataclass_types for f in fields(kind) if f.init}
    if config:
        parser.set_defaults(**read_recipe(config, known, _choices(parser)))
    for flag in (a.split("=")[0] for a in argv if a.startswith("--")):
        if flag.removeprefix("--").removeprefix("no_") not in known | {"config", "help"}:
            raise ConfigError(_unknown("flag", flag.removeprefix("--"), known))
    return parser.parse_args_into_dataclasses(args=argv)[:3]


def evaluate_never(arguments: TitleTrainingArguments) -> None:
    """Switch evaluation off where no pair is left to evaluate on, and say so."""
    if arguments.eval_strategy != IntervalStrategy.NO:
        print("There are too few pairs to hold any out for validation: this run is not evaluated on the way.")
        arguments.eval_strategy, arguments.do_eval = IntervalStrategy.NO, False


def _choices(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    # argparse checks what the command line gives, but not the defaults, which a recipe sets.
    return {action.dest: list(action.choices) for action in parser._actions if action.choices and action.nargs is None}


def read_recipe(path: str | Path, known: set[str], choices: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Return a recipe's settings; lists and numbers as text, as the command line would give them.

    Raises:
        ConfigError: no recipe, not YAML, a setting that does not exist, or a value that it does not take.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"Recipe {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"Recipe {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"Recipe {path} must be lines of 'name: value'.")
    for name in values:
        if name not in known:
            raise ConfigError(_unknown(f"key in {path}:", name, known))
        taken = (choices or {}).get(name)
        if taken and values[name] is False and "no" in taken:
            values[name] = "no"  # what YAML reads an unquoted `no` as
        if taken and values[name] is not None and str(values[name]) not in map(str, taken):
            raise ConfigError(f"{name} in {path} must be one of {', '.join(map(str, taken))}, but is {values[name]}.")
    # YAML reads 5e-5 as text and argparse converts text; numbers keep their type.
    return values


def _unknown(what: str, name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Unknown {what} {name!r}" + (f": did you mean {near[0]}?" if near else "; --help lists every setting.")
