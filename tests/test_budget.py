"""What may still be asked of an API: shared, kept, and not confused by what lies in its place."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from narou_server import NarouServer, make_works

from training.budget import COME_BACK_LATER, DAY, LONGEST_PAUSE, Budget, BudgetError, ComeBackLater, budget_file
from training.narou_api import NarouClient

NOON = 1_700_000_000.0


@pytest.fixture
def clock():
    return [NOON]


@pytest.fixture
def budget(tmp_path, clock):
    return Budget(tmp_path / "state" / "api.json", max_requests=3, now=lambda: clock[0])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"requests": 3}', '{"since": "x"}', "\udcff"])
def test_a_state_that_is_none_is_begun_anew(budget, content):
    budget.path.write_text(content, encoding="utf-8", errors="surrogateescape")
    budget.take_request()
    assert json.loads(budget.path.read_text("utf-8"))["requests"] == 1


def test_the_day_begins_anew_after_24_hours_and_when_the_clock_was_wrong(budget, clock):
    for _ in range(3):
        budget.take_request()
    with pytest.raises(ComeBackLater, match="3 requests"):
        budget.take_request()
    clock[0] += DAY
    budget.take_request()
    clock[0] -= 10 * DAY  # the clock had been ahead
    budget.take_request()
    assert budget.used["requests"] == 1


def test_the_longest_pause_counts_and_an_endless_one_does_not(budget, clock):
    budget.rest(7200)
    budget.rest(10)
    with pytest.raises(ComeBackLater, match="asks for a pause"):
        budget.take_request()
    clock[0] += 7201
    budget.take_request()
    budget.path.write_text(json.dumps(budget.used | {"not_before": clock[0] + LONGEST_PAUSE + 1}), "utf-8")
    budget.take_request()


def test_a_short_pause_is_kept_by_every_process():
    with NarouServer(make_works(10), retry_after="1") as server:
        first, second = (
            NarouClient(Budget(budget_file(server.url)), server.url, pace=0, first_wait=0.1) for _ in range(2)
        )
        server.fixed_faults = ["429"]
        with first, second:
            first.works(lastup="1-2")
            server.fixed_faults = ["429"]
            first.budget.rest(1)
            second.works(lastup="1-2")
    assert server.times[1] - server.times[0] >= 1 and server.times[2] - server.times[1] >= 0.9


def test_one_api_has_one_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert budget_file("https://API.example.org/novel/").parent == tmp_path / "titlegen"
    assert budget_file("https://API.example.org/novel/") == budget_file("https://api.example.org/rank/")
    assert budget_file("http://127.0.0.1:8000/") != budget_file("http://127.0.0.1:8001/")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert budget_file("https://api.example.org/").is_relative_to(tmp_path / "home")


def test_where_the_state_cannot_stand_is_named(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(BudgetError, match="XDG_STATE_HOME"):
        Budget(tmp_path / "file" / "titlegen" / "api.json")
    command = ("training/collect.py", "--since", "2024-03-01", "--until", "2024-03-02", "--out", tmp_path / "raw")
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "file")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "XDG_STATE_HOME" in done.stderr and "Traceback" not in done.stderr


def test_rebuilding_texts_keeps_to_the_same_budget(tmp_path):
    ids = tmp_path / "ids"
    ids.mkdir()
    row = json.dumps({"ncode": "N0001AA", "sha256": "0" * 64})
    (ids / "train.jsonl").write_text(row + "\n", encoding="utf-8")
    with NarouServer(make_works(3)) as server:
        Budget(budget_file(server.url)).rest(7200)
        done = subprocess.run(
            [sys.executable, "training/build_dataset.py", "rebuild", "--ids", str(ids), "--out", str(tmp_path / "mine"),
             "--endpoint", server.url, "--pace", "0"],
            cwd=ROOT, env=os.environ, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == COME_BACK_LATER and "asks for a pause" in done.stderr and not server.requests
