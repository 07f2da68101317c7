"""What may still be asked of an API today: requests, bytes, and the distance between two requests.

The API counts by address, not by folder. So the state stands in the user's own state folder, one file for each API,
and collections into several folders, one after the other or at the same time, share it.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from training.files import write_json

COME_BACK_LATER = 75  # the exit status of a command that met the end of the budget: EX_TEMPFAIL of sysexits.h
DAY = 24 * 3600  # seconds
LONGEST_WAIT = 15 * 60  # seconds; a longer pause ends the run instead
LONGEST_PAUSE = 7 * DAY  # seconds; nobody means a longer one


class ComeBackLater(RuntimeError):
    """Nothing is wrong, but no more may be asked before a certain time."""


class BudgetError(RuntimeError):
    """What may still be asked cannot be known or kept; says where it should stand."""


def budget_file(endpoint: str) -> Path:
    """Return where the state of `endpoint` stands (XDG Base Directory Specification: $XDG_STATE_HOME).

    Raises:
        BudgetError: this user has no home.
    """
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        folder = state if state.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise BudgetError("There is no home folder: set XDG_STATE_HOME to a folder that can be written.") from error
    try:
        address = urlsplit(endpoint)
        port = address.port
    except ValueError as error:
        raise BudgetError(f"{endpoint} is no address: {error}.") from error
    return folder / "titlegen" / f"{address.hostname}_{port or address.scheme}.json"


@dataclass
class Budget:
    """Requests and bytes of the current 24 hours, on disk so that neither a restart nor another process forgets them.

    Args:
        path: the state; a file beside it locks it.
        max_requests: in 24 hours.
        max_bytes: in 24 hours, as they come over the wire.
        now: unix seconds.
    """

    path: Path
    max_requests: int = 80_000
    max_bytes: int = 400 * 10**6
    now: Callable[[], float] = time.time
    used: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.path.with_suffix(".lock"))
            with self._lock:
                self._read()
        except OSError as error:
            raise BudgetError(
                f"{folder} cannot be written ({error.strerror}): set XDG_STATE_HOME to a folder that can."
            ) from error

    def take_request(self, pace: float = 0.0) -> None:
        """Wait until `pace` seconds after the last request of any process, and count one before it is made.

        Raises:
            ComeBackLater: the day's requests or bytes are used up, or the pause that the server asked for is not over.
        """
        while wait := self._take_or_wait(pace):
            time.sleep(wait)

    def _take_or_wait(self, pace: float) -> float:
        """Count a request and return 0, or return after how many seconds it is worth trying again."""
        with self._lock:
            self._read()
            self._check()
            since_last = self.now() - self.used["last"]
            wait = pace - since_last if 0 <= since_last < pace else 0.0  # less than 0: the clock was put back
            wait = max(wait, self.used["not_before"] - self.now())
            if wait > 0:
                return wait
            self.used["requests"] += 1
            self.used["last"] = self.now()
            write_json(self.path, self.used)
            return 0.0

    def _check(self) -> None:
        if self.used["not_before"] > self.now() + LONGEST_WAIT:
            raise _pause_until(self.used["not_before"])
        if not 0 <= self.now() - self.used["since"] < DAY:
            self.used |= {"since": self.now(), "requests": 0, "bytes": 0}
        if self.used["requests"] >= self.max_requests or self.used["bytes"] >= self.max_bytes:
            raise ComeBackLater(
                f"The day's budget is used up ({self.used['requests']:,.0f} requests, {self.used['bytes'] / 1e6:,.1f} MB). "
                f"Start the same command again after {local_time(self.used['since'] + DAY)}."
            )

    def add_bytes(self, count: int) -> None:
        """Count what came over the wire."""
        with self._lock:
            self._read()
            self.used["bytes"] += count
            write_json(self.path, self.used)

    def rest(self, seconds: float) -> ComeBackLater:
        """Remember that nobody may ask anything for so long, and return the word about it."""
        with self._lock:
            self._read()
            self.used["not_before"] = max(self.used["not_before"], self.now() + min(seconds, LONGEST_PAUSE))
            write_json(self.path, self.used)
        return _pause_until(self.used["not_before"])

    def _read(self) -> None:
        self.used = {"since": self.now(), "requests": 0, "bytes": 0, "last": 0.0, "not_before": 0.0}
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            self.used |= {name: float(kept[name]) for name in self.used}
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return  # never written, or by something else
        if self.used["not_before"] > self.now() + LONGEST_PAUSE:
            self.used["not_before"] = 0.0  # the clock was wrong then


def _pause_until(unix: float) -> ComeBackLater:
    return ComeBackLater(f"The server asks for a pause. Start the same command again after {local_time(unix)}.")


def local_time(unix: float) -> str:
    """Return a time for people, in their own time zone."""
    return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M %Z")
