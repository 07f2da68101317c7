"""The synthetic pairs: the same by seed, titles true to their synopses, mistakes told in one sentence."""

import json
import random
from itertools import islice

import pytest

from training import generate_pairs as gp
from training.frame_library import slots_in

LEXICON = "lexicons:\n  name: アンナ ベル\n  thing: 鍵 傘\n"
FRAME = """genre: 日常
frames:
  - id: one
    slots: {a: name, t: thing}
    parts: |
      {a}は、雨の日の駅前で見知らぬ人の{t}をひとつ拾ってしまう。持ち主は誰なのだろうか。

      <+go>それを返すため、{a}は一度も行ったことのない町へひとりで旅に出ることにした。
      けれど持ち主は、どこを探しても見つからないまま、季節だけが過ぎていくのだった。
    titles: |
      {a}の{t}
      <go>{t}を返しに行く
"""


@pytest.fixture(scope="module")
def library():
    return gp.Library()


@pytest.fixture(scope="module")
def pairs():
    return list(gp.generate_pairs(3000, 0))


@pytest.fixture
def folder(tmp_path):
    """A folder of frames as small as can be, and a way to write a changed one."""

    def write(old="", new=""):
        (tmp_path / "lexicon.yaml").write_text(LEXICON, "utf-8")
        (tmp_path / "small.yaml").write_text(FRAME.replace(old, new) if old else FRAME, "utf-8")
        return tmp_path

    return write


def test_same_seed_same_pairs(pairs):
    assert list(islice(gp.generate_pairs(9999, 0), 300)) == pairs[:300]
    assert list(gp.generate_pairs(300, 1)) != pairs[:300]


def test_the_repository_is_large_and_varied_enough(library):
    assert len(library.frames) >= 120
    assert len({frame.genre for frame in library.frames}) >= 12
    assert len({frame.where for frame in library.frames}) == len(library.frames)


def test_keys_lengths_and_no_left_over_signs(pairs):
    for pair in pairs:
        assert sorted(pair) == ["genre", "synopsis", "title"]
        assert gp.TITLE_CHARS[0] <= len(pair["title"]) <= gp.TITLE_CHARS[1]
        assert gp.SYNOPSIS_CHARS[0] <= len(pair["synopsis"]) <= gp.SYNOPSIS_CHARS[1]
        assert not set("{}[]<>|%") & set(pair["title"] + pair["synopsis"])


def test_pairs_are_distinct_and_few_titles_come_twice(pairs):
    assert len({(p["title"], p["synopsis"]) for p in pairs}) == len(pairs)
    assert len({p["title"] for p in pairs}) > 0.95 * len(pairs)


def test_title_lengths_are_spread_as_wanted(pairs):
    for number, (_, wanted) in enumerate(gp.TITLE_CLASSES):
        share = sum(gp.title_class(p["title"]) == number for p in pairs) / len(pairs)
        assert abs(share - wanted) < 0.05


def test_every_title_of_every_frame_can_be_used_and_names_only_what_the_synopsis_names(library):
    rng = random.Random(0)
    for frame in library.frames:
        unused = list(range(len(frame.titles)))
        for _ in range(600):
            values = library.fill(frame.slots, [], rng)
            synopsis, tags = gp.compose_synopsis(frame, library, values, rng)
            for number in list(unused):
                title = frame.titles[number]
                text = title.fits(tags) and gp.render_title(title, values, synopsis, rng)
                if text:
                    named = [values[slot] for slot in slots_in(title.nodes) if values[slot] in text]
                    assert all(value in synopsis for value in named), (frame.where, text, synopsis)
                    unused.remove(number)
            if not unused:
                break
        assert not unused, f"{frame.where}: no synopsis allows title line {unused[0] + 1}"


def test_slots_of_one_frame_never_share_a_value(library):
    rng = random.Random(0)
    for frame in library.frames:
        values = list(library.fill(frame.slots, [], rng).values())
        assert len(set(values)) == len(values), frame.where


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("{a}の{t}", "{b}の{t}", "small.yaml: frame one: unknown slot 'b'."),
        ("a: name", "a: nome", "small.yaml: frame one: unknown lexicon 'nome'."),
        ("      <go>", "      <gone>", "small.yaml: frame one: no wording sets the tag 'gone'."),
        ("けれど", "<go>けれど", "a blank line is missing."),
        ("けれど", "[けれど|なのに", "small.yaml: frame one: unbalanced brace or bracket"),
        ("    titles: |", "    tiles: |", "small.yaml: frame one: has no 'titles'."),
        ("genre: 日常", "genre: [", "small.yaml: is not valid YAML"),
    ],
)
def test_a_wrong_frame_is_named_with_its_file(folder, old, new, sentence):
    with pytest.raises(gp.FrameError) as told:
        gp.Library(folder(old, new))
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)


def test_more_pairs_than_the_frames_can_give(folder):
    with pytest.raises(gp.FrameError, match=r"^The frames gave only \d+ distinct pairs of the 500 asked for\.$"):
        list(gp.generate_pairs(500, 0, folder()))


def test_no_frames(tmp_path):
    with pytest.raises(gp.FrameError, match="No frames were found"):
        gp.Library(tmp_path)


def test_command_writes_json_lines(tmp_path, capsys):
    out = tmp_path / "new" / "pairs.jsonl"
    assert gp.main(["--count", "20", "--seed", "5", "--out", str(out)]) == 0
    written = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert written == list(gp.generate_pairs(20, 5))
    assert [path.name for path in out.parent.iterdir()] == ["pairs.jsonl"]
    assert "20 pairs" in capsys.readouterr().out


def test_command_names_a_folder_it_cannot_write(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert gp.main(["--count", "1", "--out", str(tmp_path / "file" / "pairs.jsonl")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: cannot write ") and told.count("\n") == 1
