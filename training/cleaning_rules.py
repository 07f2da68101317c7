"""The table of cleaning rules: read, checked, compiled. What the keys mean stands in `cleaning_rules.yaml`."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

RULES_FILE = Path(__file__).with_name("cleaning_rules.yaml")
KINDS = ("bracket", "span", "sentence", "near", "between")
PLACES = ("title", "synopsis")
_ANCHOR = re.compile(r"(?<!\[)\^|\$")


class RulesError(ValueError):
    """A rules file that cannot be used; names the file, the rule and what to change."""


def rules_version(*more: Path) -> str:
    """Return 16 digits that name the bundled table together with the files in `more`."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in (RULES_FILE, *more))).hexdigest()[:16]


@dataclass(frozen=True)
class Rule:
    """One row of the rules table."""

    name: str
    kind: str
    where: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    anchored: frozenset[re.Pattern[str]]  # those with ^ or $, which may match a sentence but not the text around it

    def matches(self, text: str) -> bool:
        """Whether any pattern is found in `text`."""
        return any(pattern.search(text) for pattern in self.patterns)

    def within(self, text: str) -> list[re.Pattern[str]]:
        """Return those patterns that may be found in a part of `text`.

        Most are found nowhere in a synopsis: one look at the whole of it saves one at each sentence.
        """
        return [p for p in self.patterns if p in self.anchored or p.search(text)]


@dataclass
class CleaningRules:
    """The rules table, compiled.

    Raises:
        RulesError: not YAML, an unknown key or kind, a pattern that is not a regular expression.
    """

    rules: list[Rule] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    _of: dict[tuple[str, ...], list[Rule]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, *more: Path) -> "CleaningRules":
        """Read the bundled table and then the files in `more`, each adding to what stands before."""
        limits: dict[str, float] = {}
        macros: dict[str, str] = {}
        rows: dict[str, dict[str, Any]] = {}
        for path in (RULES_FILE, *more):
            table = _read_table(path)
            _check_shape(path, table)
            unknown = set(table.get("limits") or {}) - set(limits) if limits else set()
            if unknown:
                raise RulesError(
                    f"{path}: there is no limit {', '.join(sorted(unknown))}; there are {', '.join(limits)}."
                )
            limits |= table.get("limits") or {}
            macros |= table.get("macros") or {}
            rows |= {name: (row or {}) | {"file": path} for name, row in (table.get("rules") or {}).items()}
        rules = [rule for name, row in rows.items() if (rule := _compile(name, row, macros))]
        return cls(rules, limits)

    def of(self, where: str, *kinds: str) -> list[Rule]:
        """Return the rules of these kinds that apply to a title or a synopsis."""
        found = self._of.get((where, *kinds))
        if found is None:
            found = [rule for rule in self.rules if where in rule.where and rule.kind in kinds]
            self._of[(where, *kinds)] = found
        return found


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RulesError(f"{path}: no such rules file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RulesError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(table, dict) or not set(table) <= {"limits", "macros", "rules"}:
        raise RulesError(f"{path}: a rules file has the keys limits, macros and rules; see {RULES_FILE.name}.")
    return table


def _check_shape(path: Path, table: dict[str, Any]) -> None:
    for part in table.values():
        if part is not None and not isinstance(part, dict):
            raise RulesError(f"{path}: limits, macros and rules hold lines of 'name: value'.")
    for name, value in (table.get("limits") or {}).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RulesError(f"{path}: the limit {name} is a number, but is {value!r}.")
    for name, row in (table.get("rules") or {}).items():
        if not isinstance(row or {}, dict) or set(row or {}) - {"kind", "where", "patterns", "help"}:
            raise RulesError(f"{path}, rule {name}: a rule has kind, where and patterns; see {RULES_FILE.name}.")
        if not all(str(pattern or "") for pattern in (row or {}).get("patterns") or []):
            raise RulesError(f"{path}, rule {name}: an empty pattern would match everything.")


def _compile(name: str, row: dict[str, Any], macros: dict[str, str]) -> Rule | None:
    file = row["file"]
    if row.get("patterns") == []:
        return None
    if row.get("kind") not in KINDS or not isinstance(row.get("patterns"), list):
        raise RulesError(f"{file}, rule {name}: kind is one of {', '.join(KINDS)} and patterns is a list.")
    where = row.get("where", "both")
    if where not in ("both", *PLACES):
        raise RulesError(f"{file}, rule {name}: where is title, synopsis or both.")
    patterns: list[re.Pattern[str]] = []
    for pattern in map(str, row["patterns"]):
        for macro, meaning in macros.items():
            pattern = pattern.replace(f"{{{macro}}}", f"(?:{meaning})")
        try:
            re.compile(pattern)
            patterns += map(re.compile, _alternatives(pattern))
        except re.error as error:
            raise RulesError(f"{file}, rule {name}: {pattern[:80]!r} is not a regular expression ({error}).") from error
    return Rule(
        name,
        row["kind"],
        PLACES if where == "both" else (where,),
        tuple(patterns),
        frozenset(p for p in patterns if _ANCHOR.search(p.pattern)),
    )


def _alternatives(pattern: str) -> list[str]:
    """Split `a|b(c|d)` into `a` and `b(c|d)`: `re` skips to a first letter in each, but tries all of a joined one."""
    parts, depth, in_class, escaped = [""], 0, False, False
    for character in pattern:
        if character == "|" and not depth and not in_class and not escaped:
            parts.append("")
            continue
        parts[-1] += character
        if escaped:
            escaped = False
            continue
        escaped = character == "\\"
        in_class = (in_class and character != "]") or character == "["
        depth += 0 if in_class else (character == "(") - (character == ")")
    return parts
