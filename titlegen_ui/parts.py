"""Fixed pieces of the page: the head, examples, empty states, and the snippets that run in the browser.

The snippets call functions of `assets/page.js` (`window.titlegen`), where the reasons for each stand.
"""

from titlegen.settings import MAX_SYNOPSIS_CHARACTERS, control

from .texts import NAME, both

FIRST_EXAMPLE = (
    "荷物持ちとして働いてきたリオは、役立たずと言われて勇者のパーティーを追放された。"
    "だが彼の収納魔法には、誰も知らない使い道があった。"
    "辺境で拾った竜の子どもと、のんびり畑を耕す日々がはじまる。"
)
SYNOPSES = [
    [FIRST_EXAMPLE],
    [
        "「お前との婚約を破棄する」。夜会でそう告げられた公爵令嬢エルミナは、ほっと胸をなでおろした。"
        "これでようやく、前世からの夢だったパン屋が開ける。"
        "ところが開店初日、いちばん乗りの客は隣国の冷血王だった。"
    ],
    [
        "過労で倒れた会社員の佐倉は、目を覚ますと剣と魔法の世界で、村でいちばん小さな薬屋の看板猫になっていた。"
        "人の言葉は話せないが、薬草の匂いだけはなぜか全部わかる。"
        "人見知りの店主の少女を助けながら昼寝ざんまいの毎日を送るはずが、"
        "ある晩、毒を盛られた騎士が店の前に倒れていて――。"
    ],
    [
        "放課後の図書室には、誰も借りたことのない本が一冊だけある。"
        "文芸部の水城がそれを開くと、明日の自分の失恋が書かれていた。"
        "書きかえられるのは一日一行だけ。彼女は鉛筆を握る。"
    ],
]
SYNOPSIS_LABELS = ["追放と竜の子", "婚約破棄とパン屋", "看板猫に転生", "明日の本"]
BEGINNINGS = [["名探偵コナン"], ["ウマ娘 プリティーダービー"], ["追放された"], ["悪役令嬢ですが"]]

PLAIN = {"padding": False, "apply_default_css": False}  # the page's own style sheet is enough

# Words that page.js needs, in both languages; in the head of the page, because Gradio draws hidden tabs late.
_WORDS = "".join(
    f'<span data-key="{key}">{both(text)}</span>'
    for key, text in {
        "remove": "shelf.remove", "open": "shelf.open", "copy": "copy", "copied": "copied",
        "lost": "lost", "failed": "failed", "queue_full": "queue_full", "file_large": "file_large", "file_kind": "file_kind",
    }.items()
)  # fmt: skip
HERO = (
    '<header class="hero"><div class="seal" aria-hidden="true"><span>題</span><span>名</span></div>'
    f'<div><h1 lang="ja">{NAME}</h1><p>{both("tagline")}</p></div></header>'
    f'<div id="words" hidden>{_WORDS}</div><p id="lost" class="note error" role="alert" hidden></p>'
    f'<p id="waiting" class="note" role="status" hidden>{both("waiting")} <b></b></p>'
)
EMPTY = f'<div class="empty"><div class="open-book" aria-hidden="true"></div><p>{both("results.empty")}</p></div>'
COUNTER = (
    f'<p class="counter" data-limit="{MAX_SYNOPSIS_CHARACTERS}"'
    f' data-beginning="{control("prefix").max_characters}"><span class="count">0</span> / '
    f'{MAX_SYNOPSIS_CHARACTERS:,} <span class="over" role="alert" hidden>{both("too_long")}</span></p>'
)
SHELF = (
    f'<p class="hint">{both("shelf.private")}</p>'
    f'<div class="shelf-head"><h3>{both("shelf.favourites")}</h3>'
    f'<button type="button" class="act" data-act="csv">{both("shelf.csv")}</button></div>'
    f'<ol class="cards" id="favourites" data-none="1"></ol><p class="none">{both("shelf.none")}</p>'
    f'<h3>{both("shelf.history")}</h3><ol class="cards" id="history"></ol><p class="none">{both("shelf.none")}</p>'
)
ABOUT_COMPARE = f'<p class="hint">{both("compare.about")}</p>'


def about_batch(limit: int) -> str:
    """Return what the batch tab takes."""
    return f'<p class="hint">{both("batch.about", limit=limit)}</p>'


ON_RESULTS = "titlegen.watchResults(element, trigger, watch)"
RESTORE = "(mode, synopsis, beginning) => titlegen.restore(mode, synopsis, beginning)"
AFTER_OPENING = "() => titlegen.afterOpening()"
AS_MANY_BEAMS = "(titles, beams) => Math.max(titles, beams)"  # beam search returns at most one title for each beam
