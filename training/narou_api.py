"""A polite client of the なろう小説API: one request a second at most, daily budget, retries, Retry-After.

Format and limits: https://dev.syosetu.com/man/api (80,000 requests or 400 MByte for each address in 24 hours).

    with NarouClient(Budget(budget_file(ENDPOINT))) as client:
        page = client.works(lastup="1704034800-1704121199", lim=500)
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import tenacity

from training.budget import LONGEST_WAIT, Budget

ENDPOINT = "https://api.syosetu.com/novelapi/api/"
# Title, ncode, author, synopsis, genres, keywords, dates, kind, length, warnings, points: what cleaning and card need.
FIELDS = "t-n-u-w-s-bg-g-k-gf-gl-nt-e-ga-l-i-ir-ibl-igl-izk-its-iti-gp-f-r-ah-nu-ua"
MAX_ROWS = 500  # `lim` of one request
MAX_START = 2000  # `st` of one request
REACH = MAX_START + MAX_ROWS - 1  # the last row that paging reaches
MIN_PACE = 1.0  # seconds between requests to anything but this computer
MAX_BODY = 64 * 2**20  # bytes after decompression; 500 works of 1,100 characters are 3 MB
LAST_UPDATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ApiError(RuntimeError):
    """The API does not give what was asked for; the message says what it said."""


class TemporaryError(ApiError):
    """Worth asking again, after `wait` seconds if the server named a time."""

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


@dataclass
class Page:
    """One answer: how many works match, and the rows of this request."""

    allcount: int
    rows: list[dict[str, Any]]
    short: int = 0  # rows that were promised and did not come, after asking again


class NarouClient:
    """Asks the API, slowly.

    Args:
        budget: what may still be asked today.
        pace: seconds from the start of one request to the start of the next; less than 1 only on this computer.
        contact: how the operator of the API reaches you; part of the User-Agent.
        attempts: how often one request is made before giving up.
        tell: called with a line about each retry.
    """

    def __init__(
        self,
        budget: Budget,
        endpoint: str = ENDPOINT,
        pace: float = MIN_PACE,
        contact: str = "",
        attempts: int = 8,
        tell: Callable[[str], None] = lambda line: None,
        first_wait: float = 2.0,
    ):
        try:
            local = httpx.URL(endpoint).host in LOOPBACK
        except httpx.InvalidURL as error:
            raise ApiError(f"--endpoint {endpoint} is no address: {error}.") from error
        if not contact.isascii():
            raise ApiError("--contact must be ASCII, as a mail address or the address of a page is.")
        if not pace >= (0 if local else MIN_PACE):  # nan is neither
            raise ApiError(f"--pace {pace} is too fast for {endpoint}: the API allows one request a second.")
        self.endpoint, self.budget, self.pace, self.tell = endpoint, budget, pace, tell
        agent = "titlegen-collect/0.1" + (f" (contact: {contact})" if contact else "")
        # A proxy between this program and this computer would only be in the way.
        self.http = httpx.Client(headers={"User-Agent": agent}, timeout=60, trust_env=not local)
        backoff = tenacity.wait_exponential_jitter(initial=first_wait, max=120, jitter=first_wait / 2)
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TemporaryError),
            stop=tenacity.stop_after_attempt(attempts),
            wait=lambda state: max(backoff(state), state.outcome.exception().wait or 0),
            before_sleep=self._tell_retry,
            reraise=True,
        )

    def __enter__(self) -> "NarouClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()

    def works(self, **query: Any) -> Page:
        """Return one page of works; a page with fewer rows than it promises is asked for twice more.

        Raises:
            ApiError: no answer that can be used after all attempts, or an answer that asking again cannot mend.
            ComeBackLater: budget used up, or the server asks for a long pause.
        """
        query = {"out": "json", "gzip": 5, "of": FIELDS, "lim": MAX_ROWS} | query
        for _ in range(3):
            page = self._ask_until_answered(query)
            promised = min(int(query["lim"]), max(0, page.allcount - int(query.get("st", 1)) + 1))
            page.short = promised - len(page.rows)
            if page.short <= 0:
                break
        return page

    def _ask_until_answered(self, query: dict[str, Any]) -> Page:
        try:
            return self._retry(self._ask, query)
        except TemporaryError as error:
            if (error.wait or 0) > LONGEST_WAIT:  # asked for at the last attempt
                raise self.budget.rest(error.wait) from error
            attempts = self._retry.statistics["attempt_number"]
            raise ApiError(
                f"{self.endpoint} gave no usable answer in {attempts} attempts, at last: {error}."
            ) from error

    def _ask(self, query: dict[str, Any]) -> Page:
        self.budget.take_request(self.pace * 1.01)  # one percent for the network's jitter
        try:
            with self.http.stream("GET", self.endpoint, params=query) as response:
                try:
                    response.read()
                finally:  # an answer that breaks off counts as far as it came
                    self.budget.add_bytes(response.num_bytes_downloaded)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise TemporaryError(f"no whole answer ({type(error).__name__}: {error})") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise TemporaryError(f"status {response.status_code}", _retry_after(response))
        if response.status_code != 200:
            raise ApiError(f"{self.endpoint} answers {response.status_code}: {_quote(response.content)}")
        return _parse(response.content)

    def _tell_retry(self, state: tenacity.RetryCallState) -> None:
        wait, error = state.next_action.sleep, state.outcome.exception()
        if error.wait:  # every other process keeps to it as well
            pause = self.budget.rest(error.wait)
            if wait > LONGEST_WAIT:
                raise pause
        self.tell(f"{error}; asking again in {wait:.0f} s (attempt {state.attempt_number})")


def _parse(body: bytes) -> Page:
    """Return the page in `body`: a gzip file or plain JSON whose first element is the count."""
    try:
        value = json.loads(_gunzip(body) if body[:2] == b"\x1f\x8b" else body)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TemporaryError(f"damaged answer ({error})") from error
    except json.JSONDecodeError as error:
        raise TemporaryError(f"the answer is not JSON: {_quote(body)}") from error
    usable = isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
    if (
        not usable
        or not isinstance(value[0].get("allcount"), int)
        or not all(row.get("ncode") and LAST_UPDATE.fullmatch(str(row.get("general_lastup"))) for row in value[1:])
    ):
        raise TemporaryError(f"the answer has not the shape of a list of works: {_quote(body)}")
    return Page(value[0]["allcount"], value[1:])


def _gunzip(body: bytes) -> bytes:
    with gzip.open(io.BytesIO(body)) as file:
        text = file.read(MAX_BODY + 1)
    if len(text) > MAX_BODY:
        raise ApiError(f"An answer is larger than {MAX_BODY // 2**20} MiB: this is not the API.")
    return text


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _quote(body: bytes) -> str:
    text = " ".join(body[:300].decode("utf-8", "replace").split())
    return f"'{text[:120]}'"
