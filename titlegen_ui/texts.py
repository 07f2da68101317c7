"""Every sentence of the page in Japanese and English.

Component texts go through Gradio's i18n (`t(key)`, by the browser's language). HTML that the server renders carries
both languages (`both(key)`) and the style sheet shows the one that `<html lang>` names, which Gradio sets.
"""

import html

import gradio as gr

from titlegen.presets import PRESETS
from titlegen.settings import MAX_SYNOPSIS_CHARACTERS, SettingsError, controls

NAME = "題名工房"

_TEXTS: dict[str, tuple[str, str]] = {
    "tagline": (
        "あらすじを入れると、Web小説ふうのタイトルを考えます。",
        "Paste the synopsis of a web novel, get Japanese titles for it.",
    ),
    "tab.write": ("書く", "Write"),
    "tab.compare": ("くらべる", "Compare"),
    "tab.batch": ("まとめて", "Many at once"),
    "tab.shelf": ("本棚", "Bookshelf"),
    "tab.model": ("モデル", "Model"),
    "mode": ("何から作りますか", "Start from"),
    "mode.synopsis": ("あらすじからタイトル", "A synopsis"),
    "mode.continue": ("このタイトルを続ける", "The beginning of a title"),
    "synopsis": ("あらすじ", "Synopsis"),
    "synopsis.placeholder": (
        "どんな物語ですか？　短くても大丈夫です。",
        "What is the story? A few sentences in Japanese.",
    ),
    "write": ("タイトルを考える", "Write titles"),
    "stop": ("ここで止める", "Stop here"),
    "preset": ("気分", "Mood"),
    "details": ("詳しい設定", "All settings"),
    "dice": ("さいころを振る", "Roll the dice"),
    "reset": ("初期値に戻す", "Back to defaults"),
    "examples": ("例からはじめる", "Start from an example"),
    "examples.continue": ("続きの例", "Examples"),
    "results": ("できたタイトル", "Titles"),
    "results.empty": ("ここにタイトルが並びます。", "Your titles will appear here."),
    "compare.write": ("四つの気分でくらべる", "Compare four moods"),
    "compare.about": (
        "「書く」のあらすじを、気分の違う四つの書き方で同時に見くらべます。",
        "The same synopsis from the Write tab, in four moods side by side.",
    ),
    "loading": (
        "モデルを読み込んでいます。もう少しだけお待ちください（書きはじめてもかまいません）。",
        "The model is still loading. You can already write; titles come as soon as it is ready.",
    ),
    "writing": ("書いています…", "Writing…"),
    "reading": ("あらすじを読んでいます…", "Reading the synopsis…"),
    "waiting": (
        "ほかの人のタイトルを書いています。順番が来るまでお待ちください。",
        "Other visitors' titles are being written; yours come in turn.",
    ),
    "searching": ("候補を並べて探しています…", "Searching among candidates…"),
    "stopped": ("止めました。書きかけは「…」で終わっています。", "Stopped. Unfinished titles end with “…”."),
    "stopped.nothing": ("止めました。まだ一つも書けていません。", "Stopped before a title was begun."),
    "nothing": (
        "条件に合うタイトルが見つかりませんでした。使わない言葉や長さをゆるめて、もう一度お試しください。",
        "No title met the conditions. Relax the forbidden words or the length and try again.",
    ),
    "fewer": (
        "同じ題を除いたので、{n}個になりました。",
        "Equal titles were dropped, so there are {n}.",
    ),
    "failed": (
        "うまく書けませんでした。少し待ってから、もう一度押してください。",
        "Something went wrong while writing. Wait a moment and press the button again.",
    ),
    "no_model": (
        "モデルを読み込めませんでした。管理者は MODEL_ID と起動時の記録を確かめてください。",
        "The model could not be loaded. If this is your server, check MODEL_ID and the log.",
    ),
    "copy": ("コピー", "Copy"),
    "copied": ("コピーしました", "Copied"),
    "favourite": ("お気に入り", "Favourite"),
    "continue": ("これを続ける", "Continue it"),
    "why": ("なぜ？", "Why?"),
    "score": ("自信", "Confidence"),
    "characters": ("{n}字", "{n} characters"),
    "novel": ("新しい題", "New"),
    "near": ("似た題あり", "Similar title known"),
    "copy_of": ("既にある題に近い", "Near-copy"),
    "nearest": ("いちばん近い学習データの題", "Nearest training title"),
    "share": ("同じタイトルをもう一度出す", "Get the same titles again"),
    "share.link": ("リンクをコピー", "Copy link"),
    "share.python": ("Pythonでコピー", "Copy as Python"),
    "share.curl": ("curlでコピー", "Copy as curl"),
    "link.other": (
        "このリンクは別の版のモデルで作られたものです。同じタイトルにならないことがあります。",
        "This link was made with another revision of the model; the titles may differ.",
    ),
    "why.title": ("この題が生まれたわけ", "How this title came about"),
    "why.about": (
        "濃い言葉ほど迷わず選ばれました。言葉を選ぶと、そのときモデルがあらすじのどこを見ていたかが光ります。∎は題の終わりです。",
        "The darker a word, the surer the model was. Choose a word to see where in the synopsis it was looking. ∎ is the end of the title.",
    ),
    "why.synopsis": ("あらすじのどこを見たか", "Where it looked"),
    "why.no_synopsis": ("あらすじなしで書いた題です。", "This title was written without a synopsis."),
    "why.likely": ("ほかの候補", "Other candidates"),
    "batch.about": (
        "CSV か JSON Lines（列 synopsis または story）を入れると、タイトルを付けて返します。一度に{limit}行まで。設定は「書く」タブのものを使います。",
        "Upload CSV or JSON Lines with a column synopsis (or story) and get it back with titles. At most {limit} rows; the settings are those of the Write tab.",
    ),
    "batch.file": ("あらすじのファイル", "File of synopses"),
    "batch.write": ("まとめて考える", "Write titles for all"),
    "batch.result": ("できあがったファイル", "Finished file"),
    "batch.progress": ("{total}行のうち{done}行できました", "{done} of {total} rows done"),
    "batch.done": ("{total}行すべてにタイトルが付きました。", "All {total} rows have titles."),
    "batch.stopped": (
        "{done}行で止めました。そこまでのファイルを受け取れます。",
        "Stopped after {done} rows; the file holds those.",
    ),
    "shelf.favourites": ("お気に入り", "Favourites"),
    "shelf.history": ("今日の履歴", "This session"),
    "shelf.none": ("まだありません。", "Nothing here yet."),
    "shelf.csv": ("CSVで保存", "Save as CSV"),
    "shelf.remove": ("外す", "Remove"),
    "shelf.open": ("もう一度開く", "Open again"),
    "shelf.private": (
        "お気に入りと履歴は、あなたのブラウザの中だけに保存されます。",
        "Favourites and history are kept in your browser only.",
    ),
    "model.name": ("モデル", "Model"),
    "model.revision": ("版", "Revision"),
    "model.parameters": ("パラメータ数", "Parameters"),
    "model.reads": ("読む長さ", "Reads"),
    "model.tokens": ("先頭{n}トークンまで", "the first {n} tokens"),
    "model.links": ("リンク", "Links"),
    "model.page": ("モデルのページ", "The model's page"),
    "model.source": ("この画面のソース", "Source of this page"),
    "model.site": ("小説家になろう", "小説家になろう"),
    "model.known": ("照らし合わせる題", "Titles compared with"),
    "model.trained": ("学習した組", "Training pairs"),
    "model.metrics": ("成績（テスト用の組で）", "Scores on held-out pairs"),
    "model.metric": ("指標", "Metric"),
    "model.copies": ("学習した題と同じもの", "copies"),
    "model.model": ("このモデル", "This model"),
    "model.baseline": ("あらすじの最初の文", "First sentence of the synopsis"),
    "model.curve": ("学習曲線（損失）", "Training curve (loss)"),
    "model.train_loss": ("学習", "training"),
    "model.eval_loss": ("検証", "validation"),
    "model.limits": ("知っておいてほしいこと", "Limits"),
    "model.limits.text": (
        "小さなモデルです。固有名詞を取り違えたり、あらすじと食い違う題を書いたりします。既にある作品と同じ題になることもあるので、使う前に検索してください。",
        "This is a small model. It mixes up names and may contradict the synopsis. A title may already exist: search before you use one.",
    ),
    "model.load": ("四行で使う", "Use it in four lines"),
    "model.api": ("プログラムから", "For programs"),
    "model.api.text": (
        "ページのいちばん下の「API」に Python・JavaScript・curl の例があります。MCP に対応したアシスタントからは次の住所でつながります。",
        "The API link at the foot of the page has Python, JavaScript and curl examples. MCP assistants connect here:",
    ),
    "too_long": ("長すぎます。短くしてください。", "Too long: please shorten it."),
    "lost": (
        "サーバーとのつながりが切れました。入力は残っています。少し待って、もう一度押してください。",
        "The connection to the server was lost. Your text is safe: wait a moment and press the button again.",
    ),
    "file_large": (
        "ファイルが大きすぎます。分けてください。",
        "This file is too large: split it.",
    ),
    "file_kind": (
        "読めない種類のファイルです。CSV か JSON Lines（.jsonl）にしてください。",
        "This is not a kind of file that can be read: give CSV or JSON Lines (.jsonl).",
    ),
    "queue_full": (
        "ただいま混み合っています。一分ほど待って、もう一度押してください。",
        "Too many visitors at the moment. Please try again in a minute.",
    ),
}

LANGUAGES = ("ja", "en")
LIMITS = {"synopsis": MAX_SYNOPSIS_CHARACTERS}


def _catalogue(language: str) -> dict[str, str]:
    position = LANGUAGES.index(language)
    texts = {key: pair[position] for key, pair in _TEXTS.items()}
    for name, control in controls().items():
        texts[f"{name}.label"], texts[f"{name}.help"] = control.label[language], control.help[language]
        texts |= {f"{name}.{choice}": label[language] for choice, label in control.choice_labels.items()}
    return texts | {f"preset.{name}": preset.label[language] for name, preset in PRESETS.items()}


CATALOGUES = {language: _catalogue(language) for language in LANGUAGES}
I18N = gr.I18n(**CATALOGUES)
t = I18N  # t("write") marks a component's text for translation in the browser


def both(key: str, **values: object) -> str:
    """Return the text as HTML in both languages, escaped; the style sheet shows one of them."""
    return spans({language: CATALOGUES[language][key].format(**values) for language in LANGUAGES})


def spans(messages: dict[str, str]) -> str:
    """Return {"ja": ..., "en": ...} as HTML in both languages."""
    return "".join(f'<span class="in-{lang}" lang="{lang}">{html.escape(messages[lang])}</span>' for lang in LANGUAGES)


def problem(error: Exception) -> str:
    """Return what went wrong as one sentence in both languages, as HTML; never a traceback."""
    return spans(error.messages) if isinstance(error, SettingsError) else both("failed")
