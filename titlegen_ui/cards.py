"""Results as HTML: cards, progress, comparison, the reasons for a title. Everything from outside is escaped here."""

import html
import json
from typing import Any

from titlegen.settings import LENGTHS

from .texts import both, problem

NUMERALS = "一二三四五六七八九十"


def numeral(number: int) -> str:
    """Return 1-99 in Japanese numerals."""
    tens, ones = divmod(number, 10)
    return ("" if tens < 2 else NUMERALS[tens - 1]) + ("十" if tens else "") + ("" if not ones else NUMERALS[ones - 1])


def attributes(**values: Any) -> str:
    """Return HTML attributes, escaped; data_x becomes data-x."""
    return "".join(f' {name.replace("_", "-")}="{html.escape(str(value))}"' for name, value in values.items())


def note(content: str, kind: str = "info") -> str:
    """Return a friendly sentence in a box; it is read out by screen readers."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="note {kind}" role="{role}">{content}</p>'


def error_note(error: Exception) -> str:
    """Return the box for something that went wrong."""
    return note(problem(error), "error")


def progress(text_key: str, share: float | None = None, **values: Any) -> str:
    """Return a progress bar with its sentence; without a share (0 to 1) it only moves."""
    width = f' style="--share:{100 * share:.0f}%"' if share is not None else ""
    kind = "bar" if share is not None else "bar moving"
    return f'<div class="progress"><div class="{kind}"{width}></div>{note(both(text_key, **values))}</div>'


def draft_cards(titles: list[str], limit: int) -> str:
    """Return cards of unfinished titles, as they grow."""
    cards = [
        f'<li class="card draft"><span class="rank" aria-hidden="true">{numeral(i)}</span>'
        f'<p class="title" lang="ja">{html.escape(title)}<span class="caret" aria-hidden="true"></span></p></li>'
        for i, title in enumerate(titles[:limit], 1)
    ]
    return f'<ol class="cards" aria-busy="true">{"".join(cards)}</ol>'


def title_cards(titles: list[dict[str, Any]], explainable: bool = True) -> str:
    """Return the cards of finished titles; each title may have a "novelty" mark."""
    best = max((title["score"] for title in titles), default=1.0) or 1.0
    cards = [_card(i, title, best, explainable) for i, title in enumerate(titles, 1)]
    return f'<ol class="cards">{"".join(cards)}</ol>'


def _card(number: int, title: dict[str, Any], best: float, explainable: bool) -> str:
    text = title["title"] + ("" if title.get("finished", True) else "…")
    actions = ["copy", "favourite", "continue"] + (["why"] if explainable else [])
    buttons = "".join(_action(name, text) for name in actions)
    return (
        f'<li class="card"{attributes(data_title=text, data_score=title["score"])}>'
        f'<span class="rank" aria-hidden="true">{numeral(number)}</span>'
        f'<p class="title" lang="ja">{html.escape(text)}</p>'
        f'<div class="facts">{_score(title["score"], best)}'
        f'<span class="length">{both("characters", n=len(text))}</span>{_novelty(title.get("novelty"))}</div>'
        f'<div class="actions">{buttons}</div></li>'
    )


def _action(name: str, title: str) -> str:
    pressed = ' aria-pressed="false"' if name == "favourite" else ""
    return f'<button type="button" class="act {name}" data-act="{name}"{pressed}>{both(name)}</button>'


def _score(score: float, best: float) -> str:
    """A bar relative to the best title: probabilities of titles are small numbers that say little by themselves."""
    return (
        f'<span class="score">{both("score")} <span class="meter" aria-hidden="true">'
        f'<span style="width:{100 * score / best:.0f}%"></span></span> <b>{100 * score:.1f}%</b></span>'
    )


def _novelty(mark: dict[str, Any] | None) -> str:
    if mark is None:
        return ""
    key = {"new": "novel", "near": "near", "copy": "copy_of"}[mark["verdict"]]
    label = f'<span class="badge {mark["verdict"]}">{both(key)} {100 * mark["similarity"]:.0f}%</span>'
    if not mark["nearest"]:
        return label
    return (
        f'<details class="novelty"><summary>{label}</summary>'
        f'<p>{both("nearest")}<br><q lang="ja">{html.escape(mark["nearest"])}</q></p></details>'
    )


def share_box(link: str, python: str, curl: str) -> str:
    """Return the buttons that copy the permalink and the code, and the code itself."""
    parts = [("link", link), ("python", python), ("curl", curl)]
    buttons = "".join(
        f'<button type="button" class="act" data-act="share"{attributes(data_text=text, data_kind=kind)}>'
        f"{both(f'share.{kind}')}</button>"
        for kind, text in parts
    )
    codes = "".join(f'<pre class="code {kind}" tabindex="0">{html.escape(text)}</pre>' for kind, text in parts[1:])
    return f'<details class="share"><summary>{both("share")}</summary><div class="actions">{buttons}</div>{codes}</details>'


def finished(run: dict[str, Any], content: str) -> str:
    """Wrap finished results with what the browser remembers of the run (see page.js)."""
    return f'<div class="run"{attributes(data_run=json.dumps(run, ensure_ascii=False))}>{content}</div>'


def comparison(columns: list[tuple[str, str]], synopsis: str) -> str:
    """Return presets side by side: (label as HTML, cards as HTML) for each; favourites remember the synopsis."""
    cells = "".join(f"<section><h3>{label}</h3>{content}</section>" for label, content in columns)
    return f'<div class="compare"{attributes(data_run=json.dumps({"synopsis": synopsis}, ensure_ascii=False))}>{cells}</div>'


def reasons(title: str, explanation: dict[str, Any]) -> str:
    """Return the view of why: tokens shaded by probability; choosing one shades the synopsis by attention."""
    shown = [
        (token, row)
        for token, row in zip(explanation["tokens"], explanation["attention"], strict=True)
        if token["text"]
    ]
    tokens = [token for token, _ in shown]
    buttons = "".join(_token(i, token) for i, token in enumerate(tokens))
    source = explanation["source"]
    if any(source):
        # The strongest place of each row is 99: small whole numbers keep the page light.
        rows = [[round(99 * w / (max(row) or 1)) for w in row] for _, row in shown]
        looks = f'<div class="source" lang="ja"{attributes(data_attention=json.dumps(rows, separators=(",", ":")))}>'
        looks += "".join(f"<span>{html.escape(text)}</span>" for text in source) + "</div>"
        looks = f"<h4>{both('why.synopsis')}</h4>{looks}"
    else:
        looks = note(both("why.no_synopsis"))
    return (
        f'<section class="reasons"><h3>{both("why.title")}</h3><p class="why-title" lang="ja">{html.escape(title)}</p>'
        f'<p class="hint">{both("why.about")}</p><div class="tokens" lang="ja">{buttons}</div>'
        f'<p class="others" aria-live="polite"></p>{looks}</section>'
    )


def _token(index: int, token: dict[str, Any]) -> str:
    others = " ／ ".join(f"{o['text'] or '∎'} {100 * o['probability']:.1f}%" for o in token["alternatives"])
    share = token["probability"] ** 0.5  # the eye sees differences among small probabilities
    values = attributes(data_index=index, data_others=others, style=f"--share:{share:.2f}")
    percent = f"<small>{100 * token['probability']:.0f}%</small>"
    return f'<button type="button" class="token" data-act="look" aria-pressed="false"{values}>{html.escape(token["text"])}{percent}</button>'


def expected_steps(length: str) -> int:
    """Return how many steps a title usually takes, for the progress bar: two characters a token, roughly."""
    return {"any": 20, "short": 6, "medium": 14, "long": 35}.get(length, LENGTHS[length][1] // 2)
