"""Generate synthetic (synopsis, title) pairs from the hand-written frames.

The pairs pre-train a small model before it sees real ones: they teach that a
title carries over names, skills, places and numbers from the synopsis, and
which of them matter. Everything is drawn from ``training/frames/*.yaml``; the
same seed gives the same pairs on every machine.

    python training/generate_pairs.py --count 50000 --seed 0 --out build/generated.jsonl

How the frame files are written is told at the top of ``frames/lexicon.yaml``.
"""

import argparse
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from training.frame_library import FRAMES_DIR, Frame, FrameError, Library, Line, pick, render

SYNOPSIS_CHARS = (60, 400)
TITLE_CHARS = (2, 100)
# Upper end of each title length class, and the share of titles it should get.
TITLE_CLASSES = ((6, 0.08), (15, 0.25), (30, 0.35), (50, 0.22), (100, 0.10))
ASIDES = (0, 0, 1, 1, 1, 2, 2)  # how many asides a synopsis gets, by equal chance
SECOND_WORDING_SHARE = 0.5  # optional parts hold independent remarks: often show two
SUBTITLE_SHARE = 0.65
SAID_TWICE = 5  # a subtitle does not repeat so many characters of its title
REPEATED_TITLES = 0.03  # at most this share of titles was given out before
GIVE_UP_AFTER = 3000  # attempts in a row without a new pair


def compose_synopsis(
    frame: Frame, library: Library, values: dict[str, str], rng: random.Random
) -> tuple[str, set[str]]:
    """Write one synopsis of a frame, and say which tags its wordings set."""
    tags: set[str] = set()
    pieces: list[str] = []
    for part in frame.parts:
        fitting = [line for line in part.lines if line.fits(tags)]
        if fitting and rng.random() < part.chance:
            lines = shuffled(fitting, rng)[: 1 + (part.chance < 1 and rng.random() < SECOND_WORDING_SHARE)]
            for line in lines:
                tags |= line.sets
                pieces.append(render(line.nodes, rng, values.__getitem__))
    for aside in shuffled(frame.asides, rng)[: pick(rng, ASIDES)]:
        other = library.fill(frame.aside_slots, list(values.values()), rng)
        # Never before the second part, so that the story is under way.
        at = 2 + int(rng.random() * max(0, len(pieces) - 2))
        pieces.insert(at, render(aside.nodes, rng, other.__getitem__))
    # Some authors break no lines, some break every one, some now and then.
    breaks = pick(rng, [0.0, 0.0, 0.35, 1.0])
    text = pieces[0]
    for piece in pieces[1:]:
        text += ("\n" if rng.random() < breaks else "") + piece
    return text, tags


def title_class(title: str) -> int:
    """Number the length class of a title."""
    return next((i for i, (top, _) in enumerate(TITLE_CLASSES) if len(title) <= top), len(TITLE_CLASSES) - 1)


def add_subtitle(titles: list[str], rng: random.Random) -> None:
    """Join a short title and a longer one the way authors do: main ～sub～."""
    mains = [t for t in titles if 4 <= len(t) <= 14 and not re.search(r"[～「」、。！？…―]|[すたい]$", t)]
    subs = [t for t in titles if 14 <= len(t) <= 70 and not re.search(r"[～―]", t)]
    if mains and subs and rng.random() < SUBTITLE_SHARE:
        main, sub = pick(rng, mains), pick(rng, subs)
        if any(main[i : i + SAID_TWICE] in sub for i in range(len(main) - SAID_TWICE + 1)):
            return
        titles.append(pick(rng, [f"{main}～{sub}～", f"{main} ～{sub}～"]))


def choose_title(titles: list[str], given: Counter, rng: random.Random) -> str:
    """Choose a title, preferring length classes that have had too few so far."""
    classes: dict[int, list[str]] = {}
    for title in titles:
        classes.setdefault(title_class(title), []).append(title)
    total = sum(given.values()) + 20
    lack = {c: TITLE_CLASSES[c][1] * total / (given[c] + 2) for c in classes}
    # Multiplied out, because pow() may round differently on another machine.
    weights = {c: lack[c] * lack[c] * lack[c] * TITLE_CLASSES[c][1] for c in classes}
    left = rng.random() * sum(weights.values())
    for number in classes:
        left -= weights[number]
        if left <= 0:
            break
    return pick(rng, classes[number])


def render_title(title: Line, values: dict[str, str], synopsis: str, rng: random.Random) -> str:
    """Write a title out, or nothing if it names what this synopsis does not."""
    used: list[str] = []
    text = render(title.nodes, rng, lambda slot: used.append(values[slot]) or values[slot])
    return text if all(value in synopsis for value in used) else ""


def draw_pair(frame: Frame, library: Library, given: Counter, rng: random.Random) -> dict | None:
    """Draw one pair from a frame, or None where its lengths are out of bounds."""
    values = library.fill(frame.slots, [], rng)
    synopsis, tags = compose_synopsis(frame, library, values, rng)
    titles = [render_title(t, values, synopsis, rng) for t in frame.titles if t.fits(tags)]
    titles = [t for t in titles if t]
    add_subtitle(titles, rng)
    titles = [t for t in titles if TITLE_CHARS[0] <= len(t) <= TITLE_CHARS[1]]
    if not titles or not SYNOPSIS_CHARS[0] <= len(synopsis) <= SYNOPSIS_CHARS[1]:
        return None
    return {"title": choose_title(titles, given, rng), "synopsis": synopsis, "genre": frame.genre}


def shuffled(items: list, rng: random.Random) -> list:
    """Shuffle a copy with random() alone, for the reason given in pick()."""
    return [item for _, _, item in sorted((rng.random(), i, item) for i, item in enumerate(items))]


def generate_pairs(count: int, seed: int, folder: Path = FRAMES_DIR) -> Iterator[dict]:
    """Yield ``count`` distinct pairs; a longer run begins with the shorter one's."""
    library, rng = Library(folder), random.Random(seed)
    given: Counter = Counter()
    seen_pairs: set[str] = set()
    seen_titles: set[str] = set()
    made = repeated = misses = 0
    deck: list[Frame] = []
    while made < count:
        deck = deck or shuffled(library.frames, rng)
        pair = draw_pair(deck[-1], library, given, rng) or draw_pair(deck[-1], library, given, rng)
        deck.pop()
        again = pair is not None and pair["title"] in seen_titles
        key = pair and pair["title"] + "\t" + pair["synopsis"]
        if pair is None or key in seen_pairs or (again and repeated >= REPEATED_TITLES * made):
            misses += 1
            if misses > GIVE_UP_AFTER:
                raise FrameError(f"The frames gave only {made} distinct pairs of the {count} asked for.")
            continue
        misses, made, repeated = 0, made + 1, repeated + again
        seen_pairs.add(key)
        seen_titles.add(pair["title"])
        given[title_class(pair["title"])] += 1
        yield pair


def write_pairs(pairs: Iterator[dict], out: Path) -> None:
    """Write pairs as JSON lines under a temporary name, then rename."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as handle:
            for pair in pairs:
                handle.write(json.dumps(pair, ensure_ascii=False) + "\n")
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=50000, help="how many pairs")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same pairs")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines file to write")
    args = parser.parse_args(argv)
    try:
        write_pairs(generate_pairs(args.count, args.seed), args.out)
    except FrameError as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except OSError as err:
        print(f"error: cannot write {args.out}: {err.strerror}.", file=sys.stderr)
        return 1
    print(f"{args.count} pairs -> {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
