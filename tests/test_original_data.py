"""The bundled pairs keep what data/original/README.md promises."""

from collections import Counter

import numpy as np
import pytest
from conftest import PAIRS
from rapidfuzz import fuzz, process

from training.data import load_pairs, read_json_lines, with_all_splits

CHUNK = 500  # rows compared at a time: the table of ratios stays small


@pytest.fixture(scope="module")
def rows():
    return list(read_json_lines(PAIRS))


def test_there_are_more_than_a_thousand_pairs_of_many_genres_and_tricks(rows):
    assert len(rows) >= 1000
    assert all(set(row) == {"title", "synopsis", "genre", "trick"} for row in rows)
    genres, tricks = (Counter(row[name] for row in rows) for name in ("genre", "trick"))
    assert len(genres) >= 10 and min(genres.values()) >= 20
    assert len(tricks) >= 10 and min(tricks.values()) >= 40


def test_lengths_run_from_terse_to_absurd(rows):
    assert all(80 <= len(row["synopsis"].replace("\n", "")) <= 400 for row in rows)
    lengths = [len(row["title"]) for row in rows]
    assert min(lengths) >= 2 and max(lengths) <= 100
    assert sum(length <= 6 for length in lengths) > 50 and sum(length > 50 for length in lengths) > 50


@pytest.mark.parametrize(
    ("column", "each"),
    # 90 million pairs of synopses take minutes: all of them are compared among the slow tests.
    [("title", 1), ("synopsis", 8), pytest.param("synopsis", 1, marks=pytest.mark.slow)],
)
def test_no_two_share_more_than_sixty_percent_of_their_characters_in_order(rows, column, each):
    texts = [row[column] for row in rows]
    # The ratio is 2 * (longest common subsequence) / (both lengths): shared characters in order.
    for start in range(0, len(texts), CHUNK):
        places = range(start, min(start + CHUNK, len(texts)), each)
        chunk = [texts[i] for i in places]
        ratios = process.cdist(chunk, texts, scorer=fuzz.ratio, score_cutoff=60.01, dtype=np.uint8, workers=-1)
        assert [(texts[places[i]], texts[j]) for i, j in np.argwhere(ratios) if places[i] != j] == []


def test_synopses_begin_in_their_own_ways(rows):
    openings = Counter(row["synopsis"][:8] for row in rows)
    assert openings.most_common(1)[0][1] <= 3


def test_preferences_are_about_training_pairs_and_like_no_held_out_title(rows):
    said = list(read_json_lines(PAIRS.with_name("preferences.jsonl")))
    splits = with_all_splits(load_pairs(str(PAIRS)), 0.05, 0.05)
    held_out = {title for split in ("validation", "test") for title in splits[split]["title"]}
    train = set(splits["train"]["title"])
    assert len(said) > 5000 and all(set(row) == {"of", "liked", "rejected"} for row in said)
    assert all(row["of"] in train and row["liked"] not in held_out for row in said)
    assert all(2 <= len(row["liked"]) <= 60 and row["liked"] != row["rejected"] for row in said)
    assert len({(row["of"], row["liked"], row["rejected"]) for row in said}) == len(said)
