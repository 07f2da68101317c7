"""Rebuild a data set from published numbers: fetch each work anew, clean it, and keep it where its checksum agrees.

    python training/build_dataset.py rebuild --ids user/name --out data/narou
    python training/build_dataset.py rebuild --ids ./narou-ids --input data/raw --out data/narou    # nothing is fetched

100,000 works are 500 requests, one a second. Stop it whenever you like; the same command goes on.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from tqdm.auto import tqdm

from training.budget import Budget, budget_file
from training.cleaning_rules import rules_version
from training.data import DataError, load_splits
from training.dataset import (
    KEPT,
    BuildSettings,
    chunks,
    claim_build,
    clean_to_parquet,
    facts_of,
    finish,
    write_splits,
)
from training.dataset_publish import NCODES_A_REQUEST, checksum
from training.files import workspace
from training.narou_api import ENDPOINT, MIN_PACE, NarouClient
from training.run import public_name
from training.shards import RawStore
from training.split import SPLITS
from training.works import Source, removal_list, removed_works

CHANGED, OTHERS, OLDER = -1, -2, -3
DROPPED = {CHANGED: "changed_since", OTHERS: "not_in_the_list", OLDER: "older_version"}


def fetch(ncodes: list[str], store: RawStore, client: NarouClient) -> None:
    """Fetch works by number; what the store has already is not asked for again."""
    known = {row["ncode"] for row in store.rows()}
    missing = [ncode for ncode in ncodes if ncode not in known]
    with tqdm(total=len(ncodes), initial=len(ncodes) - len(missing), desc="Fetch", unit=" works") as bar:
        for i in range(0, len(missing), NCODES_A_REQUEST):
            part = missing[i : i + NCODES_A_REQUEST]
            page = client.works(ncode="-".join(part).lower())
            store.append(page.rows, None, page.allcount)
            bar.update(len(part))


def read_ids(source: str) -> dict[str, tuple[int, str]]:
    """Return ncode -> (split, checksum) of a published list.

    Raises:
        DataError: not such a list.
    """
    try:
        splits = load_splits(source)
    except (FileNotFoundError, ValueError) as error:
        raise DataError(f"{source} cannot be read: {str(error).splitlines()[0]}") from error
    ids: dict[str, tuple[int, str]] = {}
    for name, split in splits.items():
        if not {"ncode", "sha256"} <= set(split.column_names) or name not in SPLITS:
            raise DataError(f"{source} is no list of works: its splits are {', '.join(SPLITS)} with ncode and sha256.")
        ids |= {n: (SPLITS.index(name), s) for n, s in zip(split["ncode"], split["sha256"], strict=True)}
    return ids


def rebuild(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fetch, clean, compare, write; return the facts."""
    ids = read_ids(arguments.ids)
    _compare_rules(arguments.ids, rules_version(*arguments.rules))
    listed = removal_list(arguments.removal_list)
    removed = removed_works(listed)
    raw = Path(arguments.input or arguments.out.with_name(arguments.out.name + ".raw"))
    if not arguments.input:
        budget = Budget(budget_file(arguments.endpoint))
        with (
            RawStore(raw, writable=True) as store,
            NarouClient(budget, arguments.endpoint, arguments.pace, arguments.contact) as client,
        ):
            fetch([ncode for ncode in ids if ncode not in removed], store, client)
    with workspace(arguments.out) as work:
        settings = BuildSettings(Source(str(raw)), tuple(arguments.rules), removal_list=listed)
        _, report, declared = clean_to_parquet(settings, work)
        codes, found = _codes(work / KEPT, ids, arguments.accept_changed)
        counts = write_splits(work, declared, codes, DROPPED, report)
        facts = facts_of(settings, declared, report, counts, None)
        source = public_name(arguments.ids).removeprefix("./")
        facts |= {"source": f"rebuilt from {source}", "as_published": True, "wanted": len(ids), "found": found}
        finish(work, arguments.out, facts, report)
    return facts


def _compare_rules(source: str, ours: str) -> None:
    """Say so when the list was made with other cleaning rules: the same work then has another checksum."""
    try:
        path = Path(source, "build.json")
        if not path.is_file():
            path = Path(hf_hub_download(source, "build.json", repo_type="dataset"))
        theirs = json.loads(path.read_text(encoding="utf-8")).get("rules")
    except (HfHubHTTPError, HFValidationError, OSError):
        return  # a list without the numbers of its build
    if theirs and theirs != ours:
        tqdm.write(
            f"{source} was cleaned by other rules (version {theirs}, here {ours}): give its publisher's files with --rules, or "
            "texts that the rules treat differently will count as changed.",
            file=sys.stderr,
        )


def _codes(kept: Path, ids: dict[str, tuple[int, str]], accept_changed: bool) -> tuple[np.ndarray, int]:
    """Return the split of each cleaned row, and how many works of the list were found at all."""
    codes: list[int] = []
    place: dict[str, int] = {}
    for chunk in chunks(kept):
        for row in chunk.select(["ncode", "title", "synopsis"]).to_pylist():
            split, wanted = ids.get(row["ncode"], (OTHERS, ""))
            if split >= 0:
                if row["ncode"] in place:
                    codes[place[row["ncode"]]] = OLDER
                place[row["ncode"]] = len(codes)
                if not accept_changed and checksum(row["title"], row["synopsis"]) != wanted:
                    split = CHANGED
            codes.append(split)
    return np.array(codes, np.int8), len(place)


def main(argv: list[str] | None = None) -> None:
    """Rebuild and say what could not be."""
    parser = argparse.ArgumentParser(
        prog="build_dataset.py rebuild", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ids", required=True, help="folder or Hub id of a data set published with --publish ids")
    parser.add_argument(
        "--input", help="folder of training/collect.py to take the works from, instead of fetching them"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument(
        "--rules", type=Path, nargs="*", action="extend", default=[], help="the rules files the publisher added, if any"
    )
    parser.add_argument("--removal_list", type=Path, help="works to leave out")
    parser.add_argument("--accept_changed", action="store_true", help="keep works whose text is another one by now")
    parser.add_argument("--contact", default="", help="how the API's operator reaches you, for the User-Agent")
    parser.add_argument("--pace", type=float, default=MIN_PACE, help="seconds between requests, at least 1")
    parser.add_argument("--endpoint", default=ENDPOINT, help="address of the API")
    arguments = parser.parse_args(argv)
    claim_build(arguments.out)
    facts = rebuild(arguments)
    same = sum(facts["counts"].values())
    print(f"{same:,} of {facts['wanted']:,} works rebuilt in {arguments.out}.")
    if same < facts["wanted"]:
        gone = facts["wanted"] - facts["found"]
        print(
            f"{gone:,} are gone, on the removal list or not usable any more, {facts['found'] - same:,} have another text by "
            "now (--accept_changed keeps those).",
            file=sys.stderr,
        )
