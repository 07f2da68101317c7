"""What must be true before anything is sent: names, licence, files that load, nothing that must not go."""

import getpass
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from titlegen import GenerationSettings
from training.trees import PublishError, Tree, content, size

# https://huggingface.co/docs/hub/repositories-licenses
_LICENCES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
    afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
    cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
    lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1
    ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 llama3.1
    llama3.2 llama3.3 llama4 grok2-community gemma unknown other
"""
LICENCES = frozenset(_LICENCES.split())
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".joblib")
TEXTS = (".json", ".md", ".py", ".txt", ".yaml", ".yml", ".jsonl", ".css", ".js", ".html")
SECRETS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    "an AWS key": r"\bAKIA[0-9A-Z]{16}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
ABSOLUTE_PATH = re.compile(
    r"""(?<![\w.~/:-])/(?:home|root|Users|tmp|var|mnt|opt|srv|data|work|workspace|content|kaggle|scratch)/[^\s"'<>]+"""
    r"""|(?<!\w)[A-Za-z]:\\+[^\s"'<>]+"""
)
EVERYBODY = {"root", "user", "users", "ubuntu", "admin", "runner", "jovyan", "debian", "worker", "nobody", "docker"}
SYNOPSES = (  # invented; a card shows what the model makes of them
    "名門魔法学院で五年連続最下位の少年レントは、卒業試験の朝、自分の杖がただの箒だと知らされる。\n"
    "ところが彼が掃いた床からは、呪いも魔物もきれいに消えていた。",
    "婚約を破棄された公爵令嬢セシルは、慰謝料代わりに辺境の壊れた温泉宿をもらい受ける。\n"
    "湯けむりの向こうから最初に現れた客は、肩こりに悩む古竜だった。",
    "駅前の喫茶店には、毎週火曜の三時にだけ現れる客がいる。注文はいつも二人分。\n"
    "店員の僕が空の席の理由を尋ねた日、止まっていた壁の時計が動きはじめた。",
)  # fmt: skip
SHOWN = GenerationSettings(num_titles=3)


def check_licence(licence: str) -> None:
    """Refuse a licence that the Hub does not know.

    Raises:
        PublishError: as it says.
    """
    if licence not in LICENCES:
        raise PublishError(
            f"The Hub knows no licence {licence!r}: take one such as apache-2.0, cc-by-4.0, cc0-1.0 or other."
        )


def check_contents(tree: Tree, owner: str | None = None) -> None:
    """Refuse pickles, secrets, and traces of the machine.

    Args:
        tree: what would be published.
        owner: the account it goes to, whose name may be the machine's user name as well.

    Raises:
        PublishError: names the file, and the line where there is one.
    """
    for path, source in tree.items():
        if path.endswith(PICKLES):
            raise PublishError(
                f"{path} is a pickle, which can run code where it is loaded: only safetensors are published."
            )
        if path.endswith(TEXTS) and size(source) < 20_000_000:
            _check_text(path, content(source).decode("utf-8", "replace"), owner)
        elif path.endswith(".safetensors"):
            _check_text(f"{path} (its metadata)", str(_metadata(path, source)), owner)


def _check_text(path: str, text: str, owner: str | None) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in SECRETS.items():
            if re.search(pattern, line):
                raise PublishError(
                    f"{path}, line {number}, holds {what}: remove it, and revoke it if it was ever shared."
                )
        if found := ABSOLUTE_PATH.search(line):
            raise PublishError(f"{path}, line {number}, holds a path of this machine, {found.group()}: remove it.")
        if path.endswith((".json", ".yaml")) and _user() != owner and _user() and re.search(rf"\b{_user()}\b", line):
            raise PublishError(f"{path}, line {number}, holds the user name of this machine: remove it.")


def _user() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        return ""
    return "" if user in EVERYBODY or len(user) < 4 else re.escape(user)


def _metadata(path: str, source: Path | bytes) -> dict[str, str]:
    try:
        with safe_open(source, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise PublishError(f"{path} is not a whole safetensors file ({error}): save the model again.") from error


def try_model(tree: Tree) -> list[dict]:
    """Load exactly the files that would be published and let them write; return `{"synopsis", "titles"}` for the card.

    Raises:
        PublishError: they do not load, or do not fit the pipeline.
    """
    from titlegen.loading import ModelError, load_pipeline  # takes seconds; what is wrong before is told before

    with tempfile.TemporaryDirectory() as folder:
        for path, source in tree.items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source) if isinstance(source, bytes) else target.symlink_to(source.resolve())
        try:
            pipe = load_pipeline(folder, device="cpu")
            tokens, rows = len(pipe.tokenizer), pipe.model.get_input_embeddings().num_embeddings
            if tokens > rows:
                raise PublishError(
                    f"The tokenizer has {tokens:,} tokens, the model only {rows:,}: they do not belong together."
                )
            written = pipe(list(SYNOPSES), settings=SHOWN)
        except ModelError as error:
            raise PublishError(str(error).replace(folder, "to be published")) from error
        except (ValueError, IndexError, RuntimeError, KeyError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PublishError(f"The model does not fit the title pipeline, which failed with: {reason}") from error
    titles = [[title["generated_text"] for title in titles] for titles in written]
    if not all(titles):
        raise PublishError("The model wrote no title for a synopsis: train it further before you publish it.")
    return [{"synopsis": s, "titles": t} for s, t in zip(SYNOPSES, titles, strict=True)]


def unsourced_numbers(card: str, *sources: Any) -> list[str]:
    """Return the numbers in a card's text that no source holds, at the precision at which they are shown.

    Code is left out (tests run it), and so are numbers inside words, such as the 3 of `v3` or the 1 of `ROUGE-1`.
    """
    text = re.sub(r"```.*?```|`[^`]*`|https?://\S+", " ", card, flags=re.DOTALL)
    numbers, words = set(), set()
    for value in _values(sources):
        (words.update(_numbers(value)) if isinstance(value, str) else numbers.add(value))

    def held(shown: str) -> bool:
        plain = shown.replace(",", "")
        decimals = len(plain.partition(".")[2])
        return shown in words or plain in words or any(f"{value:.{decimals}f}" == plain for value in numbers)

    return [shown for shown in _numbers(text) if not held(shown)]


def _numbers(text: str) -> list[str]:
    return re.findall(r"(?<![\w.-])\d+(?:,\d{3})*(?:\.\d+)*(?![A-Za-z\d])", text)


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner)
            if name == "train_seconds":
                yield from (inner / 60, inner / 3600)  # shown as minutes or hours
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _values(inner)
    elif value is not None and not isinstance(value, bool):
        yield value
