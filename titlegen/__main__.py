"""python -m titlegen --input synopses.jsonl --output titles.jsonl --num_titles 3: titles for a whole file.

The input is CSV or JSON Lines with a column synopsis or story; the output has the same rows with their titles
(JSON Lines: `titles`; CSV: `title_1`, `score_1` and so on). Every setting of `GenerationSettings` is an option.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from .batch import kind_of, pipeline_writer, read_rows, title_rows, write_rows
from .control import Control, SettingsError
from .settings import GenerationSettings, controls


def main(argv: list[str] | None = None) -> None:
    """Read, write titles with a progress bar, save; a mistake is one sentence and exit status 1."""
    arguments = vars(_parser().parse_args(argv))
    source, target = arguments.pop("input"), arguments.pop("output")
    model, revision = arguments.pop("model"), arguments.pop("revision")
    try:
        settings = GenerationSettings.from_dict({k: v for k, v in arguments.items() if v is not None})
        kind_of(target)
        rows = read_rows(source, settings=settings)
        _write_titles(rows, target, settings, model, revision)
    except KeyboardInterrupt:
        sys.exit("stopped: nothing was written.")
    except (OSError, SettingsError) as error:
        sys.exit(f"error: {error}")


def _write_titles(
    rows: list[dict[str, Any]], target: Path, settings: GenerationSettings, model: str | None, revision: str | None
) -> None:
    from tqdm import tqdm  # these take seconds to import, and a mistake above should show at once

    from .loading import load_pipeline

    write = pipeline_writer(load_pipeline(model, revision), settings)
    done: list[dict[str, Any]] = []
    with tqdm(total=len(rows), unit="row", desc="Write titles") as bar:
        for batch in title_rows(rows, write, settings):
            done += batch
            bar.update(len(batch))
    write_rows(target, done)
    print(f"{target}: {len(done):,} rows with titles")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m titlegen", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", required=True, type=Path, help="CSV or JSON Lines with a column synopsis or story")
    parser.add_argument("--output", required=True, type=Path, help="file to write, .csv or .jsonl")
    parser.add_argument("--model", help="folder or Hub id (default: the embedded model)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")
    defaults = GenerationSettings()
    for name, control in controls().items():
        _add_control(parser, name, control, getattr(defaults, name))
    return parser


def _add_control(parser: argparse.ArgumentParser, name: str, control: Control, default: Any) -> None:
    help_text = f"{control.help['en']} Default: {default!r}.".replace("%", "%%")
    kind = _boolean if isinstance(default, bool) else type(default)
    parser.add_argument(f"--{name}", type=kind, choices=control.choices, help=help_text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, but is {text}")
    return text.lower() == "true"


if __name__ == "__main__":
    main()
