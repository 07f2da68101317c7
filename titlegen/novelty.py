"""How new is a title: the nearest title of the training pairs, and how similar it is.

python -m titlegen.novelty --pairs data/original/pairs.jsonl --out models/demo/known_titles.txt.xz

The index is a text file of known titles, one a line, sorted, packed with xz; it lies beside the model as
`known_titles.txt.xz`. Loading it builds an inverted index of character bigrams: a look-up among 100,000 titles
takes milliseconds.
"""

import argparse
import lzma
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from .selection import similarity
from .text import canonical

FILE_NAME = "known_titles.txt.xz"
NEAR, COPY = 0.5, 0.8  # similarity from which a title counts as similar, as a near-copy


class KnownTitles:
    """Nearest-title search over `titles`, by the share of common character bigrams (`selection.similarity`)."""

    def __init__(self, titles: Iterable[str]):
        self.titles = sorted({canonical(title) for title in titles} - {""})
        rows: dict[str, list[int]] = defaultdict(list)
        for i, title in enumerate(self.titles):
            for bigram in _bigrams(title):
                rows[bigram].append(i)
        self._rows = {bigram: np.array(found, dtype=np.int32) for bigram, found in rows.items()}
        self._sizes = np.array([len(_bigrams(title)) for title in self.titles], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.titles)

    def nearest(self, title: str) -> tuple[str, float]:
        """Return the most similar known title and its similarity, 0 (nothing in common) to 1 (the same)."""
        title = canonical(title)
        bigrams = _bigrams(title)
        found = [self._rows[bigram] for bigram in bigrams if bigram in self._rows]
        if not found:
            return "", 0.0
        shared = np.bincount(np.concatenate(found), minlength=len(self.titles))
        best = self.titles[int(np.argmax(2 * shared / (self._sizes + len(bigrams))))]
        return best, round(similarity(title, best), 3)

    def mark(self, title: str) -> dict[str, Any]:
        """Return `{"nearest", "similarity", "verdict"}`; the verdict is "new", "near" or "copy"."""
        nearest, share = self.nearest(title)
        verdict = "copy" if share >= COPY else "near" if share >= NEAR else "new"
        return {"nearest": nearest, "similarity": share, "verdict": verdict}

    def save(self, path: Path) -> None:
        """Write the index file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(lzma.compress("".join(f"{title}\n" for title in self.titles).encode()))
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> "KnownTitles":
        """Read an index file.

        Raises:
            ValueError: the file is no such index.
        """
        try:
            return cls(lzma.decompress(path.read_bytes()).decode().splitlines())
        except (lzma.LZMAError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path} is not an index of titles ({error}): build it again with titlegen.novelty."
            ) from error


def known_titles(model: str | os.PathLike, revision: str | None = None) -> KnownTitles | None:
    """Return the index that lies beside a model (folder or Hub id), or None where there is none."""
    folder = Path(model)
    if folder.is_dir():
        path = folder / FILE_NAME
        return KnownTitles.load(path) if path.is_file() else None
    try:
        return KnownTitles.load(Path(hf_hub_download(str(model), FILE_NAME, revision=revision)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError):
        return None


def _bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)} or {text}


def main(argv: list[str] | None = None) -> None:
    """Build the index from a file of pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True, type=Path, nargs="+", help="JSON Lines files of training pairs")
    parser.add_argument("--out", required=True, type=Path, help=f"index file to write, e.g. MODEL/{FILE_NAME}")
    arguments = parser.parse_args(argv)
    from .report import read_pairs  # imports transformers, which the page must not wait for

    try:
        index = KnownTitles(title for path in arguments.pairs for _, title in read_pairs(path))
        index.save(arguments.out)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{arguments.out}: {len(index):,} titles, {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
