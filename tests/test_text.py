import json

import pytest
from conftest import PAIRS, ROOT

from titlegen.text import SPACE_TOKEN, canonical, codec_for, flatten_synopsis, normalise
from training.data import read_json_lines
from training.tokenizer import load_tokenizer

TITLES = [
    "ウマ娘 プリティーダービー 優勝馬に転生したので…",
    "【悲報】勇者の俺、村の犬に負ける！？",
    "Re:2 から始める Online Game 攻略～最弱の弓使い～",
    "「もう遅い」と言われましても……（泣）",
    "Lv.99の『おつかい』、今日も届けます",
]


@pytest.mark.parametrize("title", TITLES)
def test_a_title_comes_back_as_it_was_written(tokenizer, title):
    codec = codec_for(tokenizer)
    assert codec.decode(codec.encode(title)) == title


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("ＡＢＣ　１２３！", "ABC 123!"),
        ("俺は強い!?", "俺は強い！？"),
        ("勇者〜旅立ち~", "勇者～旅立ち～"),
        ("&quot;魔王&quot;&amp;俺", '"魔王"&俺'),
        ("ｽﾗｲﾑ...転生\u202e\u200b", "スライム…転生"),
        ("一\t\n二\x00三", "一 二 三"),
    ],
)
def test_width_normalisation_is_what_the_documentation_says(written, kept):
    assert canonical(written) == kept
    assert canonical(kept) == kept


def test_html_is_unescaped_once():
    assert normalise("&amp;lt;") == "&lt;"


def test_a_synopsis_loses_line_breaks_only_after_sentence_ends():
    assert flatten_synopsis("終わり。\n\n「始まり」\n次\n行") == "終わり。「始まり」次 行"


def test_an_unknown_character_takes_nothing_else_with_it(tokenizer):
    codec = codec_for(tokenizer)
    ids = codec.encode("勇者𝄞の剣")
    assert codec.unk_id in ids
    assert codec.decode(ids) == "勇者の剣"


def test_the_codec_cuts_as_the_tokenizer_does_where_that_knows_the_word(tokenizer):
    codec = codec_for(tokenizer)
    same = 0
    for row in list(read_json_lines(PAIRS))[:200]:
        plain = tokenizer(normalise(row["title"]).replace(" ", SPACE_TOKEN), add_special_tokens=False)["input_ids"]
        if codec.unk_id not in plain:
            assert codec.encode(row["title"]) == plain
            same += 1
    assert same > 190


def test_golden_ids():
    """A tokenizer read back from disk cuts and numbers words as it did when these ids were written down."""
    golden = json.loads((ROOT / "tests/golden_ids.json").read_text(encoding="utf-8"))
    codec = codec_for(load_tokenizer(str(ROOT / "models/demo")))
    assert codec.tokenizer.init_kwargs["mecab_kwargs"] == {"mecab_dic": "unidic_lite"}
    for text, ids in golden.items():
        assert codec.encode(text) == ids, text


def test_limits_keep_the_closing_tokens(tokenizer):
    codec = codec_for(tokenizer)
    source = codec.encode_synopsis("長い話。" * 100, 16)
    assert len(source) == 16 and source[0] == tokenizer.cls_token_id and source[-1] == tokenizer.sep_token_id
    assert codec.encode_title("長い題" * 100, 8)[-1] == tokenizer.sep_token_id


def test_surfaces_add_up_to_the_title(tokenizer):
    codec = codec_for(tokenizer)
    surfaces = codec.surfaces(len(tokenizer) + 3)
    assert len(surfaces) == len(tokenizer) + 3
    assert "".join(surfaces[i] for i in codec.encode("ウマ娘 の勇者")) == "ウマ娘 の勇者"
