import time

import pytest
from conftest import run_python

from titlegen.novelty import FILE_NAME, KnownTitles, known_titles
from titlegen.selection import similarity

TITLES = ["追放された薬師は辺境で猫と暮らす", "悪役令嬢ですが、パン屋を開きます！", "灯台守の花嫁"]


@pytest.fixture(scope="module")
def index():
    return KnownTitles(TITLES)


def test_the_same_title_is_a_copy_whatever_the_width_of_its_letters(index):
    assert index.mark("悪役令嬢ですが､パン屋を開きます!") == {
        "nearest": "悪役令嬢ですが、パン屋を開きます！", "similarity": 1.0, "verdict": "copy",
    }  # fmt: skip


def test_a_changed_word_is_near_and_another_story_is_new(index):
    near = index.mark("追放された薬師は王都で犬と暮らす")
    assert near["nearest"] == TITLES[0] and near["verdict"] == "near" and 0.5 <= near["similarity"] < 0.8
    assert index.mark("銀河鉄道の運転士") == {"nearest": "", "similarity": 0.0, "verdict": "new"}


def test_the_nearest_title_is_the_one_that_comparing_with_all_finds():
    titles = [
        f"第{i}話 {word}の{other}" for i, (word, other) in enumerate((a, b) for a in "猫竜姫剣" for b in "森海空町")
    ]
    index = KnownTitles(titles)
    for title in ("竜の町", "第3話", "姫の空へ", "猫"):
        assert index.nearest(title)[1] == pytest.approx(max(similarity(title, t) for t in titles), abs=1e-3)


def test_a_one_character_title_can_be_compared(index):
    assert KnownTitles(["私", "猫"]).mark("猫")["similarity"] == 1.0
    assert index.mark("")["verdict"] == "new"


def test_the_index_survives_its_file_and_a_model_without_one_has_none(index, tmp_path):
    index.save(tmp_path / FILE_NAME)
    assert known_titles(tmp_path).titles == sorted(TITLES)
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]
    (tmp_path / "other").mkdir()
    assert known_titles(tmp_path / "other") is None


def test_a_file_that_is_no_index_is_named(tmp_path):
    (tmp_path / FILE_NAME).write_text("灯台守の花嫁")
    with pytest.raises(ValueError, match=f"{FILE_NAME}.*build it again"):
        known_titles(tmp_path)


def test_the_command_builds_the_index_of_the_bundled_pairs(tmp_path):
    out = tmp_path / "model" / FILE_NAME
    done = run_python("-m", "titlegen.novelty", "--pairs", "data/original/pairs.jsonl", "--out", out)
    assert str(out) in done.stdout and len(known_titles(out.parent)) > 300


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path):
    done = run_python(
        "-m", "titlegen.novelty", "--pairs", tmp_path / "none.jsonl", "--out", tmp_path / "x", check=False
    )
    assert done.returncode == 1 and "none.jsonl" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_looking_up_among_many_titles_takes_milliseconds():
    kana = [chr(c) for c in range(0x3042, 0x3090)]
    titles = ["".join(kana[(i * 7 + k * k * 13 + i // 70 * k) % len(kana)] for k in range(20)) for i in range(20_000)]
    index = KnownTitles(titles)
    start = time.process_time()
    for title in titles[:50]:
        assert index.nearest(title)[1] == 1.0
    assert (time.process_time() - start) / 50 < 0.02
