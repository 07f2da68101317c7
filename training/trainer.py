"""TitleTrainer: a Seq2SeqTrainer with the right loss, titles while it learns, and a progress bar that tells."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm
from transformers import ProgressCallback, Seq2SeqTrainer, TrainerCallback, TrainingArguments
from transformers.integrations import TensorBoardCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

from titlegen.loading import TASK
from titlegen.pipeline import TitleGenerationPipeline
from training.evaluation import GREEDY, score, write_titles

SAMPLES_SHOWN = 3


class TitleTrainer(Seq2SeqTrainer):
    """Train on token-normalised loss; evaluate by writing titles for a fixed set of pairs.

    Args:
        samples: pairs (`synopsis`, `title`) whose titles are written and scored at each evaluation; None: loss only.
    """

    def __init__(self, *args: Any, samples: Dataset | None = None, **kwargs: Any):
        super().__init__(*args, compute_loss_func=self.token_loss, **kwargs)
        # The loss is ours; the model must not get the token count, which EncoderDecoderModel takes and ignores.
        self.model_accepts_loss_kwargs = False
        if self.args.device.type == "cpu":
            # The fused kernel's backward pass is slow there; benchmarks/training_speed.py gives the ratio.
            self.model.set_attn_implementation("eager")
        self.samples = samples
        self.remove_callback(ProgressCallback)
        self.add_callback(SpeedCallback(self.titles_a_row))

    @property
    def titles_a_row(self) -> float:
        """Pairs in a row of the training data, on average: more than one with `group_titles`."""
        rows = self.train_dataset
        return sum(rows["titles"][:]) / len(rows) if rows is not None and "titles" in rows.column_names else 1.0

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss; a synopsis with several titles is read once (`tensors.group_titles`)."""
        if "titles" in inputs:
            inputs = self._read_once(model, dict(inputs))
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _read_once(self, model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """Replace `input_ids` (synopses, tokens) by what the encoder made of them, repeated for each title."""
        titles, mask = inputs.pop("titles"), inputs["attention_mask"]
        encoder = self.accelerator.unwrap_model(model).get_encoder()
        with self.accelerator.autocast():
            hidden = encoder(input_ids=inputs.pop("input_ids"), attention_mask=mask).last_hidden_state
        inputs["encoder_outputs"] = (hidden.repeat_interleave(titles, 0),)
        inputs["attention_mask"] = mask.repeat_interleave(titles, 0)
        return inputs

    def token_loss(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sum over this micro-batch's target tokens, divided by the target tokens of the whole optimizer step.

        The count covers all micro-batches and processes, so 64x1, 16x4 and 2 processes x 4 x 8 take the same step.
        """
        count = num_items_in_batch if num_items_in_batch is not None else labels.ne(-100).sum()
        smoothing = self.args.label_smoothing_factor if self.model.training else 0.0
        logits = outputs.logits.float().flatten(0, 1)
        return (
            cross_entropy(logits, labels.flatten(), ignore_index=-100, reduction="sum", label_smoothing=smoothing)
            / count
        )

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler | None:
        if self.args.train_sampling_strategy not in ("group_by_length", "random"):
            return super()._get_train_sampler(*args, **kwargs)
        grouped = self.args.train_sampling_strategy == "group_by_length"
        # A column of `datasets` 4 and later is read from disk at every index; [:] reads it once.
        lengths = self.train_dataset[self.args.length_column_name][:] if grouped else None
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        sampler = EpochSampler(len(self.train_dataset), lengths, effective_batch_size(self.args), seed)
        self.add_callback(sampler.callback())
        return sampler

    def pipeline(self) -> TitleGenerationPipeline:
        """Return the pipeline around the model in training, for writing titles with it."""
        self.model.eval()
        return TitleGenerationPipeline(
            model=self.model, tokenizer=self.processing_class, task=TASK, device=self.args.device
        )

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Return the loss on the validation pairs and the scores of greedy titles for the fixed samples."""
        metrics = super().evaluate(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self.samples is None:
            return metrics
        with torch.no_grad():
            titles = write_titles(
                self.pipeline(), list(self.samples["synopsis"]), GREEDY, self.args.per_device_eval_batch_size
            )
        scores = {f"{metric_key_prefix}_{k}": v for k, v in score(titles, list(self.samples["title"])).items()}
        self.log(scores)
        self._show_samples(titles)
        return metrics | scores

    def _show_samples(self, titles: list[str]) -> None:
        if not self.is_world_process_zero():
            return
        rows = list(zip(titles, self.samples["title"], strict=True))[:SAMPLES_SHOWN]
        tqdm.write(f"Titles at step {self.state.global_step}:")
        for title, reference in rows:
            tqdm.write(f"    {title}  (the author's: {reference})")
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                table = "| written | original |\n| --- | --- |\n" + "".join(f"| {t} | {r} |\n" for t, r in rows)
                callback.tb_writer.add_text("titles", table, self.state.global_step)


class SpeedCallback(ProgressCallback):
    """The progress bar with pairs per second beside the remaining time.

    Args:
        titles_a_row: pairs in a row of the training data, on average.
    """

    def __init__(self, titles_a_row: float = 1.0):
        super().__init__()
        self.titles_a_row = titles_a_row

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        self.current_step = state.global_step  # a resumed bar starts where the run stopped
        self.started, self.first_step = time.monotonic(), state.global_step
        self.before = next((entry["seconds"] for entry in reversed(state.log_history) if "seconds" in entry), 0.0)
        if self.training_bar is not None:
            self.training_bar.update(state.global_step)
            self.training_bar.start_t, self.training_bar.initial = time.time(), state.global_step

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        super().on_log(args, state, control, logs=logs, **kwargs)
        if state.log_history:  # it travels with the checkpoints: a resumed run counts on
            state.log_history[-1]["seconds"] = round(self.before + time.monotonic() - self.started, 1)

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_step_end(args, state, control, **kwargs)
        if self.training_bar is not None:
            rows = (state.global_step - self.first_step) * effective_batch_size(args)
            pairs = rows * self.titles_a_row
            self.training_bar.set_postfix_str(f"{pairs / (time.monotonic() - self.started):.1f} pairs/s", refresh=False)


def effective_batch_size(args: TrainingArguments) -> int:
    """Return how many rows (pairs, or synopses with all their titles) a step sees, over micro-batches and processes."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


class EpochSampler(torch.utils.data.Sampler[int]):
    """An order that depends on seed and epoch alone, so that a run resumed in any epoch meets the same batches.

    The stock samplers draw from the global random state, which a resumed run has not yet restored when an epoch begins.

    Args:
        lengths: group pairs of similar length (the longest first, which finds out about memory at once); None: do not.
        group: pairs of one optimizer step.
    """

    def __init__(self, size: int, lengths: list[int] | None, group: int, seed: int):
        self.size, self.lengths, self.group, self.seed, self.epoch = size, lengths, group, seed, 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.lengths is None:
            return iter(torch.randperm(self.size, generator=generator).tolist())
        return iter(get_length_grouped_indices(self.lengths, self.group, generator=generator))

    def callback(self) -> TrainerCallback:
        """Return the callback that tells the sampler its epoch, however deep the loader has wrapped it."""
        sampler = self

        class _TellEpoch(TrainerCallback):
            def on_epoch_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
                sampler.epoch = int(state.epoch or 0)

        return _TellEpoch()
