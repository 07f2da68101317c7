"""The hand-written frames behind the generated pairs: read, checked, and drawn from.

How the frame files are written is told at the top of ``frames/lexicon.yaml``.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

FRAMES_DIR = Path(__file__).resolve().parent / "frames"

T = TypeVar("T")
Node = str | tuple[str, str] | list[list]


class FrameError(ValueError):
    """A frame file that cannot be used, or too many pairs asked of it."""


@dataclass
class Line:
    """One wording or title: its text as nodes, and the tags around it."""

    nodes: list[Node]
    sets: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    bars: set[str] = field(default_factory=set)

    def fits(self, tags: set[str]) -> bool:
        """Say whether this line may be chosen after lines that set ``tags``."""
        return self.needs <= tags and not self.bars & tags


@dataclass
class Part:
    """One part of a synopsis: the chance that it shows and its wordings."""

    chance: float
    lines: list[Line]


@dataclass
class Frame:
    """A checked frame, ready to be drawn from."""

    where: str
    genre: str
    slots: dict[str, str]
    parts: list[Part]
    titles: list[Line]
    asides: list[Line]
    aside_slots: dict[str, str]


def parse_text(text: str, where: str) -> list[Node]:
    """Split a text into literals, ``("slot", name)`` and lists of wordings."""
    nodes: list[Node] = []
    for piece in re.split(r"(\{[^{}]*\}|\[[^\[\]]*\])", text):
        if piece.startswith("{") and piece.endswith("}"):
            nodes.append(("slot", piece[1:-1]))
        elif piece.startswith("[") and piece.endswith("]"):
            nodes.append([parse_text(one, where) for one in piece[1:-1].split("|")])
        elif re.search(r"[{}\[\]]", piece):
            raise FrameError(f"{where}: unbalanced brace or bracket in '{text}'.")
        elif piece:
            nodes.append(piece)
    return nodes


def parse_line(text: str, where: str) -> Line:
    """Read the tags in front of a wording and the wording itself."""
    line = Line([])
    while match := re.match(r"<([+!]?)(\w+)>", text):
        {"+": line.sets, "!": line.bars, "": line.needs}[match[1]].add(match[2])
        text = text[match.end() :]
    line.nodes = parse_text(text, where)
    return line


def parse_part(block: str, where: str) -> Part:
    """Read one block of wordings, the first line of which may be a chance."""
    if re.search(r"\n\s*\(\d+%\)", block):
        raise FrameError(f"{where}: a chance such as (40%) must be the first line of its part.")
    lines = [one.strip() for one in block.strip().splitlines()]
    chance = 1.0
    if match := re.fullmatch(r"\((\d+)%\)", lines[0]):
        chance, lines = int(match[1]) / 100, lines[1:]
    return Part(chance, [parse_line(one, where) for one in lines])


def slots_in(nodes: list[Node]) -> Iterator[str]:
    """Yield the slot names that a parsed text uses."""
    for node in nodes:
        if isinstance(node, tuple):
            yield node[1]
        elif isinstance(node, list):
            for inner in node:
                yield from slots_in(inner)


def pick(rng: random.Random, items: list[T]) -> T:
    """Choose one item; random() is the one draw Python promises to keep stable."""
    return items[int(rng.random() * len(items))]


def render(nodes: list[Node], rng: random.Random, value: Callable[[str], str]) -> str:
    """Write a parsed text out, with ``value`` giving what a slot is filled with."""
    out = []
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif isinstance(node, tuple):
            out.append(value(node[1]))
        else:
            out.append(render(pick(rng, node), rng, value))
    return "".join(out)


def read_yaml(path: Path) -> dict:
    """Read one frame file; what is wrong with it is said in one sentence."""
    try:
        return yaml.safe_load(path.read_text("utf-8")) or {}
    except yaml.YAMLError as err:
        raise FrameError(f"{path.name}: is not valid YAML ({' '.join(str(err).split())}).") from err


class Library:
    """All lexicons and frames of a folder, read and checked once."""

    def __init__(self, folder: Path = FRAMES_DIR) -> None:
        self.lexicons: dict[str, list[list[Node]]] = {}
        self.frames: list[Frame] = []
        # Sorted, because a folder lists its files in no promised order.
        files = {path.name: read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
        for name, data in files.items():
            self._read_lexicons(name, data.get("lexicons", {}))
        for key, words in self.lexicons.items():
            for used in {slot for word in words for slot in slots_in(word)} - set(self.lexicons):
                raise FrameError(f"lexicon {key}: unknown lexicon '{used}'.")
        for name, data in files.items():
            for raw in data.get("frames", []):
                self.frames.append(self._read_frame(name, data, raw))
        if not self.frames:
            raise FrameError(f"No frames were found in {folder}.")

    def _read_lexicons(self, name: str, lexicons: dict) -> None:
        """Parse one file's lexicons: a plain list of words, or templates."""
        for key, words in lexicons.items():
            words = words.split() if isinstance(words, str) else words
            self.lexicons[key] = [parse_text(str(w), f"{name}: lexicon {key}") for w in words]

    def _read_frame(self, name: str, data: dict, raw: dict) -> Frame:
        """Parse one frame and check that all it names exists."""
        where = f"{name}: frame {raw.get('id', '?')}"
        for key in ("id", "slots", "parts", "titles"):
            if key not in raw:
                raise FrameError(f"{where}: has no '{key}'.")
        parts = [parse_part(b, where) for b in re.split(r"\n\s*\n", raw["parts"].strip())]
        titles = [parse_line(t.strip(), where) for t in raw["titles"].strip().splitlines()]
        asides = [parse_line(t.strip(), where) for t in raw.get("asides", data.get("asides", "")).strip().splitlines()]
        frame = Frame(
            where,
            raw.get("genre", data.get("genre", "")),
            raw["slots"],
            parts,
            titles,
            asides,
            data.get("aside_slots", {}),
        )
        self._check(frame)
        return frame

    def _check(self, frame: Frame) -> None:
        """Refuse unknown slots and lexicons, and tags that nothing can set."""
        wordings = [line for part in frame.parts for line in part.lines]
        known_tags = set().union(*(line.sets for line in wordings))
        for lines, slots in ((wordings + frame.titles, frame.slots), (frame.asides, frame.aside_slots)):
            for lexicon in slots.values():
                if lexicon not in self.lexicons:
                    raise FrameError(f"{frame.where}: unknown lexicon '{lexicon}'.")
            for line in lines:
                for slot in slots_in(line.nodes):
                    if slot not in slots:
                        raise FrameError(f"{frame.where}: unknown slot '{slot}'.")
                for tag in (line.needs | line.bars) - known_tags:
                    raise FrameError(f"{frame.where}: no wording sets the tag '{tag}'.")
        for part in frame.parts:
            # A forgotten blank line merges two parts; this is how it shows.
            for tag in set().union(*(o.sets for o in part.lines)) & set().union(*(o.needs for o in part.lines)):
                raise FrameError(
                    f"{frame.where}: one part both sets and needs the tag '{tag}'; a blank line is missing."
                )

    def draw(self, lexicon: str, rng: random.Random) -> str:
        """Draw one word or composed expression from a lexicon."""
        return render(pick(rng, self.lexicons[lexicon]), rng, lambda name: self.draw(name, rng))

    def fill(self, slots: dict[str, str], taken: list[str], rng: random.Random) -> dict[str, str]:
        """Fill slots with different values, so that two people never share a name."""
        filled: dict[str, str] = {}
        for slot, lexicon in slots.items():
            for _ in range(30):
                filled[slot] = self.draw(lexicon, rng)
                others = taken + [v for s, v in filled.items() if s != slot]
                if not any(filled[slot] in o or o in filled[slot] for o in others):
                    break
        return filled
