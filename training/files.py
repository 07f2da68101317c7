"""Writing that survives a crash: a file is there whole or not at all, and what was reported as written is on disk."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def atomic_file(path: Path) -> Iterator[TextIO]:
    """Open a temporary name for writing; when the block ends well, wait for the disk, then rename.

    Raises:
        OSError: the disk is full or not writable; the file that was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all."""
    with atomic_file(path) as file:
        file.buffer.write(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON that a person can read, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` durable (a file's own fsync does not cover its name)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to build in, and remove it at the end; what a killed build left there is removed first.

    Raises:
        FileExistsError: a folder of that name holds files of somebody else.
    """
    work = out.absolute().with_name(f"{out.absolute().name}.building")
    mark = work / ".titlegen"
    if work.exists() and not mark.exists():
        raise FileExistsError(f"{work} exists and was not written by this command: move it, or give another --out.")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        mark.touch()
        (work / out.absolute().name).mkdir()
        yield work / out.absolute().name
    finally:
        shutil.rmtree(work, ignore_errors=True)


def claim_folder(folder: Path, mark: str) -> None:
    """Refuse a folder that holds files of somebody else: it has to be new, empty, or hold the file `mark`.

    Raises:
        FileExistsError: it holds other files, or is a file.
    """
    if not folder.exists() or (folder / mark).exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} exists and was not written by this command: name a new or empty folder with --out."
        )
