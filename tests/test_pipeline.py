"""The pipeline as people call it: from Python, and from a fresh process that has only the model folder."""

import json
import shutil

import pytest
import torch
from conftest import ROOT, run_python

from titlegen import GenerationSettings, load_pipeline
from titlegen.guidance import guided
from titlegen.loading import ModelError
from titlegen.pipeline import TitleGenerationPipeline
from titlegen.selection import pick_varied, similarity, unique
from titlegen.settings import SettingsError
from titlegen.text import display

SYNOPSIS = "辺境の村で暮らす少年は、誰も読めない地図を拾う。地図の示す先には、眠れる竜がいた。"

FRESH = """
import json, sys
from transformers import pipeline
pipe = pipeline(model=sys.argv[1], trust_remote_code=True)
titles = pipe(sys.argv[2], num_return_sequences=2, num_beams=3)
foreign = [name for name in sys.modules if name.split(".")[0] in ("titlegen", "training", "gradio", "datasets", "evaluate")]
print(json.dumps([pipe.task, type(pipe).__name__, titles, foreign]))
"""


@pytest.mark.parametrize("kind", ["model_dir", "bert2bert_dir"])
def test_a_fresh_process_outside_the_repository_finds_task_and_class(kind, request, tmp_path):
    folder = request.getfixturevalue(kind)
    done = run_python("-c", FRESH, folder, SYNOPSIS, cwd=tmp_path, HF_HOME=str(tmp_path / "home"), PYTHONPATH="")
    task, name, titles, foreign = json.loads(done.stdout.splitlines()[-1])
    assert (task, name, foreign) == ("title-generation", "TitleGenerationPipeline", [])
    here = load_pipeline(folder, device="cpu")(SYNOPSIS, num_return_sequences=2, num_beams=3)
    assert titles == here and len(titles) == 2 and titles[0]["score"] >= titles[1]["score"]


def test_one_title_unless_more_are_asked_for(pipe):
    assert len(pipe(SYNOPSIS)) == 1
    assert len(pipe(SYNOPSIS, num_return_sequences=3, num_beams=4)) == 3
    assert set(pipe(SYNOPSIS)[0]) == {"generated_text", "score"}


def test_a_batch_gives_what_single_calls_give(pipe):
    synopses = [SYNOPSIS, "短い話。", SYNOPSIS * 2]
    single = [pipe(text, num_beams=3) for text in synopses]
    batched = pipe(synopses, num_beams=3, batch_size=3)
    assert [titles[0]["generated_text"] for titles in batched] == [titles[0]["generated_text"] for titles in single]
    assert [t[0]["score"] for t in batched] == pytest.approx([t[0]["score"] for t in single], abs=2e-4)


@pytest.mark.parametrize("guidance", [0.0, 0.8])
def test_the_score_is_the_geometric_mean_of_the_model_s_probabilities(pipe, guidance):
    settings = GenerationSettings(num_titles=1, num_beams=3, guidance=guidance)
    title = pipe(SYNOPSIS, settings=settings, return_tokens=True)[0]
    source = pipe.preprocess(SYNOPSIS, settings)
    with torch.no_grad():
        written = pipe._forward(source, settings)["sequences"][0, 0].tolist()
    written = written[: written.index(pipe.codec.end_id) + 1]
    prompt = torch.tensor([[pipe.model.config.decoder_start_token_id, *written[:-1]]])
    with torch.no_grad():  # one pass that knows nothing of beams
        logits = pipe.model(**source, decoder_input_ids=prompt).logits
        unread = pipe.preprocess("", settings.replace(prefix="あ"))
        unread = pipe.model(**unread, decoder_input_ids=prompt).logits
    chosen = guided(logits, unread, guidance)[0].gather(-1, torch.tensor(written)[:, None])
    assert title["score"] == pytest.approx(chosen.mean().exp().item(), abs=2e-4)
    assert display("".join(token["text"] for token in title["tokens"])) == title["generated_text"]


def test_a_seed_repeats_and_another_seed_does_not(pipe):
    def draw(seed):
        return pipe(SYNOPSIS, settings=GenerationSettings(method="sample", num_titles=3, seed=seed, max_length=12))

    assert draw(1) == draw(1) and draw(1) != draw(2)


def test_drawing_leaves_the_random_state_of_the_program_alone(pipe):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    pipe(SYNOPSIS, do_sample=True, seed=9, max_length=8)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("method", ["beam", "sample"])
@pytest.mark.parametrize("prefix", ["ウマ娘 プリティーダービー", "ウマ娘 ", "名探偵コナン", "「まさか", "𝄞勇者"])
def test_a_title_begins_with_the_given_text(pipe, method, prefix):
    for synopsis in (SYNOPSIS, ""):
        title = pipe(synopsis, method=method, prefix=prefix, max_length=30)[0]["generated_text"]
        assert title.startswith(prefix) and len(title) > len(prefix)


@pytest.mark.parametrize(("length", "low", "high"), [("short", 2, 12), ("medium", 13, 30), ("long", 35, 100)])
@pytest.mark.parametrize("method", ["beam", "sample", "diverse"])
def test_the_wished_length_is_obeyed(pipe, method, length, low, high):
    settings = GenerationSettings(method=method, length=length, num_titles=3, num_beams=3)
    titles = pipe(SYNOPSIS, settings=settings)
    assert titles and all(low <= len(title["generated_text"]) <= high for title in titles)


def test_forbidden_words_and_broken_brackets_never_appear(pipe):
    settings = GenerationSettings(method="sample", num_titles=20, forbidden_words="の、た", temperature=2.0, top_p=1.0)
    for title in pipe(SYNOPSIS, settings=settings):
        text = title["generated_text"]
        assert "の" not in text and "た" not in text and "[UNK]" not in text
        assert text.count("「") == text.count("」") and text.count("【") == text.count("】")


def test_unfinished_titles_can_be_watched_and_stopped(pipe):
    seen = []

    def watch(titles):
        seen.append(titles)
        return len(seen) == 4

    settings = GenerationSettings(method="sample", num_titles=2, length="long")
    titles = pipe(SYNOPSIS, settings=settings, on_step=watch)
    assert len(seen) == 4 and all(len(titles) == 2 for titles in seen)
    assert titles[0]["generated_text"] in seen[-1]


@pytest.mark.parametrize(
    ("synopsis", "controls", "word"),
    [
        ("", {}, "empty"),
        (" \n", {}, "empty"),
        ("あ" * 100_000, {}, "100,000 characters"),
        (7, {}, "must be text"),
        (SYNOPSIS, {"num_return_sequences": 9, "num_beams": 2}, "num_beams"),
        (SYNOPSIS, {"do_sample": True, "temperature": 0}, "temperature"),
        (SYNOPSIS, {"num_beems": 2}, "num_beams"),
        (SYNOPSIS, {"settings": GenerationSettings(), "seed": 3}, "not both"),
    ],
)
def test_bad_input_is_one_clear_sentence(pipe, synopsis, controls, word):
    with pytest.raises(SettingsError, match=word):
        pipe(synopsis, **controls)


def test_four_thousand_characters_are_cut_not_crashed(pipe):
    assert pipe("長い話が続く。" * 500)[0]["generated_text"]


def test_a_model_that_cannot_be_loaded_is_named(model_dir, tmp_path):
    with pytest.raises(ModelError, match=r"nowhere.*config\.json"):
        load_pipeline("./nowhere")
    broken = tmp_path / "broken"
    shutil.copytree(model_dir, broken, ignore=shutil.ignore_patterns("checkpoint-*"))
    (broken / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="broken"):
        load_pipeline(broken)
    (broken / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match="broken"):
        load_pipeline(broken)
    with pytest.raises(ModelError, match="dtype"):
        load_pipeline(model_dir, dtype="float99")


def test_loading_runs_no_code_that_comes_with_a_model(model_dir, tmp_path):
    trapped = tmp_path / "trapped"
    shutil.copytree(model_dir, trapped, ignore=shutil.ignore_patterns("checkpoint-*"))
    (trapped / "pipeline.py").write_text("raise SystemExit('ran code from the model folder')")
    assert load_pipeline(trapped)(SYNOPSIS)


def test_importing_settings_does_not_load_torch():
    code = "import sys; import titlegen.settings, titlegen.text; print('torch' in sys.modules)"
    assert run_python("-c", code, cwd=ROOT).stdout.strip() == "False"


def test_titles_are_unique_and_varied():
    titles = [{"generated_text": text, "score": score} for text, score in
              [("赤い竜の島", 0.9), ("赤い竜の島", 0.8), ("", 0.7), ("赤い竜の森", 0.6), ("猫と船", 0.5)]]  # fmt: skip
    kept = unique(titles, key="generated_text")
    assert [t["score"] for t in kept] == [0.9, 0.6, 0.5]
    assert [t["generated_text"] for t in pick_varied(kept, 2)] == ["赤い竜の島", "猫と船"]
    assert similarity("竜", "竜") == 1 and similarity("赤い竜", "猫と船") == 0


def test_settings_given_when_it_is_built_hold_for_every_call(pipe):
    parts = {"model": pipe.model, "tokenizer": pipe.tokenizer, "task": pipe.task, "device": "cpu"}
    pipe = TitleGenerationPipeline(**parts, num_return_sequences=3, prefix="転生")
    titles = pipe(SYNOPSIS)
    assert len(titles) == 3 and all(title["generated_text"].startswith("転生") for title in titles)
    one = pipe(SYNOPSIS, num_return_sequences=1, max_length=20)
    assert len(one) == 1 and one[0]["generated_text"].startswith("転生")
    assert len(pipe(SYNOPSIS)) == 3


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_a_title_that_is_continued_grows(pipe, method):
    for title in pipe(SYNOPSIS, prefix="薬草園の令嬢（", method=method, num_titles=3, max_length=30):
        assert len(title["generated_text"]) > 7 and title["generated_text"].startswith("薬草園の令嬢（")


def test_a_penalty_never_leaves_it_without_a_way_on(pipe):
    for method in ("beam", "sample"):
        titles = pipe(SYNOPSIS, prefix="【薬草】の【薬草", max_length=9, method=method, num_titles=2)
        assert [t["generated_text"] for t in titles] == ["【薬草】の【薬草】"]


@pytest.mark.parametrize("method", ["beam", "sample", "diverse"])
def test_the_best_comes_first_and_a_search_gives_fewer_titles_than_it_has_beams(pipe, method):
    settings = GenerationSettings(method=method, num_titles=3, num_beams=8, max_length=20)
    scores = [title["score"] for title in pipe(SYNOPSIS, settings=settings)]
    assert scores == sorted(scores, reverse=True) and 1 <= len(scores) <= 3
    assert settings.candidates == {"beam": 8, "sample": 3, "diverse": 12}[method]
