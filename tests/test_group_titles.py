"""A synopsis read once for all its titles: the same step as reading it for each of them."""

import json

import pytest
from conftest import TINY, flags, run_python
from datasets import Dataset
from test_training import log_of

from training.tensors import PairCollator, group_titles
from training.train import main

ROWS = {
    "input_ids": [[2, 7, 3], [2, 8, 9, 3], [2, 7, 3], [2, 3], [2, 7, 3]],
    "labels": [[10, 3], [11, 12, 3], [13, 3], [14, 3], [15, 16, 3]],
    "length": [3, 4, 3, 2, 3],
}


def test_titles_of_one_synopsis_come_together_and_large_groups_are_cut():
    grouped = group_titles(Dataset.from_dict(ROWS), at_most=2)
    assert grouped["input_ids"][:] == [[2, 7, 3], [2, 7, 3], [2, 8, 9, 3], [2, 3]]
    assert grouped["labels"][:] == [[[10, 3], [13, 3]], [[15, 16, 3]], [[11, 12, 3]], [[14, 3]]]
    assert grouped["length"][:] == [3, 3, 4, 2] and grouped["titles"][:] == [2, 1, 1, 1]


def test_a_batch_has_one_source_for_each_synopsis_and_one_target_for_each_title():
    batch = PairCollator(0, 2)(group_titles(Dataset.from_dict(ROWS)).to_list())
    assert batch["titles"].tolist() == [3, 1, 1]
    assert batch["input_ids"].shape == (3, 4) and batch["labels"].shape == (5, 3)
    assert batch["decoder_input_ids"].tolist() == [[2, 10, 0], [2, 13, 0], [2, 15, 16], [2, 11, 12], [2, 14, 0]]


@pytest.fixture(scope="module")
def several_titles(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [
        {"title": f"{kind}{i}の物語", "synopsis": f"第{i}の国で、{'とても' * (i % 4)}古い時計が動きだした。"}
        for i in range(16)
        for kind in ("時計", "古い国", "第二の針")
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


# No dropout, nothing held out, the whole data set in each step: what is left to differ is how often a synopsis is read.
WHOLE = TINY | {
    "dropout": 0.0,
    "continuation_share": 0.0,
    "validation_share": 0.0,
    "test_share": 0.0,
    "eval_strategy": "no",
    "max_steps": 3,
    "train_sampling_strategy": "sequential",
    "learning_rate": 1e-3,
    "max_train_pairs": 48,
}


@pytest.mark.parametrize("architecture", ["pegasus", "bert2bert"])
def test_reading_once_takes_the_same_step_as_reading_for_each_title(tmp_path, several_titles, architecture):
    logs = []
    for grouped, batch, accumulation in ((False, 48, 1), (True, 16, 1), (True, 4, 4)):
        folder = tmp_path / f"{grouped}-{batch}"
        settings = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        settings |= {"group_titles": grouped, "architecture": architecture}
        main(flags(dataset=several_titles, output_dir=folder, report_to="none", **WHOLE | settings))
        logs.append([value for step in log_of(folder) for value in step])
    assert len(logs[0]) == 6
    assert logs[1] == pytest.approx(logs[0], rel=1e-5) and logs[2] == pytest.approx(logs[0], rel=1e-5)


def test_two_processes_take_the_same_step(tmp_path, several_titles):
    main(flags(dataset=several_titles, output_dir=tmp_path / "one", report_to="none", group_titles=True,
               **WHOLE | {"per_device_train_batch_size": 16}))  # fmt: skip
    run_python(
        "-m", "accelerate.commands.launch", "--config_file", "training/profiles/cpu_2.yaml", "training/train.py",
        *flags(dataset=several_titles, output_dir=tmp_path / "two", report_to="none", group_titles=True,
               **WHOLE | {"per_device_train_batch_size": 8}),
    )  # fmt: skip
    assert json.loads((tmp_path / "two" / "metrics.json").read_text())["processes"] == 2
    first, second = ([value for step in log_of(tmp_path / name) for value in step] for name in ("one", "two"))
    assert second == pytest.approx(first, rel=1e-5)
