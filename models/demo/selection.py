"""Choosing among many candidates: no title twice, and titles that differ from one another.

This module travels with a published model: it imports nothing but the standard library.
"""

from typing import Any


def unique(titles: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Return `titles` without those whose text appeared before or is empty, in the same order."""
    first: dict[str, dict[str, Any]] = {}
    for title in titles:
        if title[key]:
            first.setdefault(title[key], title)
    return list(first.values())


def pick_varied(titles: list[dict[str, Any]], count: int, variety: float = 0.5) -> list[dict[str, Any]]:
    """Pick `count` titles that are good and unlike each other, by maximal marginal relevance.

    Each pick maximises ``(1 - variety) * score - variety * similarity to the nearest title already picked``
    (Carbonell and Goldstein, SIGIR 1998), with the scores scaled so that the best one is 1.
    """
    best = max((title["score"] for title in titles), default=1.0) or 1.0
    left, picked = list(titles), []
    while left and len(picked) < count:
        nearest = {
            id(title): max((similarity(title["generated_text"], p["generated_text"]) for p in picked), default=0.0)
            for title in left
        }
        choice = max(left, key=lambda t: (1 - variety) * t["score"] / best - variety * nearest[id(t)])
        left.remove(choice)
        picked.append(choice)
    return picked


def similarity(one: str, other: str) -> float:
    """Return the share of character pairs that two titles have in common (Dice coefficient of bigrams), 0 to 1."""
    first, second = _bigrams(one), _bigrams(other)
    total = len(first) + len(second)
    return 2 * len(first & second) / total if total else float(one == other)


def _bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)} or {text}
