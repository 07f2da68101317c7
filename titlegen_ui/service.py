"""TitleService: one model for all visitors; loads in the background, streams, and stops when asked."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from titlegen.batch import pipeline_writer
from titlegen.settings import GenerationSettings, SettingsError, check_synopsis

log = logging.getLogger("titlegen")
TIME_LIMIT = 120.0  # seconds for one visitor's titles; what is written by then is shown


class ModelNotReady(SettingsError):
    """The model is still loading or could not be loaded."""


@dataclass(frozen=True)
class Step:
    """Titles as far as they are written after `number` steps (0: the synopsis is being read)."""

    titles: list[str]
    number: int


@dataclass(frozen=True)
class Result:
    """Finished titles, each {"title", "score", "finished", "tokens"}; `stopped` if they were cut short."""

    titles: list[dict[str, Any]]
    seconds: float
    stopped: bool


class TitleService:
    """Holds the model and the runs of all visitors.

    Args:
        loader: returns a `TitleGenerationPipeline`; called once, in the background.
        describe: returns what the page knows of the loaded pipeline (`ModelInfo`); called in the background as well.
    """

    def __init__(self, loader: Callable[[], Any], describe: Callable[[Any], Any] | None = None):
        self._loader, self._describe = loader, describe
        self._loaded = threading.Event()
        self._pipe: Any = None
        self._error: Exception | None = None
        self.info: Any = None
        # torch has one random stream per process: two runs at once would disturb each other's seed.
        self._model_lock = threading.Lock()
        self._runs: dict[str, threading.Event] = {}

    def start(self) -> "TitleService":
        """Begin to load; returns at once."""
        threading.Thread(target=self._load, name="load-model", daemon=True).start()
        return self

    def _load(self) -> None:
        try:
            self._pipe = self._loader()
            self.info = self._described()
        except Exception as error:  # whatever it is, visitors get a sentence and the log gets the rest
            self._error = error
            log.error("The model could not be loaded: %s", error)
        finally:
            self._loaded.set()

    def _described(self) -> Any:
        try:
            return self._describe(self._pipe) if self._describe else None
        except Exception as error:  # a damaged file beside a sound model costs the Model tab, not the titles
            log.error("What lies beside the model could not be read: %s", error)
            return None

    @property
    def state(self) -> str:
        """Return "loading", "ready" or "failed"."""
        if not self._loaded.is_set():
            return "loading"
        return "failed" if self._error else "ready"

    def pipe(self, timeout: float = TIME_LIMIT) -> Any:
        """Return the pipeline, waiting for it if it is still loading.

        Raises:
            ModelNotReady: it failed to load, or still loads after `timeout` seconds.
        """
        if not self._loaded.wait(timeout):
            raise ModelNotReady(
                "The model is still loading: try again in a minute.",
                "モデルを読み込んでいます。一分ほど待って、もう一度お試しください。",
            )
        if self._error:
            raise ModelNotReady(
                "The model could not be loaded: check MODEL_ID and the server's log.",
                "モデルを読み込めませんでした。管理者は MODEL_ID と起動時の記録を確かめてください。",
            )
        return self._pipe

    def _wait_to_load(self, stop: threading.Event) -> bool:
        """Wait while the model loads, as long as a visitor may take; return False if the visitor stops meanwhile."""
        end = time.monotonic() + TIME_LIMIT
        while not self._loaded.wait(0.1) and time.monotonic() < end:
            if stop.is_set():
                return False
        return True

    @contextmanager
    def visit(self, session: str) -> Iterator[threading.Event]:
        """Give a visitor's run its stop signal; a run that this visitor left behind is stopped."""
        self.stop(session)
        self._runs[session] = stop = threading.Event()
        try:
            yield stop
        finally:
            stop.set()
            if self._runs.get(session) is stop:
                del self._runs[session]

    def stop(self, session: str) -> None:
        """Stop the visitor's run after its next step."""
        if stop := self._runs.get(session):
            stop.set()

    def exclusively(self, work: Callable[[Any], Any]) -> Any:
        """Return `work(pipe)`, with the model to itself."""
        pipe = self.pipe()
        with self._model_lock:
            return work(pipe)

    def explain(self, synopsis: str, title: str, guidance: float) -> dict[str, Any]:
        """Return why a title came about (see `titlegen.explain`)."""
        from titlegen.explain import explain  # imports torch, which the page must not wait for

        return self.exclusively(lambda pipe: explain(pipe, synopsis, title, guidance))

    def write(self, synopsis: str, settings: GenerationSettings) -> Result:
        """Write titles and return them all at once."""
        *_, result = self.stream(synopsis, settings, pause=0)
        return result

    def write_many(
        self, synopses: list[str], settings: GenerationSettings, stop: threading.Event
    ) -> list[list[dict[str, Any]]]:
        """Return the titles of several synopses, each {"title", "score"}; cut short once `stop` is set."""
        if not self._wait_to_load(stop):
            return [[] for _ in synopses]
        return self.exclusively(lambda pipe: pipeline_writer(pipe, settings, lambda _: stop.is_set())(synopses))

    def stream(
        self, synopsis: str, settings: GenerationSettings, stop: threading.Event | None = None, pause: float = 0.12
    ) -> Iterator[Step | Result]:
        """Yield `Step`s (at most one each `pause` seconds), then the `Result`.

        The work is done in a thread of its own; closing this generator or setting `stop` ends it at its next step.

        Raises:
            SettingsError: the synopsis or a setting cannot be used; the model is not ready.
        """
        check_synopsis(synopsis, settings)
        yield Step([], 0)
        stop = stop or threading.Event()
        if not self._wait_to_load(stop):
            yield Result([], 0.0, stopped=True)
            return
        run = _Run(self.pipe(timeout=0), synopsis, settings, stop)
        threading.Thread(target=run.work, args=(self._model_lock,), daemon=True).start()
        try:
            for event in run.events():
                yield event
                time.sleep(pause)
        finally:
            run.abandoned.set()


class _Run:
    """One visitor's work, between the thread that does it and the generator that shows it."""

    def __init__(self, pipe: Any, synopsis: str, settings: GenerationSettings, stop: threading.Event):
        self.pipe, self.synopsis, self.settings, self.stop = pipe, synopsis, settings, stop
        self.abandoned = threading.Event()  # nobody is looking any more, or the time is up
        self.queue: queue.SimpleQueue = queue.SimpleQueue()
        self.start, self.steps = time.monotonic(), 0

    def _on_step(self, titles: list[str]) -> bool:
        self.steps += 1
        self.queue.put(Step(titles, self.steps))
        return self._over()

    def _over(self) -> bool:
        return self.stop.is_set() or self.abandoned.is_set()

    def work(self, lock: threading.Lock) -> None:
        """Write the titles; whatever happens, the last thing in the queue is a `Result` or an error."""
        try:
            with lock:
                found = [] if self._over() else self._titles()
            titles = [_plain(title) for title in found]
            cut = self._over() and not (titles and all(title["finished"] for title in titles))
            self.queue.put(Result(titles, time.monotonic() - self.start, cut))
        except Exception as error:
            if not isinstance(error, SettingsError):
                log.exception("Writing titles failed")
            self.queue.put(error)

    def _titles(self) -> list[dict[str, Any]]:
        return self.pipe(self.synopsis, settings=self.settings, return_tokens=True, on_step=self._on_step)

    def events(self) -> Iterator[Step | Result]:
        """Yield the newest event each time, the `Result` last."""
        while True:
            event = self._newest()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Result):
                return

    def _newest(self) -> Any:
        try:
            event = self.queue.get(timeout=max(0.01, self.start + TIME_LIMIT - time.monotonic()))
        except queue.Empty:
            self.abandoned.set()  # brings the result, with the titles as far as they are
            event = self.queue.get()
        while not self.queue.empty():
            event = self.queue.get()
        return event


def _plain(title: dict[str, Any]) -> dict[str, Any]:
    """Return a title of the pipeline under the names that the page and the API use."""
    tokens = title.get("tokens", [])
    finished = not tokens or tokens[-1]["text"] == ""  # the end token adds nothing to the text
    return {"title": title["generated_text"], "score": title["score"], "finished": finished, "tokens": tokens}
