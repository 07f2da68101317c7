"""Which files go where: the trees of a model, a data set and a Space, each complete before anything is sent."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
from datasets import DatasetDict
from huggingface_hub import RepoCard
from transformers.dynamic_module_utils import get_relative_import_files

from titlegen.novelty import FILE_NAME as KNOWN_TITLES
from training import cards, dataset_publish
from training.data import DataError, load_pairs, with_all_splits
from training.publish_checks import try_model, unsourced_numbers
from training.trees import PublishError, Tree

MODEL_FILES = (
    "config.json", "generation_config.json", "*.safetensors", "model.safetensors.index.json", "tokenizer_config.json",
    "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
    "spiece.model", "sentencepiece.bpe.model", "recipe.yaml", "metrics.json",
)  # fmt: skip
# What publishing owns in a repository (see `trees.differences`); pickles that a Trainer once pushed go as well.
OWNED = {
    "model": (*MODEL_FILES, KNOWN_TITLES, "loss.png", "trainer_state.json", "pytorch_model*.bin", "training_args.bin"),
    "dataset": dataset_publish.OWNED,
    "space": ("app.py", "titlegen/*", "titlegen_ui/*"),
}
SPACE_PACKAGES = ("titlegen", "titlegen_ui")
SPLITS = ("train", "validation", "test")
BYTES_A_SHARD = 400_000_000
OTHERS_WORKS = "ncode"  # the column that tells works of 小説家になろう, whose texts belong to their authors


def model_tree(folder: Path, repo_id: str, licence: str, datasets: list[str], rights_cleared: bool = False) -> Tree:
    """Return a model repository: weights, tokenizer, pipeline, recipe, metrics, log and a card made from them.

    The training titles, which the page's novelty mark reads, belong to their authors: they go along only if
    `rights_cleared`.

    Raises:
        PublishError: something is missing, does not load or does not fit.
    """
    tree = _model_files(folder)
    if rights_cleared and (folder / KNOWN_TITLES).is_file():
        tree[KNOWN_TITLES] = folder / KNOWN_TITLES
    facts = cards.read_run(folder)
    if facts.log:
        tree["trainer_state.json"] = _json({"log_history": facts.log})
    if curve := cards.loss_curve(facts.log):
        tree["loss.png"] = curve
    examples = try_model(tree)
    datasets = datasets or [name for name in [facts.dataset] if name]
    card = cards.model_card(repo_id, facts, examples, licence, datasets, "loss.png" in tree)
    unsourced = unsourced_numbers(
        card, facts.metrics, facts.recipe, examples, cards.TESTED_TRANSFORMERS, repo_id, licence, datasets
    )
    if unsourced:
        raise PublishError(f"model_card.md shows numbers that no file of the run holds: {', '.join(unsourced)}.")
    return tree | {"README.md": card.encode()}


def _model_files(folder: Path) -> Tree:
    if not (folder / "config.json").is_file():
        raise PublishError(f"{folder} holds no model (no config.json): give the output folder of training/train.py.")
    found = {path.name: path for pattern in MODEL_FILES for path in sorted(folder.glob(pattern))}
    if not any(name.endswith(".safetensors") for name in found):
        raise PublishError(f"{folder} holds no weights as safetensors: save the model with `save_pretrained` first.")
    if "tokenizer_config.json" not in found:
        raise PublishError(f"{folder} holds no tokenizer (no tokenizer_config.json): save it beside the model.")
    tree: Tree = dict(found)
    config = _read_object(folder / "config.json")
    implementations = [task.get("impl", "") for task in config.get("custom_pipelines", {}).values()]
    if not implementations:
        raise PublishError(
            f"{folder} holds no pipeline: train with training/train.py, or save `load_pipeline(...)` there."
        )
    for name in {implementation.split(".")[0] for implementation in implementations}:
        for module in (folder / f"{name}.py", *map(Path, _imported(folder / f"{name}.py"))):
            tree[module.name] = module
    tree["config.json"] = _json(without_local_names(config))
    return tree


def _imported(module: Path) -> list[str]:
    try:
        return get_relative_import_files(str(module))
    except OSError as error:
        raise PublishError(f"The pipeline's module {error.filename} is missing: save the pipeline again.") from error


def without_local_names(config: dict[str, Any]) -> dict[str, Any]:
    """Drop `_name_or_path` at every level where it names a folder of the machine that trained."""
    kept = {name: without_local_names(value) if isinstance(value, dict) else value for name, value in config.items()}
    if str(kept.get("_name_or_path", "")).startswith((".", "/", "~")):
        del kept["_name_or_path"]
    return kept


def dataset_tree(source: str, repo_id: str, licence: str, work: Path, rights_cleared: bool = False) -> Tree:
    """Return a data repository: Parquet for each split and a card.

    What `training/build_dataset.py` built goes with its own card (of works of 小説家になろう the numbers only, unless
    `rights_cleared`); a folder that has a card already goes as it is; any other pairs are split and counted.

    Raises:
        PublishError: pairs that cannot be read, or the works of others.
    """
    folder = Path(source)
    shards = sorted(folder.glob("data/*.parquet"))
    works = any(OTHERS_WORKS in pyarrow.parquet.read_schema(shard).names for shard in shards)
    if (folder / "build.json").is_file() and shards:
        publication = "ids" if works and not rights_cleared else "text"
        return dataset_publish.dataset_tree(folder, repo_id, publication, licence, work)
    if (folder / "README.md").is_file() and shards:
        dataset_publish.check_removal_list(folder)
        for shard in shards:
            _refuse_others_works(pyarrow.parquet.read_schema(shard).names, source, rights_cleared)
        return {file.relative_to(folder).as_posix(): file for file in (folder / "README.md", *shards)}
    pairs = _read_pairs(source, rights_cleared)
    counts = {split: len(rows) for split, rows in pairs.items()}
    card = cards.pairs_card(repo_id, counts, licence)
    if unsourced := unsourced_numbers(card, counts, repo_id, licence):
        raise PublishError(f"The data card shows numbers that no file holds: {', '.join(unsourced)}.")
    return {"README.md": card.encode()} | dict(_parquet(pairs, work))


def _parquet(pairs: DatasetDict, work: Path) -> Iterator[tuple[str, Path]]:
    for split, rows in pairs.items():
        shards = max(1, -(-rows.data.nbytes // BYTES_A_SHARD))
        for number in range(shards):
            path = f"data/{split}-{number:05d}-of-{shards:05d}.parquet"
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            rows.shard(shards, number, contiguous=True).to_parquet(work / path)
            yield path, work / path


def _read_pairs(source: str, rights_cleared: bool) -> DatasetDict:
    from training.data import _read  # the columns as they are, before the others are dropped

    try:
        for split in _read(source, None).values():
            _refuse_others_works(split.column_names, source, rights_cleared)
        pairs = with_all_splits(load_pairs(source), 0.05, 0.05)
    except DataError as error:
        raise PublishError(str(error)) from error
    return DatasetDict({split: pairs[split] for split in SPLITS if split in pairs})


def _refuse_others_works(columns: list[str], source: str, rights_cleared: bool) -> None:
    texts = {"title", "synopsis", "story"} & set(columns)
    if OTHERS_WORKS in columns and texts and not rights_cleared:
        raise PublishError(
            f"{source} holds texts of works on 小説家になろう ({OTHERS_WORKS} with {', '.join(sorted(texts))}), which belong "
            "to their authors: publish identifiers only, or state with --rights_cleared that the authors agreed."
        )


def space_tree(root: Path, model_id: str, datasets: list[str], licence: str) -> Tree:
    """Return the files of the Space: the page, what it imports, its requirements and README; nothing else.

    Raises:
        PublishError: no page there.
    """
    if not (root / "app.py").is_file():
        raise PublishError(f"{root} holds no page (no app.py): publish the Space from a checkout of the project.")
    tree: Tree = {"app.py": root / "app.py", "requirements.txt": root / "requirements.txt"}
    for package in SPACE_PACKAGES:
        files = sorted(path for path in (root / package).rglob("*") if path.is_file())
        tree |= {path.relative_to(root).as_posix(): path for path in files if not _is_left_over(path, root)}
    return tree | {"README.md": space_card(root, model_id, datasets, licence).encode()}


def _is_left_over(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return "__pycache__" in parts or path.name.startswith(".") or path.suffix in (".pyc", ".partial")


def space_card(root: Path, model_id: str, datasets: list[str], licence: str) -> str:
    """Return the README of the Space: the front matter of the project's own, with what publishing knows, and a few words.

    The rest of the project's README speaks of files that a Space has not got.
    """
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    card = RepoCard(text if text.startswith("---\n") else "---\ntitle: タイトルジェネレーター\n---\n")
    gradio = re.search(
        r"^gradio(?:\[.*?\])?==(\S+)", (root / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    python = re.search(r'requires-python = ">=([\d.]+)"', (root / "pyproject.toml").read_text(encoding="utf-8"))
    if not gradio or not python:
        raise PublishError("The Space's versions are unknown: pin gradio in requirements.txt and set requires-python.")
    card.data["sdk"] = "gradio"
    card.data["sdk_version"] = gradio[1]
    card.data["app_file"] = "app.py"
    card.data["python_version"] = python[1]
    card.data["license"] = card.data.get("license", licence)
    card.data["short_description"] = card.data.get("short_description", "あらすじから、なろう風のタイトルを")
    card.data["models"] = [model_id]
    card.data["datasets"] = datasets or None
    card.data["preload_from_hub"] = [model_id]
    return cards.render(RepoCard, Path(__file__).parent / "space_card.md", card.data, {"model_id": model_id})


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishError(f"{path} is not JSON ({error}): save the model again.") from error
    return value if isinstance(value, dict) else {}
