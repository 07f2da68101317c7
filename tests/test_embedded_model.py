"""The embedded model keeps its promises: small, free of rights, made by this code, and fit to be shown."""

import json
import math

import pytest
from conftest import ROOT
from safetensors import safe_open

from titlegen import GenerationSettings, load_pipeline
from titlegen.constraints import open_brackets
from titlegen.explain import explain
from titlegen.novelty import known_titles
from titlegen.settings import LENGTHS
from titlegen.text import canonical
from titlegen_ui.parts import BEGINNINGS, SYNOPSES
from training.data import load_pairs, read_json_lines, with_all_splits

DEMO = ROOT / "models" / "demo"
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def demo():
    return load_pipeline(device="cpu")


def test_it_is_small():
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) < 30 * MEGABYTE
    with safe_open(DEMO / "model.safetensors", "pt") as weights:
        slices = [weights.get_slice(name) for name in weights.keys()]  # noqa: SIM118 (no dictionary)
    assert {part.get_dtype() for part in slices} == {"F16"}
    assert load_pipeline(device="cpu").model.num_parameters() < 40_000_000


def test_it_carries_the_code_that_serves_it():
    copies = {path.name for path in DEMO.glob("*.py")}
    assert {
        "pipeline.py",
        "settings.py",
        "control.py",
        "text.py",
        "constraints.py",
        "guidance.py",
        "known.py",
        "vocabulary.py",
    } < copies
    for name in copies:
        assert (DEMO / name).read_text("utf-8") == (ROOT / "titlegen" / name).read_text("utf-8"), name


def test_it_says_where_it_comes_from():
    assert {"metrics.json", "recipe.yaml", "trainer_state.json"} <= {path.name for path in DEMO.iterdir()}
    test = json.loads((DEMO / "metrics.json").read_text("utf-8"))["test"]
    assert test["pairs"] > 0 and test["model"]["copies"] <= 1


def test_it_knows_no_held_out_title():
    splits = with_all_splits(load_pairs(str(ROOT / "data" / "original" / "pairs.jsonl")), 0.05, 0.05)
    others = read_json_lines(ROOT / "data" / "original" / "other_titles.jsonl")
    learnt = {*splits["train"]["title"], *(title for row in others for title in row["others"])}
    known = set(known_titles(DEMO).titles)
    assert known == {canonical(title) for title in learnt} and not known & {
        *splits["test"]["title"],
        *splits["validation"]["title"],
    }


@pytest.mark.parametrize("method", ["beam", "sample", "diverse"])
def test_every_example_of_the_page_gets_five_whole_titles(demo, method):
    for (synopsis,) in SYNOPSES:
        titles = [t["generated_text"] for t in demo(synopsis, settings=GenerationSettings(method=method))]
        assert len(set(titles)) == len(titles) >= 4  # a title that is drawn twice is shown once
        assert all(LENGTHS["any"][1] >= len(title) >= 2 and open_brackets(title) == [] for title in titles)


@pytest.mark.parametrize("guidance", [0.0, 0.8])
def test_the_probabilities_of_why_are_those_of_the_score(demo, guidance):
    compared = 0
    for (synopsis,) in SYNOPSES:
        for title in demo(synopsis, guidance=guidance, num_titles=5, return_tokens=True):
            tokens = explain(demo, synopsis, title["generated_text"], guidance)["tokens"]
            if [token["text"] for token in tokens] != [token["text"] for token in title["tokens"]]:
                continue  # the same words can be cut in another way
            mean = math.prod(token["probability"] for token in tokens) ** (1 / len(tokens))
            assert mean == pytest.approx(title["score"], rel=0.02)
            compared += 1
    assert compared >= 3


def test_it_goes_on_from_the_beginnings_that_the_page_offers(demo):
    for (beginning,) in BEGINNINGS:
        title = demo("", prefix=beginning)[0]["generated_text"]
        assert title.startswith(beginning) and len(title) > len(beginning)
