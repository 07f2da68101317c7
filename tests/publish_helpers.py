"""What the publishing tests share: a loopback Hub and a child process that publishes small trees to it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from conftest import ROOT
from loopback_hub import LoopbackHub, Repo

# One child for many attempts: the clients read HF_ENDPOINT when they are imported, and this process is offline.
# Its waits are shortened; the clients themselves are as they come.
DRIVER = """
import json, sys, time
sleep, short = time.sleep, "--patient" not in sys.argv
time.sleep = lambda seconds: sleep(min(seconds, 0.01) if short else seconds)
from pathlib import Path
from training.hub import Destination, Sender
from training.trees import PublishError
for line in sys.stdin:
    order = json.loads(line)
    folder = Path(order.pop("folder"))
    tree = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    try:
        answer = Sender().deliver([(tree, Destination(**order))], "test")
    except PublishError as error:
        answer = str(error)
    print("ANSWER " + json.dumps(answer), flush=True)
"""


class Publisher:
    """`publisher.send(folder, repo_id=...)` returns lines on success and the sentence of the error otherwise."""

    def __init__(self, process: subprocess.Popen):
        self.process, self.output = process, ""

    def send(self, folder: Path, **destination: object) -> list[str] | str:
        destination = {"repo_id": "user/name", "owned": ["*.py", "data/*"]} | destination
        self.process.stdin.write(json.dumps({"folder": str(folder)} | destination) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
            self.output += line
        return f"the process ended with {self.process.wait()}"


@contextmanager
def publisher(hub: LoopbackHub, home: Path, patient: bool = False, **environment: str):
    """Run the child; its whole output is in `home/output` afterwards."""
    arguments = ["--patient"] if patient else []
    with (home / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *arguments], cwd=ROOT, env=os.environ | hub.environment(home) | environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        with process:
            try:
                yield Publisher(process)
            finally:
                process.stdin.close()


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder as a repository would hold them."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def published(repo: Repo, revision: str = "main") -> dict[str, bytes]:
    """The files of a repository without those that the Hub adds."""
    return {path: data for path, data in repo.files(revision).items() if path != ".gitattributes"}
