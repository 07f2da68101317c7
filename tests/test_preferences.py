"""Learning from readers: the loss by hand, and runs as a user starts them."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY, flags, run_python
from test_training import KILLED, log_of

from training.config import ConfigError
from training.data import DataError
from training.preferences import PreferenceTrainer, title_log_probs
from training.train import main


def test_the_probability_of_a_title_is_that_of_its_tokens_without_the_padding():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [[0.2, 0.2, 0.6], [1 / 3, 1 / 3, 1 / 3]]]))
    labels = torch.tensor([[0, 2], [2, -100]])
    assert title_log_probs(logits, labels).exp().tolist() == pytest.approx([0.5 * 0.8, 0.6])


def test_the_loss_is_that_of_the_liked_title_and_of_how_far_it_is_ahead():
    arguments = SimpleNamespace(preference_beta=0.5, preference_weight=3.0)
    trainer = SimpleNamespace(args=arguments, _margins=[])
    logits = torch.log(torch.tensor([[[0.5, 0.5]], [[0.2, 0.8]]]))
    before = torch.log(torch.tensor([0.25, 0.4]))  # of the liked and the rejected title, which have one token each
    labels = torch.tensor([[0], [0]])
    loss = PreferenceTrainer.preference_loss(trainer, SimpleNamespace(logits=logits), labels, before=before)
    margin = math.log(0.5 / 0.25) - math.log(0.2 / 0.4)
    assert loss.item() == pytest.approx((3 * math.log(1 + math.exp(-0.5 * margin)) - math.log(0.5)) / 2)


@pytest.fixture(scope="module")
def liked(tmp_path_factory):
    """Preferences: readers like titles that ask, and reject those that tell."""
    path = tmp_path_factory.mktemp("preferences") / "preferences.jsonl"
    rows = [
        {
            "synopsis": f"第{i}の国で、{'とても' * (i % 4)}古い時計が動きだした。",
            "title": f"{name}{i}の物語はなぜ始まるのか？",
            "worse": f"{name}{i}の物語が始まりました。" if i % 8 else None,
        }
        for i in range(64)
        for name in ("時計", "古い国")
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


SETTINGS = {name: value for name, value in TINY.items() if name not in ("new_decoder_layers", "vocab_size")} | {
    "objective": "prefer", "rejected_column": "worse", "report_to": "none", "dropout": 0.0,
    "train_sampling_strategy": "sequential", "max_train_pairs": 48, "validation_share": 0.2, "test_share": 0.2,
}  # fmt: skip


def preferring(dataset, base, folder, **settings):
    return flags(dataset=dataset, base_model=base, output_dir=folder, **SETTINGS | settings)


def test_what_readers_like_gets_ahead_and_the_run_is_a_model_like_any_other(tmp_path, liked, model_dir):
    evaluation = {"eval_strategy": "steps", "eval_steps": 20}
    main(preferring(liked, model_dir, tmp_path / "run", max_steps=20, learning_rate=3e-3, **evaluation))
    state = json.loads((tmp_path / "run" / "trainer_state.json").read_text())
    steps = [entry for entry in state["log_history"] if "rewards/accuracies" in entry]
    assert steps[0]["rewards/margins"] == pytest.approx(0, abs=1e-4)  # at the start, nothing has moved
    assert steps[-1]["rewards/accuracies"] == 1.0 and steps[-1]["rewards/margins"] > 0.5
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["objective"] == "prefer" and metrics["train_pairs"] == 48
    assert metrics["effective_batch_size"] == SETTINGS["per_device_train_batch_size"]
    titles = [
        json.loads(line)["title"] for line in (tmp_path / "run" / "predictions.jsonl").read_text("utf-8").splitlines()
    ]
    assert any(title.endswith("？") for title in titles), "it writes what readers like"


def test_micro_batches_and_processes_take_the_same_step(tmp_path, liked, model_dir):
    whole = {"max_steps": 3, "eval_strategy": "no"}
    logs = []
    for batch, accumulation, grouped in ((16, 1, False), (4, 4, False), (8, 1, True)):
        folder = tmp_path / str(batch)
        settings = whole | {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        settings |= {"group_titles": grouped}
        main(preferring(liked, model_dir, folder, **settings))
        logs.append([value for step in log_of(folder) for value in step])
    run_python(
        "-m", "accelerate.commands.launch", "--config_file", "training/profiles/cpu_2.yaml", "training/train.py",
        *preferring(liked, model_dir, tmp_path / "two", **whole, per_device_train_batch_size=8),
    )  # fmt: skip
    assert json.loads((tmp_path / "two" / "metrics.json").read_text())["processes"] == 2
    logs.append([value for step in log_of(tmp_path / "two") for value in step])
    assert len(logs[0]) == 6
    assert logs[1:] == [pytest.approx(logs[0], rel=1e-4)] * 3


def test_a_resumed_run_measures_against_the_same_start(tmp_path, liked, model_dir):
    settings = {"max_steps": 6, "save_steps": 2, "eval_strategy": "no"}
    main(preferring(liked, model_dir, tmp_path / "whole", **settings))
    arguments = preferring(liked, model_dir, tmp_path / "stopped", **settings)
    assert run_python("-c", KILLED, 4, *arguments, check=False).returncode == 9
    main([*arguments, "--resume_from_checkpoint", "true"])
    logs = [[value for step in log_of(tmp_path / name) for value in step] for name in ("stopped", "whole")]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)


def test_what_is_missing_is_named(tmp_path, liked, model_dir):
    with pytest.raises(DataError, match=r"no column 'rejected'.*--rejected_column"):
        main(preferring(liked, model_dir, tmp_path / "a", rejected_column="rejected"))
    with pytest.raises(ConfigError, match=r"objective prefer .*base_model"):
        main(flags(dataset=liked, output_dir=tmp_path / "b", **SETTINGS))
    with pytest.raises(ConfigError, match="preference_beta must be above 0"):
        main(preferring(liked, model_dir, tmp_path / "b", preference_beta=0))
    bare = tmp_path / "bare.jsonl"
    rows = [json.loads(line) | {"worse": " "} for line in liked.read_text("utf-8").splitlines()]
    bare.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    with pytest.raises(DataError, match=r"bare\.jsonl has a rejected title, .* 'worse'"):
        main(preferring(bare, model_dir, tmp_path / "c"))
