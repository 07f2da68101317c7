"""Near-duplicates among a million texts: MinHash signatures (datasketch), banding (LSH) by sorting.

A signature is 63 + 30 hash values of 16 bits: of the synopsis' 4-grams and of the title's 2-grams, letters only.
`datasketch.MinHashLSH` keeps a dictionary entry for each text and band, which is gigabytes for a million texts; sorting
one band after the other finds the same candidates in 30 MB.

Method: Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3.
"""

import re
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from datasketch import MinHash

from titlegen.text import normalise

ROWS_A_BAND = 3
SYNOPSIS_HASHES, TITLE_HASHES = 63, 30  # 21 and 10 bands
SIGNATURE = SYNOPSIS_HASHES + TITLE_HASHES
MIN_SYNOPSIS_LETTERS, MIN_TITLE_LETTERS = 15, 10  # shorter texts are alike by chance
DUPLICATE = 0.7  # estimated Jaccard similarity of synopses from which one of two works is dropped
# From which two works must not sit in different splits. An estimate is off by 0.06 (one standard deviation), so two synopses
# alike by 0.7 are seen to be; unrelated ones are alike by 0.02.
KIN_SYNOPSIS, KIN_TITLE = 0.4, 0.7
CHAIN, PAIRWISE = 1, 8  # how many rows back a row is compared with: one makes clusters, all small runs need more

_NOT_LETTERS = re.compile(r"[\W_]+")


def signature(title: str, synopsis: str) -> np.ndarray:
    """Return the 93 hash values of a pair, uint16; zeros where a text is too short to compare."""
    return np.concatenate(
        [
            _hashes(synopsis, 4, SYNOPSIS_HASHES, MIN_SYNOPSIS_LETTERS),
            _hashes(title, 2, TITLE_HASHES, MIN_TITLE_LETTERS),
        ]
    )


def _hashes(text: str, width: int, count: int, least: int) -> np.ndarray:
    letters = _NOT_LETTERS.sub("", normalise(text)).lower()
    if len(letters) < least:
        return np.zeros(count, np.uint16)
    pieces = {letters[i : i + width] for i in range(len(letters) - width + 1)}
    minhash = MinHash(count, hashfunc=zlib.crc32, permutations=_permutations(count), scheme="affine32")
    minhash.update_batch([piece.encode() for piece in pieces])
    # 16 of 32 bits are enough to tell values apart: two different ones agree by chance once in 65,536.
    return minhash.hashvalues.astype(np.uint16) | 1  # never all zeros, which means "not comparable"


@cache
def _permutations(count: int) -> np.ndarray:
    return MinHash(count, seed=1, hashfunc=zlib.crc32, scheme="affine32").permutations


def duplicate_links(signatures: np.ndarray) -> np.ndarray:
    """Return pairs of rows (m, 2), i < j, whose synopses are nearly the same."""
    return _links(signatures[:, :SYNOPSIS_HASHES], DUPLICATE, CHAIN)


def kin_links(signatures: np.ndarray) -> np.ndarray:
    """Return pairs of rows (m, 2), i < j, whose synopses or titles are so alike that they tell of each other."""
    synopses = _links(signatures[:, :SYNOPSIS_HASHES], KIN_SYNOPSIS, PAIRWISE)
    titles = _links(signatures[:, SYNOPSIS_HASHES:], KIN_TITLE, PAIRWISE)
    return np.unique(np.concatenate([synopses, titles]), axis=0)


def _links(hashes: np.ndarray, threshold: float, reach: int) -> np.ndarray:
    found = [pairs[_similar(hashes, pairs, threshold)] for pairs in _candidates(hashes, reach)]
    return np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)


def _candidates(hashes: np.ndarray, reach: int) -> Iterator[np.ndarray]:
    """Yield, for each band, pairs of rows that agree in it.

    In a run of equal rows each is paired with the `reach` rows before it and with the first, not with all: the number of
    pairs grows with the rows, not with their square.
    """
    comparable = np.flatnonzero(hashes.any(axis=1))
    for band in range(0, hashes.shape[1], ROWS_A_BAND):
        values = hashes[comparable, band : band + ROWS_A_BAND].astype(np.uint64)
        keys = (values[:, 0] << np.uint64(32)) | (values[:, 1] << np.uint64(16)) | values[:, 2]
        order = np.argsort(keys, kind="stable")  # stable: a run's first is its oldest row
        keys = keys[order]
        for back in range(1, reach + 1):
            same = np.flatnonzero(keys[back:] == keys[:-back]) + back
            if not len(same):
                break
            yield comparable[np.sort(np.stack([order[same - back], order[same]], axis=1), axis=1)]
        else:  # there are runs longer than that
            first = np.searchsorted(keys, keys[same])
            yield comparable[np.sort(np.stack([order[first], order[same]], axis=1), axis=1)]


def _similar(hashes: np.ndarray, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """Estimate the Jaccard similarity: the share of hash values that agree."""
    parts = [pairs[i : i + 100_000] for i in range(0, len(pairs), 100_000)]
    return np.concatenate(
        [(hashes[part[:, 0]] == hashes[part[:, 1]]).mean(axis=1) >= threshold for part in parts] or [np.empty(0, bool)]
    )


def oldest_of_cluster(count: int, links: np.ndarray) -> np.ndarray:
    """Return for each row the first row of its cluster (itself where it has no link)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), shape=(count, count))
    _, cluster = connected_components(graph, directed=False)
    _, first = np.unique(cluster, return_index=True)
    return first[cluster]
