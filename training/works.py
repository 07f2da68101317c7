"""Rows of any source in one shape: works of 小説家になろう with all that is known of them, or bare pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from datasets import Features, Value

from training.collect import JST
from training.data import SYNOPSIS_NAMES, DataError, stream_rows
from training.shards import RawStore

LARGEST = {"int32": 2**31, "int64": 2**63}
REMOVAL_LIST = Path(__file__).resolve().parents[1] / "data" / "removal_list.txt"
COLUMNS = {  # name -> (type, name in the API, meaning)
    "ncode": ("string", "ncode", "the work's number; https://ncode.syosetu.com/NCODE/"),
    "userid": ("int64", "userid", "the author's number"),
    "writer": ("string", "writer", "the author's name as written in the work"),
    "title": ("string", "title", "title without notices"),
    "synopsis": ("string", "story", "synopsis (あらすじ) without notices, with its line breaks"),
    "keywords": ("string", "keyword", "the author's keywords, separated by spaces"),
    "genre": ("int32", "genre", "genre number of the site (201 high fantasy, 101 other-world romance ...)"),
    "first_published": ("string", "general_firstup", "first part, Japanese time"),
    "last_updated": ("string", "general_lastup", "newest part when collected, Japanese time"),
    "short_story": ("bool", "noveltype", "one part only (短編)"),
    "completed": ("bool", "end", "short, or marked as complete"),
    "episodes": ("int32", "general_all_no", "number of parts"),
    "characters": ("int64", "length", "length of the work"),
    "r15": ("bool", "isr15", "marked R15"),
    "cruel": ("bool", "iszankoku", "marked as cruel (残酷な描写あり)"),
    "points": ("int64", "global_point", "rating points when collected"),
    "bookmarks": ("int64", "fav_novel_cnt", "bookmarks when collected"),
}
_READ = {
    "short_story": lambda row: int(row.get("noveltype", row.get("novel_type", 0))) == 2,
    "completed": lambda row: int(row.get("end", 1)) == 0,  # 0 is short or complete, 1 is going on
    "r15": lambda row: bool(int(row.get("isr15", 0))),
    "cruel": lambda row: bool(int(row.get("iszankoku", 0))),
}


@dataclass(frozen=True)
class Source:
    """Where rows come from: a folder of `training/collect.py`, or anything `training.data` reads."""

    name: str
    title_column: str | None = None
    synopsis_column: str | None = None

    @property
    def raw(self) -> bool:
        """Whether this is a folder of collected works."""
        return (Path(self.name) / "manifest.json").exists()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield rows with `title`, `synopsis` and those of COLUMNS that the source has.

        Raises:
            DataError: nothing there, or a column that does not exist.
        """
        if self.raw:
            yield from map(from_api, RawStore(Path(self.name)).rows())
            return
        rows = stream_rows(self.name)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{self.name} has no rows in it.")
        title = self._column(first, self.title_column, ("title",), "--title_column")
        synopsis = self._column(first, self.synopsis_column, SYNOPSIS_NAMES, "--synopsis_column")
        if title == synopsis:
            raise DataError(f"Title and synopsis are both {title!r}: name another column.")
        kept = [n for n in COLUMNS if n not in (title, synopsis, "title", "synopsis") and _suits(n, first)]
        yield _bare(first, title, synopsis, kept)
        for number, row in enumerate(rows, 2):
            # By these two a work is taken out again: none may come in unseen.
            if late := next((n for n in ("ncode", "userid") if n not in kept and row.get(n)), None):
                raise DataError(
                    f"{self.name}, row {number} has the column {late!r}, the first row has not: "
                    "give it to every row (null where it is not known)."
                )
            yield _bare(row, title, synopsis, kept)

    def _column(self, row: dict[str, Any], wanted: str | None, usual: tuple[str, ...], flag: str) -> str:
        name = wanted or next((name for name in usual if name in row), usual[0])
        if name not in row:
            raise DataError(
                f"{self.name} has no column {name!r}; it has {', '.join(row)}. Name the right one with {flag}."
            )
        return name


def from_api(row: dict[str, Any]) -> dict[str, Any]:
    """Return a work of the API in the shape of COLUMNS."""
    return {
        name: _READ[name](row) if name in _READ else _typed(kind, row.get(api))
        for name, (kind, api, _) in COLUMNS.items()
    }


def _suits(name: str, row: dict[str, Any]) -> bool:
    """Whether a column of this name holds what the site's does: a genre in words is another column."""
    value = row.get(name)
    return name in row and (value in (None, "") or _typed(COLUMNS[name][0], value) is not None)


def _bare(row: dict[str, Any], title: str, synopsis: str, kept: list[str]) -> dict[str, Any]:
    pair = {"title": row.get(title) or "", "synopsis": row.get(synopsis) or ""}
    for column, text in pair.items():
        if isinstance(text, (list, dict)):
            raise DataError(f"A {column} is a text, but one is {str(text)[:60]}: name another column.")
        pair[column] = str(text)
    return {name: _typed(COLUMNS[name][0], row.get(name)) for name in kept} | pair


def _typed(kind: str, value: Any) -> Any:
    if value is None or value == "":
        return "" if kind == "string" and value == "" else None
    text = str(value).strip()
    if kind == "string":
        return text
    if kind == "bool":
        return text.lower() in ("1", "1.0", "true", "yes")
    try:  # a table with an empty cell has 110.0 for 110
        number = int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return None
    whole = number == number and abs(number) < LARGEST[kind] and int(number) == number
    return int(number) if whole else None


def features(row: dict[str, Any]) -> Features:
    """Return the declared columns of rows like this one."""
    return Features({name: Value(kind) for name, (kind, _, _) in COLUMNS.items() if name in row})


def key(row: dict[str, Any]) -> str:
    """Return what makes a work the same work: its ncode, or its text."""
    return (row.get("ncode") or "").upper() or f"{row['title']}\n{row['synopsis']}"


def published(row: dict[str, Any]) -> int | None:
    """Return when a work was first published (unix seconds), if that is known."""
    try:
        return int(datetime.fromisoformat(row.get("first_published") or "").replace(tzinfo=JST).timestamp())
    except ValueError:
        return None


def removal_list(path: Path | None) -> Path | None:
    """Return the list of works to leave out: the one that was named, or the project's own.

    Raises:
        DataError: it was named and is not there.
    """
    if path is None:
        return REMOVAL_LIST if REMOVAL_LIST.exists() else None
    if not path.exists():
        raise DataError(f"{path}: there is no such removal list.")
    return path


def removed_works(path: Path | None) -> frozenset[str]:
    """Read a removal list: lines with an ncode or `userid 123`; what follows a # is a remark.

    Raises:
        DataError: a line that is neither.
    """
    removed = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if path else ():
        words = line.split("#")[0].split()
        if not words:
            continue
        is_user = len(words) == 2 and words[0] == "userid" and words[1].isdigit()
        if not is_user and not (len(words) == 1 and words[0].isalnum()):
            raise DataError(f"{path}, line {number}: a line is an ncode (N1234AB) or 'userid 12345'.")
        removed.add(" ".join(words) if is_user else words[0].upper())
    return frozenset(removed)
