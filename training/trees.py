"""What is published: files by their path in the repository, compared by the hashes that the Hub keeps."""

import hashlib
import shutil
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub.hf_api import RepoFile

Tree = dict[str, Path | bytes]  # path in the repository -> file, or its content


class PublishError(Exception):
    """Something that keeps files from being published; one sentence with what to do next."""


def size(source: Path | bytes) -> int:
    """Return the bytes of one entry of a tree."""
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def content(source: Path | bytes) -> bytes:
    """Return one entry of a tree; for small files."""
    return source if isinstance(source, bytes) else source.read_bytes()


def same(source: Path | bytes, remote: RepoFile) -> bool:
    """Whether the repository holds this file: SHA-256 of a large file, git's blob SHA-1 of a small one."""
    if size(source) != remote.size:
        return False
    if remote.lfs is None:
        digest = hashlib.sha1(f"blob {size(source)}\0".encode(), usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
    else:
        with source.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest() == (remote.blob_id if remote.lfs is None else remote.lfs.sha256)


def differences(tree: Tree, remote: dict[str, RepoFile], owned: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the paths to send and the paths to delete.

    `owned` are patterns of what publishing writes: such files that are no longer part of the tree go (weights of an
    earlier shape, pickles of a Trainer), everything else in the repository stays.
    """
    changed = [path for path, source in tree.items() if not (path in remote and same(source, remote[path]))]
    return changed, stale(remote, tree, owned)


def stale(present: list[str] | dict, tree: Tree, owned: tuple[str, ...]) -> list[str]:
    """Return those of the `present` paths that publishing wrote once and no longer does."""

    def ours(path: str, pattern: str) -> bool:
        return fnmatch(path, pattern) and ("/" in pattern or "/" not in path)

    return [path for path in present if path not in tree and any(ours(path, pattern) for pattern in owned)]


def is_local(target: str) -> bool:
    """Whether a target is a folder and not a repository of the Hub."""
    return target.startswith((".", "/", "~"))


def write_tree(tree: Tree, folder: Path, owned: tuple[str, ...] = ()) -> None:
    """Write the tree to a local folder: all of it beside the folder first, then into its place.

    Raises:
        PublishError: the folder cannot be written, or holds nothing but files of somebody else.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for path, source in tree.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source) if isinstance(source, bytes) else shutil.copyfile(source, target)
        if not folder.exists():
            partial.rename(folder)
            return
        present = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
        if present and not set(present) & (set(tree) - {"README.md"}):
            raise PublishError(f"{folder} holds other files ({present[0]}): name a new or empty folder.")
        for path in tree:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).replace(folder / path)
        for path in stale(present, tree, owned):
            (folder / path).unlink()
    except OSError as error:
        raise PublishError(f"{folder} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
