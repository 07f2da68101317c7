"""Publish a finished run: model, tokenizer and pipeline, the pairs, and the page, each in one commit.

    python training/publish.py --model build/run --repo user/name --dry_run
    python training/publish.py --model build/run --repo user/name --dataset data/original/pairs.jsonl \
        --dataset_license cc0-1.0 --space user/demo --tag v1.0

Private unless you say `--public`. Everything is checked before anything is sent; a repeated command completes a broken
one and sends nothing when nothing changed. Without an account: `--repo ./folder` writes the same files there.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # imports are from the root

from training.hub import Destination, Sender, check_repo_name, check_token
from training.publish_checks import check_contents, check_licence
from training.trees import PublishError, Tree, is_local, size, write_tree

if TYPE_CHECKING:
    from training.config import TitleTrainingArguments

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Publication:
    """What goes where. `repo`, `dataset_repo` and `space` are user/name on the Hub, or ./folder."""

    repo: str
    model: str | None = None
    dataset: str | None = None
    dataset_repo: str | None = None
    dataset_license: str | None = None
    space: str | None = None
    license: str = "apache-2.0"
    private: bool = True
    revision: str = "main"
    tag: str | None = None
    message: str = "Publish with training/publish.py"
    rights_cleared: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.model is None and self.dataset is None and self.space is None:
            raise PublishError(
                "There is nothing to publish: give --model FOLDER, --dataset PAIRS or --space user/name."
            )
        for name in filter(None, (self.repo, self.dataset_repo, self.space)):
            if not is_local(name):
                check_repo_name(name)
        check_licence(self.license)
        if self.dataset:
            if not self.dataset_license:
                raise PublishError(
                    "Under which licence may the pairs be shared? Give --dataset_license, such as cc0-1.0."
                )
            check_licence(self.dataset_license)
        for kind, source, target in (("model", self.model, self.repo), ("pairs", self.dataset, self.pairs_repo)):
            if source and is_local(target) and Path(target).resolve() == Path(source).resolve():
                raise PublishError(f"{target} is the own folder of the {kind}: give another one for the publication.")
        if self.space and not is_local(self.space) and is_local(self.repo):
            raise PublishError(
                f"A Space on the Hub cannot load the folder {self.repo}: publish the model as user/name."
            )

    @property
    def pairs_repo(self) -> str:
        """Where the pairs go: beside the model unless told."""
        return self.dataset_repo or f"{self.repo.rstrip('/')}-pairs"

    @property
    def targets(self) -> list[str]:
        """Every place that is written."""
        wanted = ((self.dataset, self.pairs_repo), (self.model, self.repo), (self.space, self.space))
        return [target for given, target in wanted if given and target]


@dataclass(frozen=True)
class Parcel:
    """One tree and its target."""

    kind: str  # model, dataset or space
    target: str
    tree: Tree


def publish(publication: Publication, token: str | None = None) -> list[str]:
    """Check everything, then publish, and return a line about each target.

    Raises:
        PublishError: one sentence; every repository is whole or as it was.
    """
    sender = None
    if not publication.dry_run and not all(is_local(target) for target in publication.targets):
        sender = Sender(token)
        sender.check_rights()  # before a model is loaded for nothing
    with tempfile.TemporaryDirectory() as work:
        parcels = pack(publication, Path(work))
        if publication.dry_run:
            return [line for parcel in parcels for line in describe(parcel)]
        lines = [_write(parcel) for parcel in parcels if is_local(parcel.target)]
        sent = [(p.tree, _destination(p, publication)) for p in parcels if not is_local(p.target)]
        return lines + (sender.deliver(sent, publication.message) if sender else []) + _hints(publication)


def _hints(publication: Publication) -> list[str]:
    space, repo = publication.space, publication.repo
    if not space or is_local(space) or not publication.private:
        return []
    return [f"If {repo} is private, {space} needs a token to read it: add one as the secret HF_TOKEN in its settings."]


def pack(publication: Publication, work: Path) -> list[Parcel]:
    """Return every tree, checked, in the order in which they go: what others point to goes first.

    Raises:
        PublishError: something that cannot or must not be published.
    """
    from training import staging  # torch and transformers take seconds; a wrong name is told before that

    on_hub = not is_local(publication.pairs_repo)
    dataset_ids = [publication.pairs_repo] if publication.dataset and on_hub else []
    parcels = []
    if publication.dataset:
        tree = staging.dataset_tree(
            publication.dataset, public_id(publication.pairs_repo), str(publication.dataset_license),
            work, publication.rights_cleared,
        )  # fmt: skip
        parcels.append(Parcel("dataset", publication.pairs_repo, tree))
    if publication.model:
        tree = staging.model_tree(
            Path(publication.model), public_id(publication.repo), publication.license, dataset_ids,
            publication.rights_cleared,
        )  # fmt: skip
        parcels.append(Parcel("model", publication.repo, tree))
    if publication.space:
        tree = staging.space_tree(ROOT, public_id(publication.repo), dataset_ids, publication.license)
        parcels.append(Parcel("space", publication.space, tree))
    for parcel in parcels:
        check_contents(parcel.tree, owner=None if is_local(parcel.target) else parcel.target.split("/")[0])
    return parcels


def public_id(name: str) -> str:
    """Return what a card calls a target: a local folder by its last part only."""
    return f"./{Path(name).name}" if is_local(name) else name


def describe(parcel: Parcel) -> list[str]:
    """Return what would be sent: every file with its size, and the card."""
    total = sum(size(source) for source in parcel.tree.values())
    lines = [f"{parcel.kind} {parcel.target}: {len(parcel.tree)} files, {total:,} bytes"]
    lines += [f"{size(source):>14,}  {path}" for path, source in sorted(parcel.tree.items())]
    readme = parcel.tree["README.md"]
    text = readme.decode() if isinstance(readme, bytes) else readme.read_text(encoding="utf-8")
    return [*lines, "", text]


def _write(parcel: Parcel) -> str:
    from training.staging import OWNED

    write_tree(parcel.tree, Path(parcel.target).expanduser(), OWNED[parcel.kind])
    return f"{parcel.target}: {len(parcel.tree)} files"


def _destination(parcel: Parcel, publication: Publication) -> Destination:
    from training.staging import OWNED

    is_space = parcel.kind == "space"
    variables = {}
    if is_space and not is_local(publication.repo):
        variables = {"MODEL_ID": publication.repo}
        if publication.model:
            variables["MODEL_REVISION"] = publication.tag or publication.revision
    return Destination(
        repo_id=parcel.target,
        repo_type=parcel.kind,
        private=publication.private,
        revision="main" if is_space else publication.revision,  # a Space runs what is on main
        tag=publication.tag,
        owned=OWNED[parcel.kind],
        variables=variables,
    )


def check_run_destination(arguments: "TitleTrainingArguments") -> None:
    """Refuse before a run what would keep it from being published after it, as far as that is known without the Hub.

    Raises:
        PublishError: no token, or a name that cannot be one.
    """
    if arguments.publish_at_end and arguments.hub_model_id:
        check_repo_name(arguments.hub_model_id)
        check_token(arguments.hub_token)


def publish_run(arguments: "TitleTrainingArguments") -> None:
    """Publish the folder of a run that is finished and saved.

    Raises:
        PublishError: the run stays whole; the message has the command that publishes it.
    """
    try:
        publication = Publication(
            repo=str(arguments.hub_model_id),
            model=str(arguments.output_dir),
            private=arguments.hub_private_repo is not False,
            revision=arguments.hub_revision or "main",
        )
        print(*publish(publication, arguments.hub_token), sep="\n")
    except PublishError as error:
        again = f"python training/publish.py --model {arguments.output_dir} --repo {arguments.hub_model_id}"
        raise PublishError(f"{error} The run is saved; publish it with: {again}") from error


def parse(argv: list[str] | None = None) -> Publication:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="output folder of a finished run")
    parser.add_argument("--repo", required=True, help="the model's name on the Hub, user/name, or ./folder")
    parser.add_argument("--dataset", help="pairs to publish: a file, or a folder of a built data set")
    parser.add_argument("--dataset_repo", help="name of the pairs, user/name or ./folder (default: REPO-pairs)")
    parser.add_argument("--dataset_license", help="licence under which the pairs may be shared, such as cc0-1.0")
    parser.add_argument("--space", help="name of the Space that shows the page, user/name or ./folder")
    parser.add_argument("--license", default="apache-2.0", help="licence of the model (default: %(default)s)")
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument(
        "--private", action="store_true", default=True, help="new repositories are private (default)"
    )
    visibility.add_argument("--public", dest="private", action="store_false", help="new repositories are public")
    parser.add_argument("--revision", default="main", help="branch; made if it is missing (default: %(default)s)")
    parser.add_argument("--tag", help="tag for the commit, such as v1.0")
    parser.add_argument("--message", default=Publication.message, help="commit message")
    parser.add_argument("--rights_cleared", action="store_true", help="state that the authors of the texts agreed")
    parser.add_argument("--dry_run", action="store_true", help="print files, sizes and cards; send nothing")
    return Publication(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    try:
        print(*publish(parse()), sep="\n")
    except PublishError as error:
        sys.exit(f"error: {error}")
