"""What of a built data set is handed on: numbers from which anybody rebuilds it, or the authors' texts.

Sending is the work of `training.hub`; a local folder gets the same files.
"""

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Value
from huggingface_hub import DatasetCard, DatasetCardData

from training.cards import ROOT, render, size_category
from training.hub import Destination, Sender, check_repo_name, check_token
from training.publish_checks import unsourced_numbers
from training.trees import PublishError, Tree, is_local, write_tree
from training.works import removal_list, removed_works

OWNED = ("data/*.parquet", "README.md", "build.json", "lengths.png")
NCODES_A_REQUEST = 200  # 1,800 characters of address
PERCENTILES = (5, 95)  # of lengths, in the head of a table
IDS = Features({"ncode": Value("string"), "sha256": Value("string")})


def check_target(target: str) -> None:
    """Refuse a target before any work is done.

    Raises:
        PublishError: not a repository's name, no token, or a folder that holds other files.
    """
    if not is_local(target):
        check_repo_name(target)
        check_token()
        return
    folder = Path(target).expanduser()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / "build.json").exists()):
        raise PublishError(f"{target} exists and holds other files: name a new or empty folder with --push_to_hub.")


def publish(out: Path, target: str, publication: str, licence: str, private: bool = True) -> list[str]:
    """Hand on the data set in `out`: to the Hub, or to a folder.

    Args:
        target: user/name, or ./folder.
        publication: `ids` or `text`.
        licence: the Hub's id of a licence.
        private: of a repository that does not exist yet.

    Raises:
        PublishError: names what is wrong; the target is whole or as it was.
    """
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        tree = dataset_tree(out, target, publication, licence, Path(work))
        if is_local(target):
            write_tree(tree, Path(target).expanduser(), OWNED)
            return [f"{target}: {len(tree)} files"]
        return _push(tree, target, publication, private)


def _push(tree: Tree, target: str, publication: str, private: bool) -> list[str]:
    destination = Destination(repo_id=target, repo_type="dataset", private=private, owned=OWNED)
    return Sender().deliver([(tree, destination)], f"Data set ({publication}) by training/build_dataset.py")


def dataset_tree(out: Path, target: str, publication: str, licence: str, work: Path) -> Tree:
    """Return the files to hand on: Parquet, card, the build's numbers, histograms; no example of a text.

    Raises:
        PublishError: numbers are wanted of pairs that have none.
    """
    facts = json.loads((out / "build.json").read_text(encoding="utf-8"))
    check_removal_list(out)
    tree: Tree = {"lengths.png": out / "lengths.png", "build.json": out / "build.json"}
    for shard in sorted((out / "data").glob("*.parquet")):
        tree[f"data/{shard.name}"] = shard if publication == "text" else _ids_of(shard, work)
    tree["README.md"] = card(target, facts, publication, licence).encode()
    return tree


def check_removal_list(folder: Path) -> None:
    """Refuse to hand on works that stand on the project's removal list by now.

    Raises:
        PublishError: there are some; a new build leaves them out.
    """
    removed = removed_works(removal_list(None))
    found = 0
    for shard in sorted(folder.rglob("*.parquet")) if removed else ():
        columns = [name for name in ("ncode", "userid") if name in pq.read_schema(shard).names]
        for row in pq.read_table(shard, columns=columns).to_pylist() if columns else ():
            found += not {(row.get("ncode") or "").upper(), f"userid {row.get('userid')}"}.isdisjoint(removed)
    if found:
        raise PublishError(
            f"{found:,} works of {folder} are on the removal list by now: build the data set again first."
        )


def _ids_of(shard: Path, work: Path) -> Path:
    """Write ncode and checksum of a shard's rows."""
    path = work / shard.name
    with pq.ParquetFile(shard) as file:
        if {"ncode", "sha256"} <= set(file.schema_arrow.names):
            return shard  # numbers already
        if "ncode" not in file.schema_arrow.names:
            raise PublishError(
                "These pairs have no ncode from which they could be rebuilt. If you may hand on the texts, use "
                "--publish text --i_may_publish_these_texts."
            )
        with pq.ParquetWriter(path, IDS.arrow_schema, compression="zstd") as writer:
            for batch in file.iter_batches(5000, columns=["ncode", "title", "synopsis"]):
                rows = batch.to_pylist()
                if not all(row["ncode"] for row in rows):
                    raise PublishError("Some rows have no ncode, so they could not be rebuilt: give each its ncode.")
                ids = [{"ncode": row["ncode"], "sha256": checksum(row["title"], row["synopsis"])} for row in rows]
                writer.write_table(pa.Table.from_pylist(ids, IDS.arrow_schema))
    return path


def checksum(title: str, synopsis: str) -> str:
    """Return the checksum of a cleaned pair, by which a rebuilt one is recognised."""
    return hashlib.sha256(f"{title}\n{synopsis}".encode()).hexdigest()


def card(target: str, facts: dict[str, Any], publication: str, licence: str) -> str:
    """Render `dataset_card.md` from the build's own numbers.

    Raises:
        PublishError: a slot that no number fills, or a number that the build does not hold.
    """
    name = Path(target).name
    data = DatasetCardData(
        language="ja",
        license=licence,
        license_name="rights-stay-with-the-authors" if licence == "other" else None,
        task_categories=["summarization", "text-generation"],
        tags=["title-generation", "japanese", "web-novel"],
        pretty_name=name,
        size_categories=size_category(facts["rows_out"]),
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in facts["counts"]],
            }
        ],
    )
    slots = facts | {
        "repo_id": f"./{name}" if is_local(target) else target,
        "name": name,
        "publication": publication,
        "licence": licence,
        "requests": -(-facts["rows_out"] // NCODES_A_REQUEST),
    }
    text = render(DatasetCard, ROOT / "dataset_card.md", data, slots)
    if unsourced := unsourced_numbers(text, slots, PERCENTILES):
        raise PublishError(f"dataset_card.md shows numbers that the build does not hold: {', '.join(unsourced)}.")
    return re.sub(r"\n{3,}", "\n\n", text)  # what the template's conditions leave behind
