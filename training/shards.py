"""Raw works on disk: append-only gzip shards and a manifest that says what is in them.

Each page of the API is one whole gzip member, so `zcat data/raw/works-*.jsonl.gz` reads a folder. A page counts once
the manifest names it; the manifest is written after the page has reached the disk. What a kill leaves behind is
therefore at most one page after the last counted one, and it is cut off and asked for again.
"""

import fcntl
import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.files import sync_folder, write_json

VERSION = 1
SHARD_BYTES = 64 * 2**20
_OURS = re.compile(r"works-\d{5}\.jsonl\.gz|(manifest|split)\.json(\.partial)?|\.lock|removal_list\.txt")


class StoreError(RuntimeError):
    """A folder of raw works that cannot be used; says what is wrong and what to do."""


@dataclass(frozen=True)
class StoredPage:
    """One page: where it lies, what it covers (unix seconds, both inclusive; None: a part of a longer read)."""

    shard: str
    offset: int
    bytes: int
    sha256: str
    window: tuple[int, int] | None
    rows: int
    allcount: int
    missing: int
    time: str


class RawStore:
    """Pages of works in a folder.

    Args:
        folder: an empty or new folder, or one written by this class.
        writable: open for collecting: takes the lock, repairs what a kill or a full disk left behind.

    Raises:
        StoreError: foreign files, another version, another collector at work, a damaged page (when only reading).
    """

    def __init__(self, folder: Path, writable: bool = False, shard_bytes: int = SHARD_BYTES):
        self.folder, self.writable, self.shard_bytes = folder, writable, shard_bytes
        self.pages: list[StoredPage] = []
        self.repairs: list[str] = []
        self._lock = None
        if not writable and not self.manifest.exists():
            raise StoreError(f"{folder} holds no manifest.json: collect first with training/collect.py.")
        if writable:
            self._prepare_folder()
        try:
            if self.manifest.exists():
                self.pages = self._read_manifest()
            self._check_shards()
            if writable:
                self._write_manifest()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "RawStore":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock:
            self._lock.close()  # gives the lock up

    @property
    def manifest(self) -> Path:
        """The file that names every page."""
        return self.folder / "manifest.json"

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            foreign = sorted(p.name for p in self.folder.iterdir() if not _OURS.fullmatch(p.name))
            shards = list(self.folder.glob("works-*.jsonl.gz"))
            if (foreign or len(shards) > 0) and not self.manifest.exists():
                raise StoreError(
                    f"{self.folder} holds other files ({', '.join((foreign or [shards[0].name])[:3])}) and no manifest.json: "
                    "name an empty folder with --out."
                )
            lock = (self.folder / ".lock").open("a")
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise StoreError(
                f"{self.folder} cannot be written ({error.strerror}): name another folder with --out."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise StoreError(
                f"Another collector writes to {self.folder}: wait for it, or name another --out."
            ) from error
        self._lock = lock

    def _read_manifest(self) -> list[StoredPage]:
        try:
            value = json.loads(self.manifest.read_text(encoding="utf-8"))
            version = value["version"]
            if version == VERSION:
                return [
                    StoredPage(**page | {"window": page["window"] and tuple(page["window"])}) for page in value["pages"]
                ]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self.manifest} is not a manifest of this program: name another folder with --out."
            ) from error
        raise StoreError(
            f"{self.manifest} has version {version}, this program reads version {VERSION}: "
            "go on with the program that wrote it, or name another folder with --out."
        )

    def _check_shards(self) -> None:
        """Keep the pages whose bytes are there and right; cut off what no page accounts for."""
        good = []
        named = {page.shard for page in self.pages}
        for path in self.folder.glob("works-*.gz"):  # one that was begun just before a kill is the next one
            if path.name not in named and path.name != self._current_shard():
                raise StoreError(
                    f"{path} is not in {self.manifest.name}: move it away, or name another folder with --out."
                )
        for shard in sorted({page.shard for page in self.pages} | {p.name for p in self.folder.glob("works-*.gz")}):
            pages = [page for page in self.pages if page.shard == shard]
            whole = self._whole_pages(shard, pages)
            good += whole
            end = max((page.offset + page.bytes for page in whole), default=0)
            extra = self._size(shard) - end
            if extra > 0 and self.writable:
                os.truncate(self.folder / shard, end)
                self.repairs.append(f"{shard}: cut off {extra:,} bytes of a page that was not finished.")
        lost = sorted(set(self.pages) - set(good), key=lambda page: (page.shard, page.offset))
        for page in lost:
            if not self.writable:
                raise StoreError(
                    f"{page.shard} is damaged at byte {page.offset:,}: mend it by running training/collect.py again on {self.folder}."
                )
            self.repairs.append(
                f"{page.shard}: page at byte {page.offset:,} ({page.rows} works) is damaged; it is read again."
            )
        kept = set(good)
        self.pages = [page for page in self.pages if page in kept]

    def _size(self, shard: str) -> int:
        path = self.folder / shard
        return path.stat().st_size if path.exists() else 0

    def _whole_pages(self, shard: str, pages: list[StoredPage]) -> list[StoredPage]:
        if not pages or not (self.folder / shard).exists():
            return []
        with (self.folder / shard).open("rb") as file:
            return [page for page in pages if _digest(_read_at(file, page)) == page.sha256]

    def append(
        self, rows: list[dict[str, Any]], window: tuple[int, int] | None, allcount: int, missing: int = 0
    ) -> None:
        """Add a page: bytes first, then the manifest.

        Raises:
            StoreError: the disk is full; everything up to the page before is kept.
        """
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        body = gzip.compress(content.encode(), mtime=0)
        shard = self._current_shard()
        path, offset = self.folder / shard, self._size(shard)
        page = StoredPage(shard, offset, len(body), _digest(body), window, len(rows), allcount, missing, _now())
        try:
            with path.open("ab") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self.folder)
            self.pages.append(page)
            self._write_manifest()
        except OSError as error:
            self.pages = [p for p in self.pages if p is not page]
            if path.exists():
                os.truncate(path, offset)
            raise StoreError(
                f"{path} cannot be written ({error.strerror}). Make room, then start the same command again; "
                f"the {len(self.pages):,} pages before are safe."
            ) from error

    def _current_shard(self) -> str:
        number = max((int(page.shard[6:11]) for page in self.pages), default=0)
        name = f"works-{number:05d}.jsonl.gz"
        return name if self._size(name) < self.shard_bytes else f"works-{number + 1:05d}.jsonl.gz"

    def _write_manifest(self) -> None:
        write_json(self.manifest, {"version": VERSION, "pages": [asdict(page) for page in self.pages]})

    def forget(self, window: tuple[int, int]) -> None:
        """Have a window read again; the rows it brought stay."""
        self.pages = [replace(page, window=None) if _overlap(page.window, window) else page for page in self.pages]
        self._write_manifest()

    def gaps(self, since: int, until: int) -> list[tuple[int, int]]:
        """Return the parts of [since, until] that no page covers, newest first."""
        gaps, start = [], since
        for first, last in self._covered():
            if first > until:
                break
            if first > start:
                gaps.append((start, first - 1))
            start = max(start, last + 1)
        if start <= until:
            gaps.append((start, until))
        return gaps[::-1]

    def _covered(self) -> list[tuple[int, int]]:
        return sorted(page.window for page in self.pages if page.window)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every stored row, oldest page first; a work that was read twice comes twice, the newest last."""
        for page in self.pages:
            with (self.folder / page.shard).open("rb") as file:
                for line in gzip.decompress(_read_at(file, page)).decode().split("\n"):
                    if line:
                        yield json.loads(line)

    def works(self) -> dict[str, dict[str, Any]]:
        """Return the newest row of each ncode (all in memory: for checks and small collections)."""
        return {row["ncode"]: row for row in self.rows()}


def _read_at(file: Any, page: StoredPage) -> bytes:
    file.seek(page.offset)
    return file.read(page.bytes)


def _overlap(a: tuple[int, int] | None, b: tuple[int, int]) -> bool:
    return a is not None and a[0] <= b[1] and b[0] <= a[1]


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
