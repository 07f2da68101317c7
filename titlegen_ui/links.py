"""Sharing a result: the permalink that reproduces it, and the same call as Python and as curl."""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from titlegen.settings import MAX_SYNOPSIS_CHARACTERS, GenerationSettings, SettingsError, control

PACKED = "z"  # holds the whole query, deflated: long synopses would make addresses that mail programs break
MAX_PLAIN = 1500  # characters of query
_MAX_UNPACKED = 20 * MAX_SYNOPSIS_CHARACTERS  # bytes; stops a small link from becoming a huge text


@dataclass(frozen=True)
class Link:
    """What a permalink holds."""

    synopsis: str
    settings: GenerationSettings
    model: str = ""
    revision: str = ""


def telling(settings: GenerationSettings) -> dict[str, Any]:
    """Return the settings that make the titles what they are: those that apply, and those that differ from the defaults.

    Defaults that apply are named too, because a later version of the page or of a model's code may have others.
    """
    defaults = GenerationSettings().to_dict()
    return {
        name: value
        for name, value in settings.to_dict().items()
        if value != defaults[name] or (value != "" and settings.method in control(name).methods)
    }


def permalink(link: Link) -> str:
    """Return the query string, with its question mark, that reproduces a result."""
    values = {"synopsis": link.synopsis} | telling(link.settings) | {"model": link.model, "revision": link.revision}
    query = urlencode({name: value for name, value in values.items() if value != ""})
    if len(query) > MAX_PLAIN:
        query = urlencode({PACKED: base64.urlsafe_b64encode(zlib.compress(query.encode(), 9)).decode().rstrip("=")})
    return "?" + query


def read_link(query: str) -> Link | None:
    """Return what a query string holds, or None if it is no permalink (other parameters are left alone).

    Raises:
        SettingsError: it is one, but broken or with settings that cannot be used.
    """
    values = dict(parse_qsl(query.lstrip("?"), keep_blank_values=True))
    if PACKED in values:
        values = dict(parse_qsl(_unpack(values[PACKED])))
    defaults = GenerationSettings().to_dict()
    if not ({"synopsis", "prefix"} & set(values)):
        return None
    settings = {name: _value(text, defaults[name]) for name, text in values.items() if name in defaults}
    return Link(
        values.get("synopsis", ""),
        GenerationSettings.from_dict(settings),
        values.get("model", ""),
        values.get("revision", ""),
    )


def _unpack(packed: str) -> str:
    unpacker = zlib.decompressobj()
    try:
        data = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        query = unpacker.decompress(data, _MAX_UNPACKED).decode()
    except (binascii.Error, zlib.error, ValueError):
        unpacker = None
    if unpacker is None or not unpacker.eof:  # the end is missing, or there is far too much of it
        raise SettingsError(
            "This link could not be read: it was cut short or changed.",
            "リンクを読み取れません。途中で切れているようです。",
        )
    return query


def _value(text: str, default: Any) -> Any:
    """Return the text of a query as the kind of value that the setting has; what does not fit is left to the checks."""
    if isinstance(default, bool):
        return {"True": True, "False": False}.get(text, text)
    try:
        return type(default)(text)
    except ValueError:
        return text


def as_python(link: Link, model: str) -> str:
    """Return the call as code for people who have only transformers."""
    arguments = "".join(f", {name}={value!r}" for name, value in telling(link.settings).items())
    where = f"{model!r}, revision={link.revision!r}" if is_commit(link.revision) else repr(model)
    return (
        "from transformers import pipeline\n\n"
        f"pipe = pipeline(model={where}, trust_remote_code=True)\n"
        f"pipe({link.synopsis!r}{arguments})"
    )


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit on the Hub (and not the fingerprint of a folder)."""
    return len(revision) == 40


def as_curl(link: Link, names: list[str], base: str = "{base}") -> str:
    """Return the call as two curl commands (Gradio's protocol: post, then read the event's stream).

    `names` are the endpoint's parameters in order; `{base}` stands for the page's address until the browser fills it in.
    """
    values = {"synopsis": link.synopsis} | link.settings.to_dict()
    body = json.dumps({"data": [values[name] for name in names]}, ensure_ascii=False).replace("'", "'\\''")
    address = f"{base}gradio_api/call/generate"
    return (
        f"EVENT=$(curl -s {address} -H 'Content-Type: application/json' \\\n  -d '{body}' | cut -d'\"' -f4)\n"
        f"curl -sN {address}/$EVENT"
    )
