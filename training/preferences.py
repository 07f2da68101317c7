"""Learning from readers: of two titles for one synopsis, which one they liked.

Direct preference optimisation (Rafailov et al., NeurIPS 2023) moves the two titles' probabilities apart, measured against
the model as it was at the start. The liked title is learnt in the usual way beside it, which keeps the titles fluent
(Pang et al., NeurIPS 2024, "Iterative reasoning preference optimization").
"""

import copy
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from training.config import ConfigError
from training.trainer import TitleTrainer


class PreferenceTrainer(TitleTrainer):
    """Train on preferences; evaluate like any other run, on pairs.

    Raises:
        ConfigError: the run would cut the model into shards, which the copy of its start cannot follow.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ConfigError("objective prefer keeps two whole models: run it without FSDP and DeepSpeed.")
        # Copied before a checkpoint is loaded: a resumed run measures against the same start.
        self.start = copy.deepcopy(self.model).eval().requires_grad_(False).to(self.args.device)
        self._margins: list[torch.Tensor] = []

    @property
    def titles_a_row(self) -> float:
        """Preferences in a row of the training data, on average; each has two titles."""
        return super().titles_a_row / 2

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss: of preferences (rows with two titles each), or of pairs in an evaluation."""
        self.compute_loss_func = self.token_loss
        if "titles" in inputs:
            self.compute_loss_func = partial(self.preference_loss, before=self._at_the_start(inputs))
        return super().compute_loss(model, inputs, *args, **kwargs)

    @torch.no_grad()
    def _at_the_start(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the log-probability of each title (titles,) under the model before this run."""
        inputs = self._read_once(self.start, dict(inputs))
        labels = inputs.pop("labels")
        with self.accelerator.autocast():
            return title_log_probs(self.start(**inputs).logits, labels)

    def preference_loss(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
        *,
        before: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss over titles that come in twos, the liked one first, divided by the step's target tokens.

        Args:
            outputs: the model's, with `logits` (titles, target tokens, vocabulary).
            labels: (titles, target tokens), -100 where there is none.
            num_items_in_batch: target tokens of the whole optimizer step, over micro-batches and processes.
            before: the titles' log-probabilities at the start, (titles,).
        """
        count = num_items_in_batch if num_items_in_batch is not None else labels.ne(-100).sum()
        now = title_log_probs(outputs.logits, labels)
        margins = (now - before)[0::2] - (now - before)[1::2]
        self._margins.append(margins.detach())
        preferred = -logsigmoid(self.args.preference_beta * margins).sum()
        return (self.args.preference_weight * preferred - now[0::2].sum()) / count

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log, beside the loss, how far and how often the liked titles are ahead (of this process's rows)."""
        if "loss" in logs and self._margins:
            margins = torch.cat(self._margins).float()
            self._margins.clear()
            logs["rewards/margins"] = (self.args.preference_beta * margins.mean()).item()
            logs["rewards/accuracies"] = (margins > 0).float().mean().item()
        super().log(logs, *args, **kwargs)


def title_log_probs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each title, (titles,), for `logits` (titles, tokens, vocabulary)."""
    losses = cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=-100, reduction="none")
    return -losses.sum(-1)
