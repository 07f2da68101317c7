"""One call to the Hub: tried again where that may help, and whatever remains said in one sentence.

`huggingface_hub` retries pre-upload and uploads by itself, but not commit, create and look-up: those are retried here.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import tenacity
from huggingface_hub.errors import HfHubHTTPError

from training.trees import PublishError

Result = TypeVar("Result")

ATTEMPTS = 5
LONGEST_WAIT = 120.0  # seconds; a Hub that asks for more is told to the user instead
PASSING = (408, 429, 500, 502, 503, 504)


class HubCalls:
    """Calls for one Hub and one token.

    Args:
        endpoint: address of the Hub.
        token: never shown; replaced wherever a server repeats it.
    """

    def __init__(self, endpoint: str, token: str):
        self.endpoint, self.token = endpoint, token

    def __call__(
        self,
        where: str,
        function: Callable[..., Result],
        *args: Any,
        let_through: Callable[[Exception], bool] = lambda error: False,
        **kwargs: Any,
    ) -> Result:
        """Call `function` about the repository `where`; errors that `let_through` accepts come as they are.

        Raises:
            PublishError: every other one.
        """
        retry = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception(self._may_pass),
            before_sleep=_tell,
            reraise=True,
        )
        try:
            return retry(function, *args, **kwargs)
        except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
            if let_through(error):
                raise
            raise PublishError(self._sentence(error, where)) from None

    def _may_pass(self, error: BaseException) -> bool:
        if isinstance(error, json.JSONDecodeError):
            return True  # the client reads the body of /api/validate-yaml before it looks at the status
        url = _url(error)
        if not url.startswith(f"{self.endpoint}/api/") or "/preupload/" in url:
            return False
        if isinstance(error, httpx2.TransportError):
            return True
        return status_of(error) in PASSING and (_retry_after(error) or 0) <= LONGEST_WAIT

    def _sentence(self, error: Exception, where: str) -> str:
        status, owner = status_of(error), where.split("/")[-2] if "/" in where else "your account"
        tokens = f"{self.endpoint}/settings/tokens"
        match status:
            case 401:
                return (
                    f"The Hub does not accept the token (401, {where}): it is wrong or expired; make one with the right "
                    f"'write' at {tokens} and give it as HF_TOKEN or with `hf auth login`."
                )
            case 403:
                return (
                    f"The token may not write to {where} (403): it needs the role 'write', or as a fine-grained token the "
                    f"permission to write to repositories of {owner}; change it at {tokens}, then repeat the command."
                )
            case 404:
                return (
                    f"There is no {where} and no user or organisation {owner} that this token can publish for (404): "
                    "check the name."
                )
            case 429:
                pause = f"in {_retry_after(error):.0f} seconds" if _retry_after(error) else "later"
                return f"The Hub asks for fewer requests (429, {where}): repeat the command {pause}, it goes on from there."
        reason = self._reason(error)
        if status is not None and status < 500:
            return f"The Hub refused {where} ({status}): {reason}"
        if isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError):
            return f"{where} cannot be published: {reason}"
        return (
            f"The Hub at {self.endpoint} has a fault or cannot be reached ({where}): {reason.rstrip('.')}; repeat the "
            "command later, it goes on where it stopped."
        )

    def _reason(self, error: Exception) -> str:
        said = getattr(error, "server_message", None) or str(error) or type(error).__name__
        return " ".join(said.split()).replace(self.token, "<token>")[:300]


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error stands for."""
    response = getattr(error, "response", None)
    return response.status_code if response is not None else None


def _url(error: BaseException) -> str:
    # HfHubHTTPError loses its `request` while it is built; its response still has it.
    response = getattr(error, "response", None)
    request = response.request if response is not None else getattr(error, "_request", None)
    return str(request.url) if request is not None else ""


def _retry_after(error: BaseException) -> float | None:
    value = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None


def _wait(state: tenacity.RetryCallState) -> float:
    """As long as the Hub asks, else 1, 2, 4, 8 seconds with some chance in it."""
    asked = _retry_after(state.outcome.exception())
    return asked if asked is not None else tenacity.wait_exponential_jitter(initial=1, max=20)(state)


def _tell(state: tenacity.RetryCallState) -> None:
    error, seconds = state.outcome.exception(), state.next_action.sleep
    print(f"The Hub answered {status_of(error) or type(error).__name__}; trying again in {seconds:.0f} s.", flush=True)
