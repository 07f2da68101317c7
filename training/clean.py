"""Take what is not part of a story out of titles and synopses, and say what was taken and why.

    python training/clean.py --input my.csv --title_column headline --synopsis_column body --out build/clean

writes `pairs.jsonl` and a report (Markdown, JSON, histograms) of any CSV, JSON Lines, Parquet or Hub data set. What
counts as a notice stands in `cleaning_rules.yaml`; `--rules mine.yaml` adds to it. Nothing is rewritten: the text that
remains is the author's own, letter for letter.
"""

import argparse
import html
import json
import re
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from training.cleaning_rules import CleaningRules, Rule, RulesError

# Signs and letters to their half-width, small forms, one character for one, so that positions stay: for matching only.
_FOLDED = {0xFF01 + i: chr(0x21 + i).lower() for i in range(94)} | {0x3000: " ", ord("〜"): "~"}
_FOLDED |= {ord(c): c.lower() for c in string.ascii_uppercase}
_PAIRS = "【】 [] ［］ () （） <> ＜＞ 〈〉 《》 ≪≫ 〔〕 〖〗 {} ｛｝ ｢｣ ｟｠ ⟨⟩ ❲❳"
_BRACKETS = re.compile("|".join(f"{re.escape(a)}[^{re.escape(a + b)}]*{re.escape(b)}" for a, b in _PAIRS.split()))
# A sentence, with the quotations and parentheses in it; a note runs from its ※ to the next ※ or the end of the line.
_UNIT = re.compile(r"※[^※]*|(?:「[^「」]*」|『[^『』]*』|\([^()]*\)|[^。!?※])+[。!?☆★♪]*[」』)】\]]*\s*|[。!?]+\s*")
_SPEECH = re.compile(r"「(?:[^「」]*[。!?…][^「」]*|[^「」]{13,})」")


class _Printable(dict[int, str]):
    """For `str.translate`: drops control and format characters, looks each character up once."""

    def __missing__(self, code: int) -> str:
        character = {"\r": "\n"}.get(chr(code), chr(code))
        self[code] = character if character.isprintable() or character in "\n\u3000" else ""
        return self[code]


_PRINTABLE = _Printable()
_KANA, _LETTER = re.compile(r"[ぁ-ゖァ-ヺー]"), re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Removed:
    """A piece of text that was taken out."""

    rule: str
    where: str
    text: str


@dataclass(frozen=True)
class Pair:
    """A title and a synopsis that can be learnt from, and what was taken out of them."""

    title: str
    synopsis: str
    removed: tuple[Removed, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """A row that cannot be learnt from, and why."""

    reason: str
    removed: tuple[Removed, ...] = ()


def clean_pair(title: str, synopsis: str, rules: CleaningRules) -> Pair | Dropped:
    """Return the pair without its notices, or the reason for which it cannot be used. Pure: no state, no files."""
    title, synopsis = (_printable(html.unescape(text)).strip() for text in (title, synopsis))
    if not title or not synopsis:
        return Dropped("empty_title" if not title else "empty_synopsis")
    removed: list[Removed] = []
    clean_title = _tidy_title(_clean(title, "title", rules, removed))
    clean_synopsis = _tidy_synopsis(_clean(synopsis, "synopsis", rules, removed))
    reason = _unusable(clean_title, clean_synopsis, rules.limits)
    return Dropped(reason, tuple(removed)) if reason else Pair(clean_title, clean_synopsis, tuple(removed))


def _unusable(title: str, synopsis: str, limits: dict[str, float]) -> str | None:
    if not _LETTER.search(title):
        return "title_without_words" if title else "title_only_notices"
    if not _LETTER.search(synopsis):
        return "synopsis_only_notices"
    for name, text in (("title", title), ("synopsis", synopsis)):
        if len(text) < limits[f"min_{name}_characters"]:
            return f"{name}_too_short"
        if len(text) > limits[f"max_{name}_characters"]:
            return f"{name}_too_long"
    letters = len(_LETTER.findall(title + synopsis))
    return "not_japanese" if len(_KANA.findall(title + synopsis)) < limits["min_kana_share"] * letters else None


def _clean(text: str, where: str, rules: CleaningRules, removed: list[Removed]) -> str:
    for rule in rules.of(where, "bracket"):
        text = _cut(text, rule, where, removed, _matching_brackets)
    for rule in rules.of(where, "span"):
        text = _cut(text, rule, where, removed, _matching_spans)
    if any(rules.of(where, "sentence", "near", "between")):
        text = _without_sentences(text, where, rules, removed)
    return text


def _matching_brackets(rule: Rule, folded: str) -> Iterator[re.Match[str]]:
    return (m for m in _BRACKETS.finditer(folded) if rule.matches(m[0][1:-1].strip()))


def _matching_spans(rule: Rule, folded: str) -> list[re.Match[str]]:
    return list(next((found for p in rule.patterns if (found := [*p.finditer(folded)])), []))


def _cut(text: str, rule: Rule, where: str, removed: list[Removed], find: Any) -> str:
    """Remove what `find` finds, from the inside of nested brackets outwards."""
    while spans := [m.span() for m in find(rule, _fold(text)) if m[0]]:
        removed += [Removed(rule.name, where, text[a:b].strip()) for a, b in spans]
        kept = [
            text[a:b] for a, b in zip([0, *(b for _, b in spans)], [*(a for a, _ in spans), len(text)], strict=True)
        ]
        text = " ".join(kept) if where == "title" else "".join(kept)
    return text


@dataclass
class _Unit:
    """A sentence and its place: line number, and whether a blank line stands before or after it."""

    text: str
    line: int
    folded: str
    rule: str | None = None


def _without_sentences(text: str, where: str, rules: CleaningRules, removed: list[Removed]) -> str:
    lines = text.split("\n")
    units = [unit for number, line in enumerate(lines) for unit in _units(line, number)]
    folded = _fold(text)
    candidates = [(rule.name, found) for rule in rules.of(where, "sentence") if (found := rule.within(folded))]
    for unit in units:
        unit.rule = next((name for name, found in candidates if any(p.search(unit.folded) for p in found)), None)
    if not any(unit.rule for unit in units):
        return text
    _spread(units, rules.of(where, "near"), any)
    _spread(units, rules.of(where, "between"), all)
    removed += [Removed(unit.rule, where, unit.text.strip()) for unit in units if unit.rule]
    kept: list[str | None] = list(lines)
    for unit in units:
        if unit.rule and kept[unit.line] is not None:
            kept[unit.line] = "".join(u.text for u in units if u.line == unit.line and not u.rule) or None
    return "\n".join(line for line in kept if line is not None)


def _units(line: str, number: int) -> Iterator[_Unit]:
    folded = _fold(line)
    for match in _UNIT.finditer(folded):
        part = match[0]
        if not part.strip():
            continue
        # What a character says is not the author's notice: a line of speech is left alone, speech in a sentence is blind.
        speech = part.strip().startswith("「") and part.strip().endswith("」")
        blind = "" if speech else _SPEECH.sub(lambda m: "「" + "〇" * (len(m[0]) - 2) + "」", part)
        yield _Unit(line[match.start() : match.end()], number, blind.strip())


def _spread(units: list[_Unit], rules: list[Rule], needed: Any) -> None:
    """Let a removal spread to the neighbours in its paragraph that match; to and fro, so that it runs along."""
    order = range(len(units))
    for indices in (order, reversed(order), order):
        for i in indices:
            unit = units[i]
            if unit.rule or not unit.folded:
                continue
            beside = [
                units[j].rule for j in (i - 1, i + 1) if 0 <= j < len(units) and abs(units[j].line - unit.line) <= 2
            ]
            if len(beside) > (needed is all) and needed(beside):
                unit.rule = next((rule.name for rule in rules if rule.matches(unit.folded)), None)


def _fold(text: str) -> str:
    return text.translate(_FOLDED)


def _printable(text: str) -> str:
    return text.replace("\r\n", "\n").translate(_PRINTABLE)


def _tidy_title(title: str) -> str:
    return re.sub(r"^[\s・/／|｜、,]+|[\s・/／|｜、,]+$", "", re.sub(r"[ \u3000]{2,}", " ", title))


def _tidy_synopsis(synopsis: str) -> str:
    lines = (line.strip() for line in synopsis.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def main(argv: list[str] | None = None) -> None:
    """Clean any pairs into `pairs.jsonl` and write the report beside it."""
    from training.clean_rows import clean_rows
    from training.cleaning_report import CleaningReport
    from training.files import atomic_file, claim_folder
    from training.works import Source

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="folder of collected works, file, folder or Hub id of pairs")
    parser.add_argument("--title_column", help="column of the titles (default: title)")
    parser.add_argument("--synopsis_column", help="column of the texts (default: synopsis or story)")
    parser.add_argument(
        "--rules", type=Path, nargs="*", action="extend", default=[], help="YAML files that add to cleaning_rules.yaml"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for pairs.jsonl and the report")
    arguments = parser.parse_args(argv)
    claim_folder(arguments.out, "cleaning.json")
    source = Source(arguments.input, arguments.title_column, arguments.synopsis_column)
    report = CleaningReport()
    with atomic_file(arguments.out / "pairs.jsonl") as file:
        for batch in clean_rows(source.rows(), tuple(arguments.rules)):
            report.add(batch.report)
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.rows)
    report.write(arguments.out)
    print(f"{report.rows_out:,} of {report.rows_in:,} rows in {arguments.out / 'pairs.jsonl'}; see cleaning.md there.")


if __name__ == "__main__":
    from training.data import DataError
    from training.shards import StoreError

    try:
        main()
    except (RulesError, DataError, StoreError, OSError) as error:
        sys.exit(f"error: {error}")
