"""The training command itself: the right loss, the same end after a stop, and a folder that is whole."""

import json
import math

import pytest
import torch
from conftest import PAIRS, ROOT, TINY, flags, run_python
from safetensors.torch import load_file

from training.config import ConfigError
from training.train import main

# No dropout and no continuation: what is left to differ is only how the batch is cut.
EXACT = TINY | {
    "dropout": 0.0,
    "continuation_share": 0.0,
    "max_steps": 2,
    "train_sampling_strategy": "sequential",
    "learning_rate": 1e-3,
}


# Runs the command and dies without a word after the checkpoint whose number is given.
KILLED = """
import os, sys
from transformers import TrainerCallback
from training import trainer
from training.train import main

class Die(TrainerCallback):
    def on_save(self, args, state, control, **kwargs):
        if state.global_step == int(sys.argv[1]):
            os._exit(9)

whole = trainer.TitleTrainer.__init__

def doomed(self, *args, **kwargs):
    whole(self, *args, **kwargs)
    self.add_callback(Die)

trainer.TitleTrainer.__init__ = doomed
main(sys.argv[2:])
"""


def log_of(folder):
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [(entry["loss"], entry["grad_norm"]) for entry in history if "loss" in entry]


@pytest.fixture(scope="module")
def whole_batch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("64x1")
    main(flags(dataset=PAIRS, output_dir=folder, report_to="none", **EXACT | {"per_device_train_batch_size": 64}))
    return log_of(folder)


@pytest.mark.parametrize(("batch", "accumulation"), [(16, 4), (4, 16)])
def test_the_step_does_not_depend_on_how_the_batch_is_cut(tmp_path, whole_batch, batch, accumulation):
    settings = EXACT | {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    main(flags(dataset=PAIRS, output_dir=tmp_path, report_to="none", **settings))
    assert log_of(tmp_path) == [pytest.approx(step, rel=1e-5) for step in whole_batch]


def test_two_processes_take_the_same_step(tmp_path, whole_batch):
    settings = EXACT | {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 8, "test_pairs": 5}
    run_python(
        "-m", "accelerate.commands.launch", "--config_file", "training/profiles/cpu_2.yaml", "training/train.py",
        *flags(dataset=PAIRS, output_dir=tmp_path, report_to="none", **settings),
    )  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["processes"] == 2 and metrics["effective_batch_size"] == 64
    assert log_of(tmp_path) == [pytest.approx(step, rel=1e-5) for step in whole_batch]
    # An odd number of test pairs over two processes: none lost, none scored twice.
    assert metrics["test"]["pairs"] == 5 == len((tmp_path / "predictions.jsonl").read_text().splitlines())


def test_the_loss_is_the_mean_over_target_tokens(whole_batch):
    # A fresh model knows nothing: the loss of a token is about that of an even guess among all tokens.
    guess = math.log(TINY["vocab_size"])
    assert guess - 0.1 < whole_batch[0][0] < guess + 1.5


@pytest.mark.parametrize("stop_after", [2, 3])
def test_a_resumed_run_ends_where_an_undisturbed_one_does(tmp_path, stop_after):
    settings = TINY | {"max_steps": 6, "save_steps": 1, "max_train_pairs": 32, "num_train_epochs": 2}
    main(flags(dataset=PAIRS, output_dir=tmp_path / "whole", report_to="none", **settings))
    arguments = flags(dataset=PAIRS, output_dir=tmp_path / "cut", report_to="none", **settings)
    assert run_python("-c", KILLED, stop_after, *arguments, check=False).returncode == 9
    assert not (tmp_path / "cut" / "metrics.json").exists()
    main([*arguments, "--resume_from_checkpoint", "true"])
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    for name, weight in whole.items():
        assert torch.allclose(weight, cut[name], atol=1e-6), name


def test_the_finished_folder_holds_what_a_user_needs_and_nothing_of_the_machine(model_dir):
    names = {path.name for path in model_dir.iterdir()}
    assert names >= {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt",
        "pipeline.py", "settings.py", "control.py", "text.py", "constraints.py", "guidance.py", "known.py", "vocabulary.py", "selection.py", "metrics.json",
        "predictions.jsonl", "trainer_state.json",
    }  # fmt: skip
    assert not [name for name in names if "partial" in name]
    metrics = json.loads((model_dir / "metrics.json").read_text())
    assert metrics["steps"] == TINY["max_steps"] and metrics["test"]["pairs"] == TINY["test_pairs"]
    assert {"rougeL", "chrf", "distinct_2", "copies"} <= set(metrics["test"]["model"])
    assert str(ROOT) not in (model_dir / "metrics.json").read_text()


def test_averaging_takes_the_mean_of_the_last_checkpoints(tmp_path):
    main(flags(dataset=PAIRS, output_dir=tmp_path, report_to="none", average_checkpoints=2, **TINY))
    first, last = (load_file(tmp_path / f"checkpoint-{step}" / "model.safetensors") for step in (2, 4))
    for name, weight in load_file(tmp_path / "model.safetensors").items():
        assert torch.allclose(weight, (first[name] + last[name]) / 2, atol=1e-6), name


def test_pretraining_from_text_gives_a_base_model_for_pairs(tmp_path):
    texts = "".join(
        json.dumps(
            {"text": f"{i}日目の朝、猫は港へ行った。そこで白い船を見た。船は北へ行くという。猫は船に乗った。" * 4},
            ensure_ascii=False,
        )
        + "\n"
        for i in range(60)
    )
    (tmp_path / "texts.jsonl").write_text(texts, encoding="utf-8")
    settings = TINY | {"vocab_size": 400}
    base = tmp_path / "base"
    main(flags(objective="denoise", dataset=tmp_path / "texts.jsonl", output_dir=base, report_to="none", **settings))
    pairs = {k: v for k, v in settings.items() if k not in ("new_decoder_layers", "vocab_size")}
    main(flags(dataset=PAIRS, base_model=base, output_dir=tmp_path / "fine", report_to="none", **pairs))
    assert json.loads((tmp_path / "fine" / "metrics.json").read_text())["base_model"] is not None


@pytest.mark.parametrize(
    ("wanted", "word"), [("true", "no checkpoint to resume"), ("somewhere", "somewhere is not a checkpoint")]
)
def test_resuming_without_a_checkpoint_is_refused(tmp_path, wanted, word):
    with pytest.raises(ConfigError, match=word):
        main(flags(dataset=PAIRS, output_dir=tmp_path, resume_from_checkpoint=wanted, **TINY))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was killed after its second checkpoint: (folder, its arguments)."""
    folder = tmp_path_factory.mktemp("stopped")
    settings = TINY | {"max_steps": 4, "save_steps": 1, "logging_steps": 1}
    rows = PAIRS.read_text("utf-8").splitlines(keepends=True)[:80]
    (folder / "pairs.jsonl").write_text("".join(rows), "utf-8")
    arguments = flags(dataset=folder / "pairs.jsonl", output_dir=folder / "run", report_to="none", **settings)
    assert run_python("-c", KILLED, 2, *arguments, check=False).returncode == 9
    with (folder / "pairs.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(PAIRS.read_text("utf-8").splitlines(keepends=True)[80:120])
    return folder / "run", arguments


def test_a_new_run_does_not_go_among_the_checkpoints_of_another(stopped):
    with pytest.raises(ConfigError, match="checkpoints of an earlier run"):
        main(stopped[1])


def test_a_resumed_run_keeps_its_vocabulary_counts_its_hours_and_skips_half_a_checkpoint(stopped):
    folder, arguments = stopped
    vocabulary = (folder / "checkpoint-2" / "vocab.txt").read_bytes()
    before = json.loads((folder / "checkpoint-2" / "trainer_state.json").read_text())["log_history"][-1]["seconds"]
    (folder / "checkpoint-3").mkdir()  # killed while it was saved
    (folder / "checkpoint-3" / "model.safetensors").write_bytes(b"half")
    main([*arguments, "--resume_from_checkpoint", "true"])
    assert (folder / "vocab.txt").read_bytes() == vocabulary
    seconds = [e["seconds"] for e in json.loads((folder / "trainer_state.json").read_text())["log_history"]]
    assert seconds == sorted(seconds) and json.loads((folder / "metrics.json").read_text())["train_seconds"] > before


def test_few_pairs_and_fewer_checkpoints_than_asked_for_make_a_model_all_the_same(tmp_path, capsys):
    rows = PAIRS.read_text("utf-8").splitlines(keepends=True)[:10]
    (tmp_path / "few.jsonl").write_text("".join(rows), "utf-8")
    settings = TINY | {"eval_strategy": "epoch", "save_strategy": "epoch", "num_train_epochs": 1, "max_steps": -1}
    settings |= {"validation_share": 0, "average_checkpoints": 3, "vocab_size": 400}
    main(flags(dataset=tmp_path / "few.jsonl", output_dir=tmp_path / "run", report_to="none", **settings))
    said = capsys.readouterr().out
    assert "too few pairs to hold any out" in said and "there are only 1" in said
    assert (tmp_path / "run" / "metrics.json").exists()


def test_a_user_s_mistake_is_one_sentence_and_writes_nothing(tmp_path):
    done = run_python("training/train.py", *flags(dataset="nowhere.jsonl", output_dir=tmp_path / "run"), check=False)
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1].startswith("error: No pairs at nowhere.jsonl") and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "run").exists()
