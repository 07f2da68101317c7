import json

import pytest
from conftest import run_python

from training.clean import Dropped, Pair, clean_pair, main
from training.clean_rows import BATCH, clean_rows
from training.cleaning_report import CleaningReport
from training.cleaning_rules import CleaningRules, RulesError
from training.data import DataError

RULES = CleaningRules.load()
STORY = "灯台守のマリは、霧の夜に届いた手紙を読んで海へ出た。\n帰りを待つ者はもういない。"


def title(text):
    return clean_pair(text, STORY, RULES).title


def synopsis(text):
    return clean_pair("灯台守の手紙", text, RULES).synopsis


@pytest.mark.parametrize(
    "notice",
    [
        "【書籍化】", "【書籍化＆コミカライズ決定！】", "【6/10書籍２巻発売】", "【連載版】", "【完結済】", "（改訂版）",
        "【コミカライズ連載中】", "【第二部完結】", "［Web版］", "【累計100万ＰＶ感謝】", "（旧題：海へ）", "【第３回海の小説大賞受賞】",
        "★50.0万PV達成",
    ],
)  # fmt: skip
def test_notices_leave_a_title(notice):
    assert title(f"灯台守の手紙{notice}") == "灯台守の手紙"
    if "★" not in notice:
        assert title(f"{notice} 灯台守の手紙") == "灯台守の手紙"


@pytest.mark.parametrize(
    "text",
    [
        "【悲報】灯台守、クビになる", "【鑑定】しか使えない灯台守", "完結しない灯台守の日記", "配信者マリのダンジョン灯台巡り",
        "毎日更新される灯台の掲示板", "（自称）最弱の灯台守", "書籍化された灯台守の妻", "連載小説家と灯台守", "灯台守〜海のむこう〜",
        "ランキング一位の灯台守ですが、なにか？", "《灯火》の継承者",
    ],
)  # fmt: skip
def test_words_of_a_title_stay(text):
    assert title(text) == text


@pytest.mark.parametrize(
    "notice",
    [
        "※カクヨムにも掲載しています。", "書籍化が決定しました！　ありがとうございます！", "毎日１８時に更新します。",
        "https://example.com/n1234", "他サイトにも投稿しています。", "感想や評価をいただけると励みになります。",
        "２０２４年６月１０日、日間総合ランキング３位ありがとうございます！", "無断転載を禁止します。", "R15は保険です。", "本編完結済み。",
        "【コミカライズ連載中】", "初投稿です。拙い文章ですがよろしくお願いします。", "コミックス３巻、好評発売中です。",
        "この作品はフィクションです。実在の人物とは関係ありません。", "＊アルファポリスにも掲載中", "ご都合主義のゆるふわ設定です。",
        "誤字報告ありがとうございます。", "短編版を加筆した連載版です。",
    ],
)  # fmt: skip
def test_notices_leave_a_synopsis_wherever_they_stand(notice):
    assert synopsis(f"{STORY}\n\n{notice}") == STORY
    assert synopsis(f"{notice}\n\n{STORY}") == STORY


@pytest.mark.parametrize(
    "line",
    [
        "「書籍化が決定しました！」と編集者は叫んだ。",
        "「ありがとうございます、よろしくお願いします」",
        "人気配信者の彼女は、毎晩ダンジョンから生配信をしている。",
        "小説家の父は、連載を抱えたまま姿を消した。",
        "評価されない灯台守に、感謝する者はいなかった。",
        "港町に新しい遊具が発売されると、子どもたちは列をなした。",
        "彼は婚約者に予定を取り消された。",
        "失業保険で食いつなぐ日々を送っていた。",
        "魔法の発動条件（※本人は知らない）を満たし、灯台は光った。",
    ],
)
def test_sentences_of_a_story_stay(line):
    assert synopsis(f"{STORY}\n{line}") == f"{STORY}\n{line}"


def test_what_was_taken_is_recorded_with_its_rule():
    pair = clean_pair("【書籍化】灯台守", f"{STORY}\n※カクヨムにも掲載。", RULES)
    assert [(r.where, r.rule, r.text) for r in pair.removed] == [
        ("title", "title_notice", "【書籍化】"),
        ("synopsis", "note", "※カクヨムにも掲載。"),
    ]


def test_html_is_unescaped_once_and_control_characters_go():
    pair = clean_pair("A&amp;lt;B&quot;灯台\u202e守\ue000&quot;", STORY.replace("\n", "\r\n"), RULES)
    assert pair == Pair('A&lt;B"灯台守"', STORY)


@pytest.mark.parametrize(
    ("title_text", "text", "reason"),
    [
        ("", STORY, "empty_title"),
        ("灯台", " \n", "empty_synopsis"),
        ("【書籍化】", STORY, "title_only_notices"),
        ("！？", STORY, "title_without_words"),
        ("灯台", "※カクヨムにも掲載しています。", "synopsis_only_notices"),
        ("灯台", "灯台のお話。", "synopsis_too_short"),
        ("灯" * 101, STORY, "title_too_long"),
        ("灯台", STORY * 200, "synopsis_too_long"),
        ("灯塔看守人的信", "灯塔看守人马丽在雾夜读了一封来信，然后出海，没有人等她回来。", "not_japanese"),
        ("The keeper", "She read the letter in the fog and put out to sea at night.", "not_japanese"),
    ],
)
def test_rows_that_cannot_be_used_have_a_named_reason(title_text, text, reason):
    result = clean_pair(title_text, text, RULES)
    assert isinstance(result, Dropped) and result.reason == reason


def test_cleaning_twice_changes_nothing_more():
    once = clean_pair("【書籍化】灯台守〜海〜", f"{STORY}\n\n毎日更新。\n応援よろしくお願いします！", RULES)
    again = clean_pair(once.title, once.synopsis, RULES)
    assert (again.title, again.synopsis, again.removed) == (once.title, once.synopsis, ())


def test_rules_are_extended_replaced_and_switched_off(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "rules:\n"
        "  sponsor: {kind: sentence, where: synopsis, patterns: ['提供:']}\n"
        "  note: {patterns: []}\n"
        "limits: {min_synopsis_characters: 60}\n",
        encoding="utf-8",
    )
    rules = CleaningRules.load(mine)
    text = f"{STORY}\n提供：灯台組合\n※灯台の話。"
    assert clean_pair("灯台守", text, rules) == Dropped("synopsis_too_short", clean_pair("灯台守", text, rules).removed)
    assert clean_pair("灯台守", text + STORY, rules).synopsis == f"{STORY}\n※灯台の話。{STORY}"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("rules: [", "not YAML"),
        ("- a", "has the keys limits, macros and rules"),
        ("rules: {x: {kind: magic, patterns: [a]}}", "rule x: kind is one of"),
        ("rules: {x: {kind: span, patterns: ['(']}}", "not a regular expression"),
        ("rules: {x: {kind: span, where: [footer], patterns: [a]}}", "where is title, synopsis or both"),
        ("limits: {max_words: 3}", "no limit max_words"),
    ],
)
def test_wrong_rules_are_named(tmp_path, content, word):
    (tmp_path / "r.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(RulesError, match=word) as error:
        CleaningRules.load(tmp_path / "r.yaml")
    assert "r.yaml" in str(error.value)


def test_many_rows_over_several_processes_keep_their_order():
    rows = [{"title": f"灯台守の{i}", "synopsis": f"{STORY}{i}"} for i in range(5 * BATCH)]
    batches = list(clean_rows(rows, workers=2))
    assert [row["title"] for batch in batches for row in batch.rows] == [row["title"] for row in rows]
    assert sum(len(batch.signatures) for batch in batches) == len(rows)
    report = CleaningReport()
    for batch in batches:
        report.add(batch.report)
    assert (report.rows_in, report.rows_out) == (len(rows), len(rows))


def test_the_command_cleans_a_table_with_other_columns(tmp_path):
    table = tmp_path / "articles.csv"
    table.write_text(
        "head,body\n"
        "灯台に新しい灯,港の灯台に新しい灯がともり、町の人びとが集まって祝った。\n"
        "お知らせ,※カクヨムにも掲載しています。\n",
        encoding="utf-8",
    )
    columns = ("--title_column", "head", "--synopsis_column", "body")
    run_python("training/clean.py", "--input", table, *columns, "--out", tmp_path / "out")
    lines = (tmp_path / "out" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["灯台に新しい灯"]
    facts = json.loads((tmp_path / "out" / "cleaning.json").read_text(encoding="utf-8"))
    assert (facts["rows_in"], facts["rows_out"]) == (2, 1)
    assert facts["dropped"][0]["reason"] == "synopsis_only_notices" and facts["dropped_examples"]
    assert "synopsis_only_notices: 1" in (tmp_path / "out" / "cleaning.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "lengths.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError, match="no column 'title'; it has head, body"):
        main(["--input", str(table), "--out", str(tmp_path / "out")])
    assert (tmp_path / "out" / "pairs.jsonl").read_text(encoding="utf-8").splitlines() == lines
    with pytest.raises(FileExistsError, match="not written by this command"):
        main(["--input", str(table), *columns, "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [a]", "hold lines"),
        ("limits: 5", "hold lines"),
        ("limits: {min_kana_share: abc}", "is a number"),
        ("rules: {x: 5}", "a rule has kind"),
        ("rules: {x: {kind: notice, paterns: [a]}}", "a rule has kind"),
        ("rules: {x: {kind: notice, patterns: ['']}}", "empty pattern"),
    ],
)
def test_a_rules_file_of_another_shape_is_refused(tmp_path, text, words):
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RulesError, match=words):
        CleaningRules.load(tmp_path / "rules.yaml")
