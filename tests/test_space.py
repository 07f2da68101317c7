"""The Space as the Hub would build it: exactly the published files, exactly its requirements, in a new environment."""

import os
import socket
import subprocess
import time

import pytest
from conftest import ROOT
from environments import environment
from gradio_client import Client
from publish_helpers import contents

from training.staging import space_tree
from training.trees import write_tree

pytestmark = pytest.mark.slow
SYNOPSIS = "婚約を破棄された公爵令嬢は、慰謝料代わりに辺境の壊れた温泉宿をもらい受ける。最初の客は肩こりの古竜だった。"


@pytest.fixture(scope="module")
def python():
    return environment("space", "-r", str(ROOT / "requirements.txt"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_published_files_start_and_write_a_title(python, model_dir, tmp_path):
    folder = tmp_path / "space"
    tree = space_tree(ROOT, "user/name", [], "apache-2.0")
    write_tree(tree, folder)
    assert set(contents(folder)) == set(tree)
    port = free_port()
    hidden = ("PYTHONPATH", "HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "VIRTUAL_ENV")
    names = {k: v for k, v in os.environ.items() if k not in hidden}
    names |= {"MODEL_ID": str(model_dir), "GRADIO_SERVER_PORT": str(port), "HF_HOME": str(tmp_path / "home")}
    with (tmp_path / "log").open("w") as log:
        page = subprocess.Popen([str(python), "app.py"], cwd=folder, env=names, stdout=log, stderr=subprocess.STDOUT)
    try:
        client = connected(page, port, tmp_path / "log")
        titles = client.predict(synopsis=SYNOPSIS, num_titles=2, num_beams=2, api_name="/generate")
        client.close()
    finally:
        page.terminate()
        page.wait(timeout=60)
    assert titles and all(entry["title"] for entry in titles)
    assert "Traceback" not in (tmp_path / "log").read_text()


def connected(page, port, log, patience=300):
    """Wait until the page answers."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        assert page.poll() is None, log.read_text()[-3000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Client(f"http://127.0.0.1:{port}", verbose=False, httpx_kwargs={"timeout": 300})
        time.sleep(0.5)
    raise AssertionError(f"the page did not start within {patience} s: {log.read_text()[-3000:]}")
