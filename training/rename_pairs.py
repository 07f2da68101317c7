"""Pairs under other names: the same story and title, with every rare word that both share replaced by another.

    python training/rename_pairs.py --pairs data/original/pairs.jsonl --copies 4 --out build/demo/renamed.jsonl

A model that meets a few thousand pairs many times learns the titles by heart, names included. When the names differ each
time it meets them, the synopsis is the only place to find them: copying is what remains to be learnt.
"""

import argparse
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from training.data import load_pairs, with_all_splits
from training.evaluation import write_json_lines

KATAKANA = re.compile(r"[ァ-ヴー]{3,}")
# A noun as a rule: no okurigana follows, but a particle, a sign, or the end.
KANJI = re.compile(r"[一-龠々]{2,}(?=[のをはがにでともへ、。！？」』】～\n]|$)")
RARE = 2  # a word in no more pairs than this is a name or a thing of its own story

Pair = dict[str, str]


class Renamer:
    """Draws other names for the rare words of a pair.

    Args:
        pairs: where the names come from; columns `title` and `synopsis`.
        seed: the same pairs and seed give the same names.
    """

    def __init__(self, pairs: list[Pair], seed: int):
        self.draw = random.Random(seed)
        self.pools = [self._rare(pattern, pairs) for pattern in (KATAKANA, KANJI)]

    @staticmethod
    def _rare(pattern: re.Pattern[str], pairs: list[Pair]) -> dict[str, None]:
        seen = Counter(word for p in pairs for word in set(pattern.findall(f"{p['title']}\n{p['synopsis']}")))
        return {word: None for word, count in sorted(seen.items()) if count <= RARE}

    def rename(self, synopsis: str, titles: list[str]) -> tuple[str, list[str]]:
        """Return a synopsis and its titles with the rare katakana words, and the rare kanji words both share, replaced."""
        katakana, kanji = self.pools
        together = "\n".join(titles)
        old = [(word, katakana) for word in _ordered(KATAKANA, synopsis) if word in katakana]
        old += [(word, kanji) for word in _ordered(KANJI, together) if word in kanji and word in synopsis]
        if not old:
            return synopsis, titles
        new = {word: self.draw.choice(list(pool)) for word, pool in old}
        # Longest first, in one pass: a new name is not renamed again, nor half of a longer word.
        pattern = re.compile("|".join(map(re.escape, sorted(new, key=len, reverse=True))))
        renamed = [pattern.sub(lambda m: new[m.group()], text) for text in (synopsis, *titles)]
        return renamed[0], renamed[1:]


def _ordered(pattern: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(pattern.findall(text)))


def renamed_pairs(pairs: list[Pair], copies: int, seed: int) -> Iterator[Pair]:
    """Yield each pair `copies` times, each time under other names; the titles of one synopsis change together."""
    renamer = Renamer(pairs, seed)
    stories: dict[str, list[str]] = {}
    for pair in pairs:
        stories.setdefault(pair["synopsis"], []).append(pair["title"])
    for _ in range(copies):
        for synopsis, titles in stories.items():
            synopsis, titles = renamer.rename(synopsis, titles)
            yield from ({"title": title, "synopsis": synopsis} for title in titles)


def main() -> None:
    """Write the pairs; held-out pairs are left out, so that nothing of them is ever trained on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True, help="only their training split is used")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    train = with_all_splits(load_pairs(arguments.pairs), 0.05, 0.05)["train"]
    rows = train.select_columns(["title", "synopsis"]).to_list()
    write_json_lines(arguments.out, list(renamed_pairs(rows, arguments.copies, arguments.seed)))


if __name__ == "__main__":
    main()
