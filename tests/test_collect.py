import gzip
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from narou_server import DAY, FAULTS, START, NarouServer, make_work, make_works

from training.budget import Budget, budget_file
from training.collect import COME_BACK_LATER, main
from training.narou_api import ApiError, NarouClient
from training.shards import RawStore

DAYS = ("--since", "2024-03-01", "--until", "2024-03-10")


def arguments(server, out, *more):
    return [*DAYS, "--out", str(out), "--endpoint", server.url, "--pace", "0", *map(str, more)]


def collected(folder):
    return RawStore(folder).works()


def expected(works):
    return {work["ncode"] for work in works}


def start(server, out, *more, **options):
    command = [sys.executable, "training/collect.py", *arguments(server, out, *more)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ, **options
    )


def test_a_period_is_collected_completely_with_every_field(tmp_path, capsys):
    works = make_works(3000)
    with NarouServer(works) as server:
        assert main(arguments(server, tmp_path / "raw", "--contact", "me@example.org")) == 0
    found = collected(tmp_path / "raw")
    assert set(found) == expected(works)
    assert "3,000 works" in capsys.readouterr().out
    assert found[works[0]["ncode"]].keys() >= {"userid", "writer", "noveltype", "keyword", "isr15", "general_firstup"}
    assert len(server.requests) <= 9, "3,000 works are seven pages and one count"
    assert all(int(query["lim"]) <= 500 for query in server.requests)
    assert server.agents == {"titlegen-collect/0.1 (contact: me@example.org)"}


def test_the_newest_pages_come_first_and_the_shards_are_plain_gzip(tmp_path):
    with NarouServer(make_works(1200)) as server:
        main(arguments(server, tmp_path / "raw"))
    pages = json.loads((tmp_path / "raw" / "manifest.json").read_text(encoding="utf-8"))["pages"]
    windows = [page["window"] for page in pages]
    assert (
        windows == sorted(windows, reverse=True) and windows[0][1] == START + 10 * DAY - 1 and windows[-1][0] == START
    )
    assert {"sha256", "rows", "allcount", "time"} <= pages[0].keys()
    with gzip.open(tmp_path / "raw" / "works-00000.jsonl.gz", "rt", encoding="utf-8") as lines:
        assert len({json.loads(line)["ncode"] for line in lines}) == sum(page["rows"] for page in pages) == 1200


def test_works_outside_the_days_are_not_taken(tmp_path):
    works = [make_work(i, START + second) for i, second in enumerate((-1, 0, 10 * DAY - 1, 10 * DAY))]
    with NarouServer(works) as server:
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert set(collected(tmp_path / "raw")) == expected(works[1:3])


def test_an_empty_period_is_complete(tmp_path):
    with NarouServer([]) as server:
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert collected(tmp_path / "raw") == {}


def test_one_second_with_more_works_than_a_page_is_paged_through(tmp_path):
    works = make_works(600) + [make_work(i, START + 5 * DAY) for i in range(1000, 2700)]
    with NarouServer(works) as server:
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert set(collected(tmp_path / "raw")) == expected(works)


def test_one_second_with_more_works_than_can_be_reached_is_reported(tmp_path, capsys):
    with NarouServer([make_work(i, START + DAY) for i in range(3000)]) as server:
        assert main(arguments(server, tmp_path / "raw")) == 1
    assert "2024-03-02 00:00:00" in (message := capsys.readouterr().err) and "missing" in message
    assert len(collected(tmp_path / "raw")) >= 2000


def test_works_that_are_counted_but_never_given_are_reported(tmp_path, capsys):
    works = make_works(700)
    with NarouServer(works, withhold=[works[5]["ncode"]]) as server:
        assert main(arguments(server, tmp_path / "raw")) == 1
    assert "1 of " in capsys.readouterr().err
    assert set(collected(tmp_path / "raw")) == expected(works) - {works[5]["ncode"]}


def test_a_fifth_of_all_requests_failing_changes_nothing(tmp_path):
    works = make_works(3000)
    with NarouServer(works, fail_share=0.2) as server:
        server.fixed_faults = list(FAULTS)  # each at least once
        assert main(arguments(server, tmp_path / "raw", "--attempts", 12)) == 0
    assert set(collected(tmp_path / "raw")) == expected(works)


def test_a_server_that_only_fails_ends_the_run_with_its_words(tmp_path, capsys):
    with NarouServer(make_works(10)) as server:
        server.fixed_faults = ["text"] * 100
        assert main(arguments(server, tmp_path / "raw", "--attempts", 3)) == 1
        assert "Error: too busy." in (message := capsys.readouterr().err) and "3 attempts" in message
        server.fixed_faults = []
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert len(collected(tmp_path / "raw")) == 10


def test_a_window_that_grows_while_it_is_read(tmp_path):
    """Works arrive at any time of the period, also where it has been read already."""
    works = make_works(2500)
    later = [make_work(i, START + i % 240 * 3600) for i in range(5000, 5060)]

    def grow(server, number):
        if number <= 3:
            server.works += later[20 * (number - 1) : 20 * number]

    with NarouServer(works, before=grow) as server:
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert set(collected(tmp_path / "raw")) == expected(works + later)


def test_works_that_leave_a_window_while_it_is_read_do_not_hide_others(tmp_path):
    """An update moves a work out of the period: with page numbers, every later work would slip past a page's end."""
    works = make_works(2500)
    leaving = expected(works[:40])

    def leave(server, number):
        if number == 2:
            server.works = [work for work in server.works if work["ncode"] not in leaving]

    with NarouServer(works, before=leave) as server:
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert set(collected(tmp_path / "raw")) >= expected(works) - leaving


def test_killed_at_ten_moments_it_ends_with_the_same_works(tmp_path):
    works, rng = make_works(4000), random.Random(5)
    out = tmp_path / "raw"
    with NarouServer(works, fail_share=0.2) as server:
        for _ in range(10):
            requests = len(server.requests) + rng.randint(1, 3)
            process = start(server, out)
            while len(server.requests) < requests and process.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.08))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert len(json.loads((out / "manifest.json").read_text(encoding="utf-8"))["pages"]) > 0
        assert main(arguments(server, out)) == 0
    with NarouServer(works) as server:
        assert main(arguments(server, tmp_path / "undisturbed")) == 0
    assert collected(out) == collected(tmp_path / "undisturbed")


def test_a_torn_last_page_is_cut_off_and_told(tmp_path, capsys):
    works = make_works(1500)
    with NarouServer(works) as server:
        main(arguments(server, tmp_path / "raw"))
        shard = tmp_path / "raw" / "works-00000.jsonl.gz"
        whole = shard.read_bytes()
        shard.write_bytes(whole + gzip.compress(b'{"ncode": "N1')[:-3])
        assert main(arguments(server, tmp_path / "raw")) == 0
        assert "cut off" in capsys.readouterr().err and shard.read_bytes() == whole
        shard.write_bytes(whole[:-50])
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert "is read again" in capsys.readouterr().err
    assert set(collected(tmp_path / "raw")) == expected(works)


def test_a_damaged_page_is_refused_by_readers_and_mended_by_the_collector(tmp_path):
    works = make_works(1500)
    with NarouServer(works) as server:
        main(arguments(server, tmp_path / "raw"))
        shard = tmp_path / "raw" / "works-00000.jsonl.gz"
        content = bytearray(shard.read_bytes())
        content[100] ^= 0xFF
        shard.write_bytes(content)
        with pytest.raises(Exception, match=r"damaged at byte 0.*collect\.py"):
            collected(tmp_path / "raw")
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert set(collected(tmp_path / "raw")) == expected(works)


def test_a_full_disk_stops_with_a_word_and_loses_nothing(tmp_path):
    """The limit on file size gives the same error as a full disk, at the same call."""
    works = make_works(3000)
    with NarouServer(works) as server:
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # noqa: E731
        process = start(server, tmp_path / "raw", preexec_fn=limit)
        _, message = process.communicate(timeout=60)
        assert process.returncode == 1 and "cannot be written" in message and "Traceback" not in message
        kept = collected(tmp_path / "raw")
        assert 0 < len(kept) < 3000
        assert main(arguments(server, tmp_path / "raw")) == 0
    assert set(collected(tmp_path / "raw")) == expected(works)


def test_the_daily_budget_is_kept_across_restarts_and_renewed_after_a_day(tmp_path, capsys, monkeypatch):
    works = make_works(3000)
    with NarouServer(works) as server:
        for _ in range(2):
            assert main(arguments(server, tmp_path / "raw", "--max_requests_per_day", 4)) == COME_BACK_LATER
            assert "after" in capsys.readouterr().err
        assert len(server.requests) == 4
        assert main(arguments(server, tmp_path / "raw", "--max_megabytes_per_day", 0.001)) == COME_BACK_LATER
        budget = budget_file(server.url)
        state = json.loads(budget.read_text(encoding="utf-8"))
        budget.write_text(json.dumps(state | {"since": state["since"] - DAY}), encoding="utf-8")
        assert main(arguments(server, tmp_path / "raw", "--max_requests_per_day", 20)) == 0
    assert set(collected(tmp_path / "raw")) == expected(works)


def test_retry_after_is_honoured(tmp_path, capsys):
    with NarouServer(make_works(10), retry_after="1") as server:
        server.fixed_faults = ["429"]
        assert main(arguments(server, tmp_path / "raw")) == 0
        assert server.times[1] - server.times[0] >= 1
    with NarouServer(make_works(10), retry_after="99999999999999") as server:
        server.fixed_faults = ["429"]
        assert main(arguments(server, tmp_path / "forever", "--attempts", 1)) == COME_BACK_LATER
        assert "asks for a pause" in capsys.readouterr().err
    with NarouServer(make_works(10), retry_after="7200") as server:
        server.fixed_faults = ["429"]
        for _ in range(2):  # started again too early, it asks nothing
            assert main(arguments(server, tmp_path / "patient")) == COME_BACK_LATER
            assert "asks for a pause" in capsys.readouterr().err
        assert len(server.requests) == 1
        budget = budget_file(server.url)
        state = json.loads(budget.read_text(encoding="utf-8"))
        assert 7100 < state["not_before"] - time.time() <= 7200
        budget.write_text(json.dumps(state | {"not_before": time.time() - 1}), encoding="utf-8")
        assert main(arguments(server, tmp_path / "patient")) == 0


def test_requests_keep_their_distance_and_the_real_host_is_never_hurried(tmp_path):
    with NarouServer(make_works(1200)) as server:
        assert main(arguments(server, tmp_path / "raw", "--pace", 0.2)) == 0
    gaps = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert len(gaps) >= 3 and min(gaps) >= 0.19
    with pytest.raises(ApiError, match="one request a second"):
        NarouClient(Budget(tmp_path / "budget.json"), pace=0.5)


def test_two_collections_at_once_share_pace_and_budget(tmp_path):
    """The API counts requests by address, whatever folder they are for."""
    with NarouServer(make_works(3000)) as server:
        more = ("--pace", 0.2, "--max_requests_per_day", 12)
        both = [start(server, tmp_path / name, *more) for name in ("one", "two")]
        messages = [process.communicate(timeout=120)[1] for process in both]
        assert COME_BACK_LATER in [process.returncode for process in both], messages
        assert all("Traceback" not in message for message in messages)
    assert len(server.requests) == 12
    assert min(b - a for a, b in zip(server.times, server.times[1:], strict=False)) >= 0.15


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (["--since", "2024-03-99"], "2024-03-99"),
        (["--since", "yesterday"], "write it like 2024-12-31"),
        (["--since", "2024-04-01"], "exchange them"),
    ],
)
def test_wrong_days_are_named(tmp_path, capsys, change, word):
    with pytest.raises(SystemExit):
        main([*DAYS, "--out", str(tmp_path / "raw"), *change])
    assert word in capsys.readouterr().err and not (tmp_path / "raw").exists()


def test_folders_that_cannot_be_used_are_named_and_left_alone(tmp_path, capsys):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "novel.txt").write_text("mine", encoding="utf-8")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "manifest.json").write_text('{"version": 99, "pages": []}', encoding="utf-8")
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    with NarouServer([]) as server:
        for folder, word in (
            (foreign, "novel.txt"),
            (newer, "version 99"),
            (file, "cannot be written"),
            (file / "x", "--out"),
        ):
            assert main(arguments(server, folder)) == 1
            assert word in (message := capsys.readouterr().err) and str(folder) in message
        assert not server.requests
    assert [p.name for p in foreign.iterdir()] == ["novel.txt"]
    assert json.loads((newer / "manifest.json").read_text(encoding="utf-8"))["version"] == 99


def test_two_collectors_do_not_share_a_folder(tmp_path, capsys):
    with NarouServer([]) as server, RawStore(tmp_path / "raw", writable=True) as first:
        assert main(arguments(server, tmp_path / "raw")) == 1
    assert "Another collector" in capsys.readouterr().err and first.pages == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--contact", "山田"], "must be ASCII"),
        (["--pace", "nan"], "too fast"),
        (["--endpoint", "http://["], "is no address"),
    ],
)
def test_what_cannot_be_sent_is_named(tmp_path, capsys, more, words):
    with NarouServer(make_works(3)) as server:
        assert main([*arguments(server, tmp_path / "raw"), *more]) == 1
        assert words in capsys.readouterr().err and not server.requests


def test_a_shard_that_the_manifest_does_not_name_is_left_alone(tmp_path, capsys):
    with NarouServer(make_works(10)) as server:
        assert main(arguments(server, tmp_path / "raw")) == 0
        foreign = tmp_path / "raw" / "works-00007.jsonl.gz"
        foreign.write_bytes(gzip.compress(b"{}\n"))
        assert main(arguments(server, tmp_path / "raw")) == 1
    assert "is not in manifest.json" in capsys.readouterr().err and gzip.decompress(foreign.read_bytes()) == b"{}\n"
