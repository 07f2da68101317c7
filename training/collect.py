"""Collect titles and synopses from the なろう小説API: politely, resumably, completely.

    python training/collect.py --since 2024-01-01 --until 2024-12-31 --out data/raw --contact you@example.org

Works are found by the time of their last update, newest first. Stop it whenever you like, even with `kill -9`; the same
command goes on where it was. Exit status: 0 complete, 1 something is missing or wrong (it says what), 75 come back
later (the day's budget is used up, or the server asks for a pause; it says when). The budget is one for all folders, as
the API counts by address.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm.auto import tqdm

from training.budget import COME_BACK_LATER, Budget, BudgetError, ComeBackLater, budget_file
from training.narou_api import ENDPOINT, MAX_ROWS, MAX_START, MIN_PACE, REACH, ApiError, NarouClient, Page
from training.shards import RawStore, StoreError

JST = timezone(timedelta(hours=9))  # the API's clock; Japan has no summer time
SETTLED = 60  # seconds; a tail shorter than this is left for the next run


@dataclass
class Collector:
    """Reads what is missing of a period [since, until] (unix seconds, inclusive) into a store."""

    store: RawStore
    client: NarouClient
    since: int
    until: int
    bar: tqdm
    now: Callable[[], float] = time.time

    def run(self) -> list[str]:
        """Read until nothing is missing; return what is still missing, in sentences (empty: complete)."""
        self._read_gaps()
        before, fewer = None, self._windows_with_fewer_works_than_the_api()
        while fewer and fewer != before:  # reading again helps as long as it changes something
            for window, _ in fewer:
                self.store.forget(window)
            self._read_gaps()
            before, fewer = fewer, self._windows_with_fewer_works_than_the_api()
        return [f"{_span(*window)}: the API counts {count} works more than it gives." for window, count in fewer] + [
            f"{_span(*page.window)}: {page.missing} of {page.allcount} works did not come."
            for page in self.store.pages
            if page.window and page.missing and _inside(page.window, self.since, self.until)
        ]

    def _read_gaps(self) -> None:
        # While the past is read, works move from it into the present: the tail is read until it is short.
        while gaps := self.store.gaps(self.since, self._horizon()):
            newest = gaps[0]
            if len(gaps) == 1 and newest[1] - newest[0] < SETTLED and newest[1] == self._horizon() < self.until:
                break
            self._read_newest_part(*newest)

    def _horizon(self) -> int:
        return min(self.until, int(self.now()))

    def _read_newest_part(self, start: int, end: int) -> None:
        """Ask for [start, end] and store the newest part of it that the answer covers completely."""
        while True:
            page = self._page(start, end)
            covered = _covered_since(page, start, end)
            if covered is not None:
                self._store(page, (covered, end), page.short)
                return
            if start == end:
                self._read_one_second(page, end)
                return
            start = (start + end) // 2 + 1  # the answer shows no order to go by: ask for the newer half

    def _read_one_second(self, page: Page, second: int) -> None:
        """Page through a second that holds more works than one request gives."""
        total, got = page.allcount, len(page.rows)
        while page.rows and got < total and got < REACH:
            self._store(page, None, 0)
            first = min(got + 1, MAX_START)
            page = self._page(second, second, st=first)
            got = first - 1 + len(page.rows)
        self._store(page, (second, second), max(0, total - got))

    def _page(self, start: int, end: int, **more: int) -> Page:
        page = self.client.works(lastup=f"{start}-{end}", order="new", **more)
        if not self.bar.total:
            self.bar.total = self.bar.n + page.allcount
        return page

    def _store(self, page: Page, window: tuple[int, int] | None, missing: int) -> None:
        # What the page shows beyond the part it covers is read again with the next one.
        first, last = window or (self.since, self.until)
        rows = [row for row in page.rows if first <= last_update(row) <= last]
        self.store.append(rows, window, page.allcount, missing)
        self.bar.update(len(rows))
        used = self.client.budget.used
        self.bar.set_postfix(pages=len(self.store.pages), MB=f"{used['bytes'] / 1e6:.1f}", refresh=False)

    def _windows_with_fewer_works_than_the_api(self) -> list[tuple[tuple[int, int], int]]:
        """Compare counts for the whole period; where the API has more, halve until pages are found.

        Fewer in the API is no fault: works that were updated since are found at a later time.
        """
        return self._compare(
            list(update_times(self.store).values()), self.since, min(self._horizon(), self._newest_covered())
        )

    def _newest_covered(self) -> int:
        return max((page.window[1] for page in self.store.pages if page.window), default=self.since)

    def _compare(self, times: list[int], start: int, end: int) -> list[tuple[tuple[int, int], int]]:
        ours = sum(start <= t <= end for t in times)
        theirs = self.client.works(lastup=f"{start}-{end}", lim=1).allcount
        if theirs <= ours or end < start:
            return []
        if end - start < 3600 or theirs <= MAX_ROWS:
            return [((start, end), theirs - ours)]
        middle = (start + end) // 2
        return self._compare(times, start, middle) + self._compare(times, middle + 1, end)


def _covered_since(page: Page, start: int, end: int) -> int | None:
    """Return from which second on `page` holds everything up to `end`, or None when it cannot be told."""
    if len(page.rows) + max(0, page.short) >= page.allcount:
        return start
    times = [last_update(row) for row in page.rows]
    in_order = bool(times) and times == sorted(times, reverse=True)
    return times[-1] + 1 if in_order and start <= times[-1] < end else None


def update_times(store: RawStore) -> dict[str, int]:
    """Return the last update of each work in `store`."""
    return {row["ncode"]: last_update(row) for row in store.rows()}


def last_update(row: dict) -> int:
    """Return the unix time of a work's last update."""
    return int(datetime.strptime(row["general_lastup"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=JST).timestamp())


def day_bounds(since: date, until: date) -> tuple[int, int]:
    """Return the first and the last second, in Japan, of the days from `since` to `until`."""
    start = datetime(since.year, since.month, since.day, tzinfo=JST)
    end = datetime(until.year, until.month, until.day, tzinfo=JST) + timedelta(days=1)
    return int(start.timestamp()), int(end.timestamp()) - 1


def _inside(window: tuple[int, int], since: int, until: int) -> bool:
    return since <= window[1] and window[0] <= until


def _span(start: int, end: int) -> str:
    return " - ".join(datetime.fromtimestamp(t, JST).strftime("%Y-%m-%d %H:%M:%S") for t in (start, end))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write it like 2024-12-31") from None


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; a reversed range is refused here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", type=_day, required=True, help="first day of the last update, in Japan: 2024-01-01")
    parser.add_argument("--until", type=_day, required=True, help="last day: 2024-12-31")
    parser.add_argument("--out", type=Path, required=True, help="folder of the raw works, such as data/raw")
    parser.add_argument(
        "--contact", default="", help="how the API's operator reaches you: mail or page, for the User-Agent"
    )
    parser.add_argument("--max_requests_per_day", type=int, default=80_000, help="the API's limit; less is kinder")
    parser.add_argument("--max_megabytes_per_day", type=float, default=400.0, help="the API's limit")
    parser.add_argument("--pace", type=float, default=MIN_PACE, help="seconds between requests, at least 1")
    parser.add_argument("--attempts", type=int, default=8, help="how often one request is made before giving up")
    parser.add_argument("--endpoint", default=ENDPOINT, help="address of the API")
    arguments = parser.parse_args(argv)
    if arguments.since > datetime.now(JST).date():
        parser.error(f"--since {arguments.since} is still to come: nothing was updated then")
    if arguments.since > arguments.until:
        parser.error(f"--since {arguments.since} is after --until {arguments.until}: exchange them")
    return arguments


def collect(arguments: argparse.Namespace) -> list[str]:
    """Run the command; return what is missing."""
    since, until = day_bounds(arguments.since, arguments.until)
    with RawStore(arguments.out, writable=True) as store, tqdm(desc="Collect", unit=" works") as bar:

        def tell(line: str) -> None:
            bar.write(line, file=sys.stderr)

        for line in store.repairs:
            tell(line)
        limits = (arguments.max_requests_per_day, int(arguments.max_megabytes_per_day * 1e6))
        budget = Budget(budget_file(arguments.endpoint), *limits)
        with NarouClient(
            budget, arguments.endpoint, arguments.pace, arguments.contact, arguments.attempts, tell, 2 * arguments.pace
        ) as client:
            missing = Collector(store, client, since, until, bar).run()
    print(f"{len(update_times(store)):,} works in {len(store.pages):,} pages in {arguments.out}.")
    return missing


def main(argv: list[str] | None = None) -> int:
    """Collect; return the exit status."""
    try:
        missing = collect(parse_arguments(argv))
    except ComeBackLater as pause:
        print(pause, file=sys.stderr)
        return COME_BACK_LATER
    except (ApiError, BudgetError, StoreError, OSError) as error:
        print(f"error: {error} Start the same command again to go on.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Start the same command again to go on.", file=sys.stderr)
        return 130
    for line in missing:
        print(f"missing: {line}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
