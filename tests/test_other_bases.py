"""A base model of another family: a T5 checkpoint whose tokenizer is a sentencepiece file, as on the Hub."""

import json

import pytest
import sentencepiece
from conftest import PAIRS, TINY, flags, run_python
from transformers import T5Config, T5ForConditionalGeneration

from titlegen import GenerationSettings, load_pipeline
from training.data import read_json_lines
from training.train import main


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    """A folder as T5 checkpoints come: weights, config, spiece.model, and no tokenizer.json."""
    folder = tmp_path_factory.mktemp("t5")
    rows = list(read_json_lines(PAIRS))[:300]
    lines = [text.replace("\n", "") for row in rows for text in (row["title"], row["synopsis"])]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(folder / "spiece"), vocab_size=3000, minloglevel=2,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
    )  # fmt: skip
    (folder / "spiece.vocab").unlink()
    shape = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    T5ForConditionalGeneration(T5Config(vocab_size=3100, decoder_start_token_id=0, **shape)).save_pretrained(folder)
    names = {"tokenizer_class": "T5Tokenizer", "extra_ids": 100, "pad_token": "<pad>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    return folder


@pytest.fixture(scope="module")
def trained(t5, tmp_path_factory):
    folder = tmp_path_factory.mktemp("from_t5")
    shapes = ("hidden_size", "attention_heads", "encoder_layers", "new_decoder_layers", "vocab_size")
    settings = {name: value for name, value in TINY.items() if name not in shapes}
    main(flags(dataset=PAIRS, base_model=t5, output_dir=folder, report_to="none", **settings))
    return folder


def test_it_keeps_the_promises_of_every_pipeline(trained):
    pipe = load_pipeline(str(trained))
    synopsis = "薬屋の猫ミケは、3つの鍵を持って旅に出る。"
    for method in ("beam", "sample"):
        settings = GenerationSettings(
            method=method, num_titles=3, prefix="薬屋「", length="medium", forbidden_words="猫"
        )
        titles = [title["generated_text"] for title in pipe(synopsis, settings=settings)]
        assert titles and all(t.startswith("薬屋「") and "」" in t and "猫" not in t for t in titles), titles
        assert all(13 <= len(t) <= 30 and "▁" not in t and "<unk>" not in t for t in titles), titles


def test_it_loads_in_a_fresh_process_by_its_folder(trained, tmp_path):
    assert (trained / "tokenizer.json").exists()  # so that nobody needs sentencepiece to use it
    code = (
        "import sys; from transformers import pipeline\n"
        "pipe = pipeline(model=sys.argv[1], trust_remote_code=True)\n"
        "print(pipe('猫の物語', max_length=20)[0]['generated_text'])"
    )
    assert run_python("-c", code, trained, cwd=tmp_path).stdout.splitlines()[-1]
