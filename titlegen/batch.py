"""Titles for a whole file of synopses: CSV or JSON Lines in, the same file with titles out.

python -m titlegen --input synopses.jsonl --output titles.jsonl --num_titles 3
python -m titlegen --input synopses.csv --output titles.csv --method sample --seed 7 --model models/demo

The synopsis stands in the column `synopsis` or `story` (or あらすじ). Other columns are kept. JSON Lines get the field
`titles`, a list of {"title", "score"}; CSV gets the columns title_1, score_1, title_2, ...
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .settings import GenerationSettings, SettingsError, check_synopsis

SYNOPSIS_NAMES = ("synopsis", "story", "あらすじ")
KINDS = (".jsonl", ".csv")
BATCH = 8  # synopses at once: beam search fills both cores of a small machine


class BatchError(SettingsError):
    """A file that cannot be used; the message is one sentence for the person who gave it."""


def read_rows(path: Path, limit: int | None = None, settings: GenerationSettings | None = None) -> list[dict[str, Any]]:
    """Return the rows of a CSV or JSON Lines file, each with a synopsis to read (or a beginning, in `settings`).

    Raises:
        BatchError: names the file and the line, what is wrong and what to do.
    """
    kind = kind_of(path)
    text = _text(path)
    rows = list(_csv_rows(text, path.name) if kind == ".csv" else _json_rows(text, path.name))
    if not rows:
        raise BatchError(f"{path.name} has no rows: add at least one synopsis.", f"{path.name} に行がありません。")
    if limit is not None and len(rows) > limit:
        raise BatchError(
            f"{path.name} has {len(rows):,} rows, but at most {limit:,} are taken at once: split it, "
            "or use python -m titlegen on your own machine.",
            f"{path.name} は{len(rows):,}行あります。一度に{limit:,}行までなので、分けてください。",
        )
    name = synopsis_column(rows[0])
    if name is None:
        raise BatchError(
            f"{path.name} has no column {' or '.join(SYNOPSIS_NAMES[:2])}; it has {', '.join(map(str, rows[0]))[:200]}.",
            f"{path.name} に synopsis（または story）という列がありません。",
        )
    if taken := next((str(n) for row in rows for n in row if _is_ours(n)), None):
        raise BatchError(
            f"{path.name} has a column {taken} already, where titles would be written: rename or remove it.",
            f"{path.name} には、題を書き込む列 {taken} がもうあります。名前を変えるか消してください。",
        )
    for number, row in enumerate(rows, 1):
        try:
            check_synopsis(row.get(name), settings or GenerationSettings())
        except SettingsError as error:
            messages = error.messages
            raise BatchError(
                f"{path.name}, row {number}: {messages['en']}", f"{path.name} の{number}行目：{messages['ja']}"
            ) from error
    return rows


def _is_ours(name: str) -> bool:
    return name == "titles" or re.fullmatch(r"(title|score)_\d+", name) is not None


def synopsis_column(row: dict[str, Any]) -> str | None:
    """Return the name of the column that holds the synopsis."""
    return next((name for name in SYNOPSIS_NAMES if name in row), None)


def kind_of(path: Path) -> str:
    """Return ".jsonl" or ".csv".

    Raises:
        BatchError: another kind of file.
    """
    if path.suffix.lower() not in KINDS:
        raise BatchError(
            f"{path.name} is not a kind of file this reads: give {' or '.join(KINDS)}.",
            f"{path.name} は読めない種類のファイルです。CSV か JSON Lines（.jsonl）にしてください。",
        )
    return path.suffix.lower()


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BatchError(f"{path} cannot be read: {error.strerror}.", f"{path.name} を読めません。") from error
    for encoding in ("utf-8-sig", "cp932"):  # cp932: what Excel writes in Japan
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise BatchError(
        f"{path.name} is not text: its name says {path.suffix}, its content does not.",
        f"{path.name} は文字のファイルではありません（中身が {path.suffix} ではないようです）。",
    )


def _json_rows(text: str, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
            reason = getattr(error, "msg", "nested too deeply, or a number too long")
            raise BatchError(
                f"{name}, line {number}: not JSON ({reason}); JSON Lines has one object on each line.",
                f"{name} の{number}行目が JSON になっていません。",
            ) from error
        if not isinstance(row, dict):
            raise BatchError(
                f'{name}, line {number}: not an object; write {{"synopsis": "..."}}.',
                f"{name} の{number}行目が {{…}} の形になっていません。",
            )
        yield row


def _csv_rows(text: str, name: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BatchError(
                    f"{name}, line {reader.line_num}: not as many cells as the header has; quote cells with commas.",
                    f"{name} の{reader.line_num}行目の列の数が見出しと違います。",
                )
            yield row
    except csv.Error as error:
        raise BatchError(
            f"{name}, line {reader.line_num}: not CSV ({error}).",
            f"{name} の{reader.line_num}行目が CSV になっていません。",
        ) from error


def title_rows(
    rows: list[dict[str, Any]],
    write: Callable[[list[str]], list[list[dict[str, Any]]]],
    settings: GenerationSettings,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows with their `titles`, a few at a time.

    `write` takes synopses and returns their titles. Beam search takes several at once; sampling takes them one by one,
    so that a row's titles depend on that row and the seed alone.
    """
    size = BATCH if settings.method == "beam" else 1
    name = synopsis_column(rows[0])
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        titles = write([row[name] for row in batch])
        yield [row | {"titles": found} for row, found in zip(batch, titles, strict=True)]


def pipeline_writer(
    pipe: Any, settings: GenerationSettings, on_step: Callable[[list[str]], bool | None] | None = None
) -> Callable[[list[str]], list[list[dict[str, Any]]]]:
    """Return a function from synopses to titles, each {"title", "score"}."""

    def write(synopses: list[str]) -> list[list[dict[str, Any]]]:
        results = pipe(synopses, settings=settings, batch_size=len(synopses), on_step=on_step)
        return [[{"title": t["generated_text"], "score": t["score"]} for t in titles] for titles in results]

    return write


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with titles as the kind of file that `path` names, whole or not at all."""
    text = _to_csv(rows) if kind_of(path) == ".csv" else _to_json_lines(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    encoding = "utf-8-sig" if kind_of(path) == ".csv" else "utf-8"
    partial.write_text(text, encoding=encoding, errors="replace", newline="")  # JSON may hold half of an emoji
    os.replace(partial, path)


def _to_json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _to_csv(rows: list[dict[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(dict.fromkeys(name for row in flat for name in row)))
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    cells = {name: value for name, value in row.items() if name != "titles"}
    for i, title in enumerate(row["titles"], 1):
        text = title["title"]
        # A spreadsheet would take these for a formula (OWASP, CSV injection).
        cells |= {
            f"title_{i}": f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text,
            f"score_{i}": title["score"],
        }
    return cells
