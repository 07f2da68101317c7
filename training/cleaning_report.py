"""What cleaning did: rows in and out, every reason with examples, lengths before and after."""

from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from training.files import write_bytes, write_json, write_text

EXAMPLES = 5
REASONS = {
    "empty_title": "no title",
    "empty_synopsis": "no synopsis",
    "title_only_notices": "nothing left of the title without notices",
    "title_without_words": "a title without a letter",
    "synopsis_only_notices": "nothing left of the synopsis without notices",
    "title_too_short": "title shorter than the limit",
    "title_too_long": "title longer than the limit",
    "synopsis_too_short": "synopsis shorter than the limit after cleaning",
    "synopsis_too_long": "synopsis longer than the limit",
    "not_japanese": "too few kana",
    "adult": "marked R15 or cruel, and left out on request",
    "older_version": "the same work, collected again later",
    "duplicate": "the same title and synopsis as an older work",
    "near_duplicate": "nearly the same synopsis as an older work",
    "sequel_after_test_day": "published after the test day by an author who has older works",
    "leak": "resembles a work of another split",
    "removed_on_request": "on the removal list",
    "changed_since": "another text than when the list was published",
    "not_in_the_list": "not in the published list",
}


@dataclass
class CleaningReport:
    """Counts that can be added up over processes."""

    rows_in: int = 0
    dropped: Counter = field(default_factory=Counter)
    removed: Counter = field(default_factory=Counter)
    dropped_examples: dict[str, list[str]] = field(default_factory=dict)
    removed_examples: dict[str, list[str]] = field(default_factory=dict)
    lengths: dict[str, Counter] = field(default_factory=dict)

    def drop(self, reason: str, example: str, count: int = 1) -> None:
        """Count rows that leave; the first examples are kept."""
        self.dropped[reason] += count
        _keep(self.dropped_examples, reason, example)

    def remove(self, rule: str, text: str) -> None:
        """Count a span that was taken out of a text."""
        self.removed[rule] += 1
        _keep(self.removed_examples, rule, text)

    def measure(self, what: str, length: int) -> None:
        """Count a length for the histograms."""
        self.lengths.setdefault(what, Counter())[length] += 1

    def add(self, other: "CleaningReport") -> None:
        """Take over the counts of another part of the rows."""
        self.rows_in += other.rows_in
        self.dropped += other.dropped
        self.removed += other.removed
        for mine, theirs in (
            (self.dropped_examples, other.dropped_examples),
            (self.removed_examples, other.removed_examples),
        ):
            for name, examples in theirs.items():
                for example in examples:
                    _keep(mine, name, example)
        for what, lengths in other.lengths.items():
            self.lengths.setdefault(what, Counter()).update(lengths)

    @property
    def rows_out(self) -> int:
        """Rows that are left."""
        return self.rows_in - sum(self.dropped.values())

    def facts(self) -> dict[str, Any]:
        """Return the numbers alone: nothing here is anybody's text, so it can go anywhere."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "dropped": [
                {"reason": reason, "meaning": REASONS[reason], "rows": rows}
                for reason, rows in self.dropped.most_common()
            ],
            "removed": [{"rule": rule, "spans": spans} for rule, spans in self.removed.most_common()],
            "lengths": {what: _percentiles(lengths) for what, lengths in sorted(self.lengths.items())},
        }

    def write(self, folder: Path) -> None:
        """Write `cleaning.md`, `cleaning.json` (both with examples) and `lengths.png`."""
        examples = {"dropped_examples": self.dropped_examples, "removed_examples": self.removed_examples}
        write_json(folder / "cleaning.json", self.facts() | examples)
        write_text(folder / "cleaning.md", self._markdown())
        write_bytes(folder / "lengths.png", self.histograms())

    def _markdown(self) -> str:
        lines = ["# What cleaning did", "", f"{self.rows_in:,} rows in, {self.rows_out:,} out.", ""]
        lines += ["![Lengths before and after](lengths.png)", ""]
        for heading, counts, examples in (
            ("Rows that were dropped", self.dropped, self.dropped_examples),
            ("Notices that were taken out", self.removed, self.removed_examples),
        ):
            lines += [f"## {heading}", ""]
            for name, count in counts.most_common():
                meaning = f" ({REASONS[name]})" if name in REASONS else ""
                lines += [f"### {name}: {count:,}{meaning}", ""]
                lines += [f"- `{_one_line(text)}`" for text in examples[name]] + [""]
        return "\n".join(lines).rstrip() + "\n"

    def histograms(self) -> bytes:
        """Draw the lengths of titles and synopses, before and after, as PNG."""
        from matplotlib.figure import Figure  # a figure of its own needs no display

        figure = Figure(figsize=(9, 3.2), layout="constrained")
        for axes, what in zip(figure.subplots(1, 2), ("title", "synopsis"), strict=True):
            for when, style in (("before", {"alpha": 0.4}), ("after", {"histtype": "step", "linewidth": 1.5})):
                lengths = self.lengths.get(f"{what}_{when}", Counter())
                if lengths:
                    axes.hist(list(lengths), 50, weights=list(lengths.values()), label=when, **style)
                    axes.legend(frameon=False)
            axes.set(xlabel=f"{what}, characters", ylabel="rows")
        picture = BytesIO()
        figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
        return picture.getvalue()


def _keep(examples: dict[str, list[str]], name: str, text: str) -> None:
    known = examples.setdefault(name, [])
    if len(known) < EXAMPLES and text not in known:
        known.append(text)


def _one_line(text: str) -> str:
    text = " ".join(text.replace("`", "'").split())
    return text if len(text) <= 120 else text[:119] + "…"


def _percentiles(lengths: Counter) -> dict[str, int]:
    ordered, total, seen, found = sorted(lengths), sum(lengths.values()), 0, {}
    for length in ordered:
        seen += lengths[length]
        for p in (5, 50, 95, 100):
            if f"p{p}" not in found and seen * 100 >= p * total:
                found[f"p{p}"] = length
    return found
