"""What a tokenizer makes of your pairs: does every title survive the round trip, what is unknown, how long is it all?

python -m titlegen.report --tokenizer models/demo --pairs data/original/pairs.jsonl --json
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from .text import canonical, codec_for

PERCENTILES = (50, 90, 95, 99, 100)


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Return (synopsis, title) of a JSON Lines file whose rows have `title` and `synopsis` or `story`.

    Raises:
        ValueError: a line that is not such a pair, with its number.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            pairs.append((str(row.get("synopsis") or row.get("story") or ""), str(row["title"])))
        except (json.JSONDecodeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}: not a pair with title and synopsis ({error}).") from error
    if not pairs:
        raise ValueError(f"{path} has no pairs in it.")
    return pairs


def report(tokenizer: Any, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the facts as one JSON object.

    `round_trip` is the share of titles without an unknown character that come back exactly (up to the width
    normalisation of `titlegen.text`); `unknown_rate` is the share of title tokens that are unknown.
    """
    codec = codec_for(tokenizer)
    pairs = list(pairs)
    titles = [codec.encode(title) for _, title in pairs]
    known = [(title, ids) for (_, title), ids in zip(pairs, titles, strict=True) if codec.unk_id not in ids]
    back = [codec.decode(ids) == canonical(title) for title, ids in known]
    tokens = sum(map(len, titles))
    return {
        "pairs": len(pairs),
        "vocabulary": len(tokenizer),
        "round_trip": round(sum(back) / len(back), 5) if back else 0.0,
        "titles_with_unknown": round(1 - len(known) / len(pairs), 5),
        "unknown_rate": round(sum(ids.count(codec.unk_id) for ids in titles) / tokens, 6) if tokens else 0.0,
        "title_tokens": percentiles([len(ids) for ids in titles]),
        "synopsis_tokens": percentiles([len(codec.encode_synopsis(synopsis, 10**6)) for synopsis, _ in pairs]),
        "title_characters": percentiles([len(title) for _, title in pairs]),
        "synopsis_characters": percentiles([len(synopsis) for synopsis, _ in pairs]),
        "not_returned": [title for (title, _), same in zip(known, back, strict=True) if not same][:10],
    }


def percentiles(values: list[int]) -> dict[str, int]:
    """Return the value at each of `PERCENTILES`, by name."""
    ordered = sorted(values)
    return {f"p{p}": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in PERCENTILES}


def main(argv: list[str] | None = None) -> None:
    """Print the report, as JSON or as lines to read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="folder or Hub id of a tokenizer or model")
    parser.add_argument("--pairs", required=True, type=Path, help="JSON Lines file of pairs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)
    try:
        facts = report(AutoTokenizer.from_pretrained(arguments.tokenizer), read_pairs(arguments.pairs))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {str(error).strip().splitlines()[0]}")
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
