"""GenerationSettings: every control of title generation, once.

A control's bounds, default, label and help stand here and nowhere else. The pipeline checks them, the page draws its
sliders from them, the API takes them as keyword arguments, the documentation lists them.

This module travels with a published model.
"""

import dataclasses
import difflib
from dataclasses import dataclass, fields
from typing import Any

from .control import ALL, BEAM, SAMPLING, Control, SettingsError, checked, define
from .text import fold, normalise

MAX_SYNOPSIS_CHARACTERS = 4000  # 小説家になろう allows 1,000; more than this never reaches the model's 512 positions
LENGTHS = {"any": (0, 100), "short": (2, 12), "medium": (13, 30), "long": (35, 100)}  # characters


@dataclass(frozen=True)
class GenerationSettings:
    """How titles are written. Checked at construction: every instance is usable.

    >>> GenerationSettings(method="sample", temperature=1.2, seed=7)

    Raises:
        SettingsError: names the setting, what is wrong with it and what to do.
    """

    method: str = define(
        "beam", "書き方", "Method",
        "確実＝もっともらしい題を探す。ひらめき＝くじを引くように選ぶ。多彩＝たくさん引いて似たものを除く。",
        "beam searches for the likeliest titles; sample draws them; diverse draws many and keeps those that differ.",
        choices=ALL,
        choice_labels={
            "beam": {"ja": "確実", "en": "Safe"},
            "sample": {"ja": "ひらめき", "en": "Inspired"},
            "diverse": {"ja": "多彩", "en": "Varied"},
        },
    )  # fmt: skip
    num_titles: int = define(
        5, "タイトルの数", "Number of titles", "一度に作る題の数。", "How many titles to write.",
        minimum=1, maximum=20, step=1,
    )  # fmt: skip
    length: str = define(
        "any", "長さ", "Length",
        "短い＝2〜12字、普通＝13〜30字、長い＝35字以上。「おまかせ」は物語に合わせる。",
        "short is 2-12 characters, medium 13-30, long 35 or more; any lets the story decide.",
        choices=tuple(LENGTHS),
        choice_labels={
            "any": {"ja": "おまかせ", "en": "Any"},
            "short": {"ja": "短い", "en": "Short"},
            "medium": {"ja": "普通", "en": "Medium"},
            "long": {"ja": "長い", "en": "Long"},
        },
    )  # fmt: skip
    prefix: str = define(
        "", "書き出し", "Beginning",
        "題はこの文字で始まる。続きを考えてほしいときに。", "Every title begins with this text.",
        max_characters=60,
    )  # fmt: skip
    forbidden_words: str = define(
        "", "使わない言葉", "Forbidden words",
        "題に出てほしくない言葉。読点・コンマ・空白で区切る。",
        "Words that must not appear in a title, separated by commas or spaces.",
        max_characters=200,
    )  # fmt: skip
    guidance: float = define(
        0.3, "あらすじへの忠実さ", "Faithfulness",
        "大きいほど、あらすじにある言葉や内容に寄せる。0は寄せない。", "Higher keeps closer to what the synopsis says; 0 adds nothing.",
        minimum=0.0, maximum=2.0, step=0.1,
    )  # fmt: skip
    known_words: bool = define(
        True, "知らない言葉を作らない", "Known words only",
        "珍しい名前や数は、あらすじか書き出しにあるものだけを使う。",
        "Rare words such as names, and numbers, are those of the synopsis or the beginning.",
    )  # fmt: skip
    seed: int = define(
        0, "シード", "Seed",
        "同じ数なら同じ題になる。変えると別の題になる。", "The same number draws the same titles again.",
        methods=SAMPLING, minimum=0, maximum=2**31 - 1, step=1,
    )  # fmt: skip
    num_beams: int = define(
        10, "ビーム数", "Beams",
        "並べて比べる候補の数。多いほど違う題がそろい、遅くなる。",
        "Candidates kept side by side: more is slower, and gives titles that differ more.",
        methods=BEAM, minimum=1, maximum=20, step=1,
    )  # fmt: skip
    length_penalty: float = define(
        1.0, "長さの好み", "Length penalty",
        "大きくすると長い題、小さくすると短い題を選びやすい。", "Higher prefers longer titles, lower prefers shorter ones.",
        methods=BEAM, minimum=-2.0, maximum=3.0, step=0.1,
    )  # fmt: skip
    early_stopping: bool = define(
        True, "早めに終える", "Early stopping",
        "必要な数がそろったところで探索をやめる。", "Stop as soon as enough titles are complete.",
        methods=BEAM,
    )  # fmt: skip
    temperature: float = define(
        0.7, "温度", "Temperature",
        "高いほど意外な言葉が出る。低いほど手堅い。", "Higher is more surprising, lower is safer.",
        methods=SAMPLING, minimum=0.1, maximum=2.0, step=0.05,
    )  # fmt: skip
    top_k: int = define(
        0, "top-k", "Top-k",
        "上位いくつの言葉から選ぶか。0は制限なし。", "Draw from this many likeliest tokens; 0 is no limit.",
        methods=SAMPLING, minimum=0, maximum=200, step=1,
    )  # fmt: skip
    top_p: float = define(
        0.9, "top-p", "Top-p",
        "確率の合計がこの値になるまでの言葉から選ぶ。1は制限なし。",
        "Draw from the likeliest tokens that together reach this probability; 1 is no limit.",
        methods=SAMPLING, minimum=0.05, maximum=1.0, step=0.05,
    )  # fmt: skip
    min_p: float = define(
        0.0, "min-p", "Min-p",
        "一番の言葉のこの割合に届かない言葉を除く。0は除かない。",
        "Drop tokens below this share of the likeliest one; 0 drops none.",
        methods=SAMPLING, minimum=0.0, maximum=0.5, step=0.01,
    )  # fmt: skip
    typical_p: float = define(
        1.0, "typical-p", "Typical-p",
        "「ほどよい意外さ」の言葉に絞る。1は絞らない。", "Keep tokens of typical surprise; 1 keeps all.",
        methods=SAMPLING, minimum=0.05, maximum=1.0, step=0.05,
    )  # fmt: skip
    repetition_penalty: float = define(
        1.5, "くり返しの抑制", "Repetition penalty",
        "1より大きいと、一度出た言葉が出にくくなる。", "Above 1, tokens already used become less likely.",
        minimum=1.0, maximum=2.0, step=0.05,
    )  # fmt: skip
    no_repeat_ngram_size: int = define(
        2, "同じ並びの禁止", "No-repeat n-gram",
        "この長さの言葉の並びは二度使わない。0は禁止しない。", "No run of this many tokens appears twice; 0 allows it.",
        minimum=0, maximum=10, step=1,
    )  # fmt: skip
    repeat_words: bool = define(
        False, "同じ言葉をくり返してよい", "Repeat words",
        "オフだと、漢字やカタカナの言葉は一つの題に一度だけ出る。",
        "Off, a word in kanji or katakana stands once in a title.",
    )  # fmt: skip
    min_length: int = define(
        2, "最短の文字数", "Shortest (characters)", "題はこの字数以上になる。", "Titles have at least this many characters.",
        minimum=1, maximum=100, step=1,
    )  # fmt: skip
    max_length: int = define(
        100, "最長の文字数", "Longest (characters)",
        "題はこの字数以下になる。小説家になろうの上限は100字。",
        "Titles have at most this many characters; 小説家になろう allows 100.",
        minimum=1, maximum=100, step=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, checked(f.name, getattr(self, f.name), type(f.default), control(f.name)))
        self._check_combinations()

    def _check_combinations(self) -> None:
        low, high = self.character_range
        least, most = self._bounds_named()
        if low > high:
            raise SettingsError(
                f"{least[0]} asks for {low} characters, {most[0]} allows {high}: change one of them.",
                f"「{least[1]}」では{low}字以上、「{most[1]}」では{high}字以下です。どちらかを変えてください。",
            )
        if len(self.prefix) >= high:
            raise SettingsError(
                f"prefix has {len(self.prefix)} characters, but {most[0]} allows {high}: shorten it or change {most[0]}.",
                f"書き出しが{len(self.prefix)}字あり、「{most[1]}」の{high}字に収まりません。書き出しを短くするか、"
                f"「{most[1]}」を変えてください。",
            )
        if word := next((word for word in self.forbidden if word in fold(self.prefix)), None):
            raise SettingsError(
                f"prefix contains the forbidden word {word!r}: change one of them.",
                f"書き出しに、使わない言葉「{word}」が入っています。どちらかを変えてください。",
            )
        if self.method == "beam" and self.num_titles > self.num_beams:
            raise SettingsError(
                f"num_titles {self.num_titles} is more than num_beams {self.num_beams}: beam search returns at most one "
                "title for each beam, so raise num_beams or lower num_titles.",
                f"タイトルの数（{self.num_titles}）はビーム数（{self.num_beams}）以下にしてください。",
            )

    def _bounds_named(self) -> list[tuple[str, str]]:
        """Return which setting bounds the title below and which above, each with its Japanese label."""
        low, high = LENGTHS[self.length]
        names = (
            "length" if low > self.min_length else "min_length",
            "length" if high < self.max_length else "max_length",
        )
        return [(name, control(name).label["ja"]) for name in names]

    @property
    def character_range(self) -> tuple[int, int]:
        """Shortest and longest title allowed, in characters, from `length`, `min_length` and `max_length` together."""
        low, high = LENGTHS[self.length]
        return max(low, self.min_length), min(high, self.max_length)

    @property
    def forbidden(self) -> tuple[str, ...]:
        """The forbidden words, one by one, each sign in one width."""
        return tuple(dict.fromkeys(fold(self.forbidden_words).replace("、", " ").replace(",", " ").split()))

    @property
    def candidates(self) -> int:
        """Titles written for each synopsis: `diverse` and beam search write more than they return, to choose from."""
        return {"beam": self.num_beams, "diverse": min(40, 4 * self.num_titles)}.get(self.method, self.num_titles)

    def generate_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments for `model.generate`; lengths and words are kept by the constraints instead."""
        common = {
            "num_return_sequences": self.candidates,
            "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
        }
        if self.method == "beam" and self.num_beams > 1:
            names = ("num_beams", "length_penalty", "early_stopping")
            return common | {"do_sample": False} | {name: getattr(self, name) for name in names}
        # What belongs to beams is named all the same: a model's generation_config may set it, and generate() would warn.
        common |= {"num_beams": 1, "early_stopping": False, "length_penalty": 1.0}
        if self.method == "beam":
            return common | {"do_sample": False}
        names = ("temperature", "top_k", "top_p", "typical_p")
        kwargs = common | {"do_sample": True} | {name: getattr(self, name) for name in names}
        return kwargs | ({"min_p": self.min_p} if self.min_p else {})

    def cost(self, inputs: int = 1) -> int:
        """Return the decoder work for `inputs` synopses, in sequence-steps: one place for limits and time estimates."""
        return inputs * self.candidates * self.character_range[1]

    def replace(self, **changes: Any) -> "GenerationSettings":
        """Return a copy with `changes`, checked again."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GenerationSettings":
        """Build settings from named values.

        Raises:
            SettingsError: names an unknown setting and the nearest known one.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known settings are {', '.join(known)}."
                raise SettingsError(f"Unknown setting {name!r}: {hint}")
        return cls(**values)


def check_synopsis(synopsis: Any, settings: GenerationSettings) -> None:
    """Refuse what cannot be read: not text, nothing to go on, or far too long.

    Raises:
        SettingsError: one sentence, in both languages.
    """
    if not isinstance(synopsis, str):
        raise SettingsError(
            f"A synopsis must be text, but is {type(synopsis).__name__}.", "あらすじは文字で入れてください。"
        )
    if len(synopsis) <= MAX_SYNOPSIS_CHARACTERS and not normalise(synopsis) and not normalise(settings.prefix):
        raise SettingsError(
            "The synopsis is empty: write one, or give the beginning of a title to continue.",
            "あらすじが空です。あらすじを書くか、続けたい題の書き出しを入れてください。",
        )
    if len(synopsis) > MAX_SYNOPSIS_CHARACTERS:
        raise SettingsError(
            f"The synopsis has {len(synopsis):,} characters; shorten it to {MAX_SYNOPSIS_CHARACTERS:,}.",
            f"あらすじが{len(synopsis):,}字あります。{MAX_SYNOPSIS_CHARACTERS:,}字までにしてください。",
        )


def control(name: str) -> Control:
    """Return the `Control` of the setting called `name`."""
    return GenerationSettings.__dataclass_fields__[name].metadata["control"]


def controls() -> dict[str, Control]:
    """Return every setting's `Control` by name, in the order of the fields."""
    return {f.name: control(f.name) for f in fields(GenerationSettings)}
