"""A server and a browser for the page's tests: one of each for the whole session."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCREENS = ROOT / "build" / "screens"
AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="no axe-core: run npm ci in tests/")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(model, log):
    """Serve the page as a user would, `python app.py`; yields its address as soon as it answers."""
    port = free_port()
    environment = os.environ | {
        "MODEL_ID": str(model),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_SERVER_NAME": "127.0.0.1",
    }
    with log.open("w") as output:
        server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: server.poll() is not None or answers(address), 120)
        assert server.poll() is None, log.read_text()
        yield address
    finally:
        server.terminate()
        server.wait(20)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as page:
            return page.status == 200
    except OSError:
        return False


def wait_until(condition, seconds=20.0):
    """Wait for something that happens elsewhere; fail when it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not happen within {seconds} seconds"
        time.sleep(0.05)


class Visit:
    """A person with a browser window of their own: opens the page, presses, reads. Collects what must not happen."""

    def __init__(self, browser, address, locale="ja-JP", width=1280, height=900, scheme="light"):
        self.context = browser.new_context(
            locale=locale, viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.address, self.page = address, self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.outside, self.errors = [], []
        self.page.on("request", self._note_request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note_request(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.outside.append(request.url)

    def open(self, query=""):
        self.page.goto(f"{self.address}/{query}")
        self.page.wait_for_selector("body[data-mode]")  # set once the page has filled its form
        return self

    def write(self, button="#write", done="#results .run"):
        self.page.click(button)
        self.page.wait_for_selector(f"{button}:visible")
        self.page.wait_for_selector(done)

    def titles(self, where="#results"):
        return [text.strip() for text in self.page.locator(f"{where} .card .title").all_inner_texts()]

    def tab(self, name):
        self.page.click(f"#tabs button[role=tab]:has-text('{name}')")

    def clipboard(self):
        return self.page.evaluate("navigator.clipboard.readText()")

    def screenshot(self, name):
        SCREENS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENS / f"{name}.png", full_page=True)

    def close(self):
        self.context.close()
        assert self.outside == [] and self.errors == []
