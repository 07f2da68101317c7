"""Collected works or any pairs -> a clean, deduplicated, split data set; and its publication.

    python training/build_dataset.py --input data/raw --out data/narou
    python training/build_dataset.py --input my.csv --title_column headline --synopsis_column body --out data/mine
    python training/build_dataset.py --input data/raw --out data/narou --push_to_hub user/name      # numbers only
    python training/build_dataset.py rebuild --ids user/name --out data/narou                       # text from numbers

`--out` holds Parquet, the card and the report, for you. What is pushed is `--publish ids` unless you say otherwise:
ncode, split and checksum, from which anybody rebuilds the text. `--publish text` hands on what authors wrote, so it
wants `--i_may_publish_these_texts`. `--push_to_hub ./folder` writes what would be pushed. Works on the removal list
(`data/removal_list.txt`: a line with an ncode, or `userid 12345`) are in no build and no push.
"""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from training.budget import COME_BACK_LATER, BudgetError, ComeBackLater
from training.cleaning_rules import RulesError
from training.data import DataError
from training.dataset import BuildSettings, build, claim_build
from training.dataset_publish import check_target, publish
from training.decide import BuildError
from training.narou_api import ApiError
from training.publish_checks import check_licence
from training.shards import StoreError
from training.trees import PublishError, is_local
from training.works import REMOVAL_LIST, Source, removal_list


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; what cannot go together is refused here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--input", required=True, help="folder of training/collect.py, or file, folder or Hub id of pairs"
    )
    parser.add_argument("--title_column", help="column of the titles (default: title)")
    parser.add_argument("--synopsis_column", help="column of the texts (default: synopsis or story)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument(
        "--rules", type=Path, nargs="*", action="extend", default=[], help="YAML files that add to cleaning_rules.yaml"
    )
    parser.add_argument(
        "--drop", nargs="*", action="extend", default=[], choices=["r15", "cruel"], help="leave out works so marked"
    )
    parser.add_argument("--validation_share", type=float, default=0.05, help="of the authors")
    parser.add_argument("--test_share", type=float, default=0.05, help="of the works, the newest; see --test_since")
    parser.add_argument("--test_since", help="first day of the test part (2024-12-01); default: chosen once, then kept")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one for each core)")
    parser.add_argument(
        "--removal_list", type=Path, help=f"works to leave out (default: data/{REMOVAL_LIST.name}, if it exists)"
    )
    parser.add_argument("--push_to_hub", metavar="NAME", help="user/name on the Hub, or ./folder")
    parser.add_argument("--publish", choices=["ids", "text"], help="what --push_to_hub hands on (default: ids)")
    parser.add_argument("--license", default="other", help="the Hub's id of the licence of what is pushed")
    parser.add_argument("--public", action="store_true", help="a new repository is private otherwise")
    parser.add_argument(
        "--i_may_publish_these_texts",
        action="store_true",
        help="title and synopsis belong to their authors: I have their permission or another right, and I remove works on request",
    )
    arguments = parser.parse_args(argv)
    shares = (arguments.validation_share, arguments.test_share)
    if not all(0 <= share < 0.5 for share in shares):
        parser.error("--validation_share and --test_share are shares between 0 and 0.5")
    if arguments.publish and not arguments.push_to_hub:
        parser.error(
            f"--publish {arguments.publish} needs a name to publish under: --push_to_hub user/name or ./folder"
        )
    arguments.publish = arguments.publish or "ids"
    if not arguments.out.name:
        parser.error("--out must name a folder, such as data/narou")
    if arguments.push_to_hub and arguments.publish == "text" and not arguments.i_may_publish_these_texts:
        parser.error(
            "--publish text hands on what authors wrote: add --i_may_publish_these_texts if you have their permission or "
            "another right, or use --publish ids"
        )
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Build, and publish if asked to."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["rebuild"]:
        from training.rebuild import main as rebuild

        return rebuild(argv[1:])
    arguments = parse_arguments(argv)
    if arguments.push_to_hub:  # before an hour of work
        check_licence(arguments.license)
        if is_local(arguments.push_to_hub) and Path(arguments.push_to_hub).resolve() == arguments.out.resolve():
            raise PublishError(
                f"{arguments.push_to_hub} is the build's own folder: give another one for its publication."
            )
        check_target(arguments.push_to_hub)
    claim_build(arguments.out)
    settings = BuildSettings(
        source=Source(arguments.input, arguments.title_column, arguments.synopsis_column),
        rules_files=tuple(arguments.rules),
        drop=tuple(arguments.drop),
        validation_share=arguments.validation_share,
        test_share=arguments.test_share,
        test_since=arguments.test_since,
        removal_list=removal_list(arguments.removal_list),
        workers=arguments.workers,
    )
    facts = build(settings, arguments.out)
    counts = ", ".join(f"{name} {rows:,}" for name, rows in facts["counts"].items())
    print(f"{facts['rows_out']:,} of {facts['rows_in']:,} rows in {arguments.out}: {counts}; see cleaning.md there.")
    if facts["test_since"]:
        print(f"Test part: first published since {facts['test_since']} (kept for later builds).")
    if arguments.push_to_hub:
        for line in publish(
            arguments.out, arguments.push_to_hub, arguments.publish, arguments.license, private=not arguments.public
        ):
            print(line)


if __name__ == "__main__":
    try:
        main()
    except ComeBackLater as pause:
        print(pause, file=sys.stderr)
        sys.exit(COME_BACK_LATER)
    except (
        ApiError,
        BudgetError,
        BuildError,
        DataError,
        PublishError,
        RulesError,
        StoreError,
        FileExistsError,
    ) as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error}. Nothing was changed: make room there, or name another folder with --out.")
