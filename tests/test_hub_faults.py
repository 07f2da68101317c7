"""Every request of a publication fails in turn: the repository is whole or as it was, and a repeated command ends it."""

import os
import signal
import time

import pytest
from loopback_hub import READ, WRITE, LoopbackHub
from publish_helpers import contents, published, publisher

SECRET = WRITE.removeprefix("hf_")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small repository: two small files, one large file."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# test\n")
    (folder / "config.json").write_text("{}\n")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 1000)
    return folder


@pytest.fixture(scope="module")
def server():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def hub(server):
    """The one Hub of these tests, as if it were new."""
    for state in (server.repos, server.large, server.requests, server.faults):
        state.clear()
    return server


@pytest.fixture(scope="module")
def sender(server, tmp_path_factory):
    with publisher(server, tmp_path_factory.mktemp("home")) as process:
        yield process


def rounds(hub, sender, folder, **kind):
    """Yield, for every request of a publication, a new repository, the requests before this one, and this one."""
    assert isinstance(sender.send(folder, repo_id="user/first", tag="v1", **kind), list)
    asked = hub.asked()
    for number in range(len(asked)):
        hub.large.clear()
        hub.faults.clear()
        lines = [line.replace("user/first", f"user/round{number}") for line in asked]
        yield f"user/round{number}", lines[:number], lines[number]


def is_complete(repo, folder):
    return published(repo, "v1") == published(repo) == contents(folder) and len(repo.commits) == 2


def test_a_publication_is_one_commit_and_then_a_tag_and_repeated_it_writes_nothing(hub, sender, folder):
    first = sender.send(folder, tag="v1")
    repo = hub.repos["models/user/name"]
    assert first == [f"{hub.endpoint}/user/name: 3 files sent, commit {repo.branches['main'][:8]}"]
    assert len(repo.commits) == 2 and published(repo, "v1") == contents(folder) and repo.private
    written = len(hub.writes())
    assert "unchanged" in sender.send(folder, tag="v1")[0]
    assert len(hub.writes()) == written and len(repo.commits) == 2


def test_only_what_changed_is_sent_and_what_publishing_left_behind_is_deleted(hub, sender, folder, tmp_path):
    sender.send(folder)
    repo = hub.repos["models/user/name"]
    repo.commit("main", repo.files() | {"old.py": b"pass\n", "LICENSE": b"mine\n", "notes/a.py": b"mine\n"})
    changed = tmp_path / "changed"
    changed.mkdir()
    for path, data in contents(folder).items():
        (changed / path).write_bytes(data if path != "config.json" else b'{"new": 1}\n')
    uploads = [line for line in hub.asked() if line.startswith("PUT")]
    assert "1 file sent, 1 deleted" in sender.send(changed)[0]
    assert published(repo) == contents(changed) | {"LICENSE": b"mine\n", "notes/a.py": b"mine\n"}
    assert uploads == [line for line in hub.asked() if line.startswith("PUT")], "the weights went again"


@pytest.mark.parametrize("status", [503, 500, None])
def test_each_request_may_fail_once(hub, sender, folder, status):
    for name, before, line in rounds(hub, sender, folder):
        hub.fail(line, status, skip=before.count(line))
        answer = sender.send(folder, repo_id=name, tag="v1")
        assert isinstance(answer, list) and not hub.faults[0].times, (line, answer)
        assert is_complete(hub.repos[f"models/{name}"], folder), line


@pytest.mark.parametrize("status", [503, None])
def test_each_answer_may_be_lost_after_the_work_was_done(hub, sender, folder, status):
    for name, before, line in rounds(hub, sender, folder):
        hub.fail(line, status, skip=before.count(line), after=True)
        answer = sender.send(folder, repo_id=name, tag="v1")
        assert isinstance(answer, list) and not hub.faults[0].times, (line, answer)
        assert is_complete(hub.repos[f"models/{name}"], folder), line


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (503, {}),
        (None, {}),
        (503, {"repo_type": "dataset"}),
        (503, {"repo_type": "space"}),
        (503, {"revision": "draft"}),
    ],
)
def test_a_fault_that_stays_leaves_the_repository_as_it_was_and_repeating_completes_it(
    hub, sender, folder, status, kind
):
    place, branch = f"{kind.get('repo_type', 'model')}s", kind.get("revision", "main")
    for name, before, line in rounds(hub, sender, folder, **kind):
        hub.fail(line, status, skip=before.count(line), times=40)
        answer = sender.send(folder, repo_id=name, tag="v1", **kind)
        assert "repeat the command" in answer and "\n" not in answer, (line, answer)
        repo = hub.repos.get(f"{place}/{name}")
        assert repo is None or branch not in repo.branches or published(repo, branch) in ({}, contents(folder)), line
        hub.faults.clear()
        assert isinstance(sender.send(folder, repo_id=name, tag="v1", **kind), list), line
        repo = hub.repos[f"{place}/{name}"]
        assert published(repo, "v1") == published(repo, branch) == contents(folder) and len(repo.commits) == 2, line


@pytest.mark.parametrize(
    ("match", "status", "words"),
    [
        ("GET /api/whoami-v2", 401, ["wrong or expired", "'write'", "HF_TOKEN", "settings/tokens"]),
        ("POST */preupload/main", 403, ["may not write to user/name", "fine-grained", "repositories of user"]),
        ("POST */commit/main", 403, ["may not write to user/name"]),
        ("POST */commit/main", 409, ["Somebody pushed", "nothing was overwritten", "repeat"]),
        ("POST */commit/main", 412, ["Somebody pushed", "nothing was overwritten", "/commits/main"]),
        ("POST */commit/main", 413, ["refused user/name (413)"]),
    ],
)
def test_a_refusal_says_what_to_do_and_leaves_the_repository_alone(hub, sender, folder, match, status, words):
    hub.fail(match, status, times=40)
    answer = sender.send(folder)
    assert all(word in answer for word in words) and "\n" not in answer, answer
    assert not any(published(repo) for repo in hub.repos.values())
    hub.faults.clear()
    assert isinstance(sender.send(folder), list)


def test_an_organisation_that_does_not_exist_is_named(hub, sender, folder):
    answer = sender.send(folder, repo_id="nobody/name")
    assert "no user or organisation nobody" in answer and not hub.repos


def test_nothing_is_written_over_somebody_else_s_push(hub, sender, folder):
    sender.send(folder)
    repo = hub.repos["models/user/name"]
    theirs = repo.files() | {"config.json": b'{"theirs": 1}\n'}
    (folder / "config.json").write_text('{"ours": 1}\n')
    hub.fail("POST */commit/main", 503, action=lambda: repo.commit("main", theirs))
    answer = sender.send(folder)
    assert "Somebody pushed to user/name meanwhile (412)" in answer
    assert repo.files() == theirs
    sender.send(folder)
    assert published(repo) == contents(folder)


def test_a_pause_is_kept_and_a_long_one_is_told(hub, folder, tmp_path):
    with publisher(hub, tmp_path, patient=True) as sender:
        hub.fail("POST */commit/main", 429, Retry_After="2")
        started = time.monotonic()
        assert isinstance(sender.send(folder), list) and time.monotonic() - started > 2
        (folder / "config.json").write_text('{"again": 1}\n')
        hub.fail("POST */commit/main", 429, times=40, Retry_After="3600")
        assert "repeat the command in 3600 seconds" in sender.send(folder)


def test_a_cut_in_the_middle_of_a_large_upload_sends_that_part_again(hub, sender, folder, tmp_path):
    large = tmp_path / "large"
    large.mkdir()
    (large / "model.safetensors").write_bytes(os.urandom(20_000_000))
    hub.fail("PUT */1", None, times=2)
    assert isinstance(sender.send(large), list)
    assert published(hub.repos["models/user/name"]) == contents(large)
    assert (
        sum(line.endswith("/1") for line in hub.asked()) == 3 and sum(line.endswith("/0") for line in hub.asked()) == 1
    )


def test_a_kill_between_commit_and_tag_is_mended_by_repeating(hub, folder, tmp_path):
    with publisher(hub, tmp_path) as sender:
        hub.fail("POST */tag/*", None, action=lambda: os.kill(sender.process.pid, signal.SIGKILL))
        assert sender.send(folder, tag="v1") == "the process ended with -9"
    repo = hub.repos["models/user/name"]
    assert published(repo) == contents(folder) and not repo.tags
    with publisher(hub, tmp_path) as sender:
        assert "unchanged" in sender.send(folder, tag="v1")[0]
    assert published(repo, "v1") == contents(folder) and len(repo.commits) == 2


def test_a_tag_is_never_moved(hub, sender, folder):
    sender.send(folder, tag="v1")
    (folder / "config.json").write_text('{"later": 1}\n')
    answer = sender.send(folder, tag="v1")
    assert "has a tag v1 already" in answer and "nothing was sent" in answer
    assert len(hub.repos["models/user/name"].commits) == 2
    assert isinstance(sender.send(folder, tag="v2"), list)


def test_another_branch_is_made_and_main_stays(hub, sender, folder):
    sender.send(folder)
    before = contents(folder)
    (folder / "config.json").write_text('{"trial": 1}\n')
    assert isinstance(answer := sender.send(folder, revision="trial"), list), answer
    repo = hub.repos["models/user/name"]
    assert published(repo, "trial") == contents(folder) != before == published(repo)


def test_a_read_only_token_is_refused_before_anything_is_made(hub, folder, tmp_path):
    with publisher(hub, tmp_path, HF_TOKEN=READ) as sender:
        assert "can only read" in sender.send(folder)
    assert hub.asked() == ["GET /api/whoami-v2"] and not hub.repos


def test_the_token_stays_with_the_hub_and_is_never_shown(hub, folder, tmp_path):
    with publisher(hub, tmp_path, HF_DEBUG="1") as sender:
        hub.fail("POST */commit/main", 400, X_Error_Message=f"bad header Bearer {WRITE}")
        refused = sender.send(folder)
        # A redirect to another host: followed or not, the token must not go along.
        hub.fail("GET /api/models/user/name/revision/main", 307, Location=f"{hub.storage}/elsewhere")
        sender.send(folder)
        assert isinstance(sender.send(folder), list)
        shown = refused + sender.output
    assert "400" in refused and "<token>" in refused
    assert SECRET not in shown + (tmp_path / "stderr").read_text()
    elsewhere = [request for request in hub.requests if request.host.startswith("localhost")]
    assert {request.method for request in elsewhere} >= {"PUT"} and any(r.path == "/elsewhere" for r in elsewhere)
    assert not any(request.token for request in elsewhere)
