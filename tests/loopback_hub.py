"""A Hub small enough to read and real enough for the unmodified clients: huggingface_hub, transformers and datasets.

    with LoopbackHub() as hub:
        subprocess.run([...], env=os.environ | hub.environment(home))

Large files are kept under another origin (`localhost` instead of `127.0.0.1`), as on the real Hub, so a client that
carried its token along would be seen. `hub.fail(...)` makes chosen requests fail; `hub.requests` tells what was asked.
"""

import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer

from loopback_routes import Handler
from loopback_store import READ, WRITE, Fault, Repo, Request

__all__ = ["READ", "WRITE", "LoopbackHub", "Repo"]


class LoopbackHub:
    """The state of the Hub and its server; everything is in memory."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.storage = f"http://localhost:{self.server.server_port}"

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home: object, token: str | None = WRITE) -> dict[str, str]:
        """What a child process needs to take this for the Hub, with caches of its own."""
        names = {
            "HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1", "no_proxy": "127.0.0.1,localhost", "HF_TOKEN": token or "",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "" if token else "1",
        }  # fmt: skip
        return names

    def fail(
        self, match: str, status: int | None = None, times: int = 1, skip: int = 0, after: bool = False,
        action: Callable[[], None] | None = None, **headers: str,
    ) -> None:  # fmt: skip
        """Let `times` requests like `match` ("POST */commit/main") end in `status`, or be cut (None), after `skip` good ones.

        `after`: the request is carried out, and only its answer is lost. `action` is called first.
        """
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(match, status, times, headers, skip, after, action))

    def asked(self) -> list[str]:
        """Every request so far as "METHOD path"."""
        return [f"{request.method} {request.path}" for request in self.requests]

    def writes(self) -> list[str]:
        """The requests that change something."""
        changing = ("/commit/", "/lfs-store/", "/tag/", "/branch/", "/variables")
        return [line for line in self.asked() if line[:3] in ("POS", "PUT") and any(part in line for part in changing)]


def main() -> None:
    """Run it by hand: `python tests/loopback_hub.py`, then `HF_ENDPOINT=... hf ...` in another shell."""
    with LoopbackHub() as hub:
        print(f"HF_ENDPOINT={hub.endpoint} HF_TOKEN={WRITE} HF_HUB_DISABLE_XET=1", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
