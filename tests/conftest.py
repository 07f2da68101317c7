"""A small world of its own: a tiny model trained through the real command, on the bundled pairs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAIRS = ROOT / "data" / "original" / "pairs.jsonl"

# Before any of them is imported: nothing is looked up outside, nothing is kept in the user's caches.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
}

TINY = {
    "hidden_size": 32, "encoder_layers": 1, "new_decoder_layers": 1, "attention_heads": 2, "vocab_size": 2500,
    "max_source_length": 64, "max_target_length": 32, "per_device_train_batch_size": 8, "max_train_pairs": 64,
    "eval_pairs": 4, "test_pairs": 4, "max_steps": 4, "save_steps": 2, "logging_steps": 1, "learning_rate": 1e-3,
    "generation_num_beams": 2, "mixed_precision": "no",
}  # fmt: skip


def flags(**settings):
    """Return settings as command-line flags."""
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


def run_python(*arguments, cwd=ROOT, check=True, **environment):
    """Run a fresh Python process as a user would; return it with its output as text."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory):
    """Nothing is written into the user's own folders, not even by the fixtures of a module."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    """What may be asked of an API today is counted anew in each test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    import datasets

    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets_cache")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """The folder of a finished run: a new tiny seq2seq model."""
    return _trained(tmp_path_factory.mktemp("run"), **TINY)


@pytest.fixture(scope="session")
def bert2bert_dir(tmp_path_factory):
    """The folder of a finished run: a new tiny BERT2BERT."""
    return _trained(tmp_path_factory.mktemp("bert2bert"), **TINY, architecture="bert2bert")


def _trained(folder, **settings):
    from training.train import main

    main(flags(dataset=PAIRS, output_dir=folder, report_to="none", **settings))
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    """A tokenizer learnt from all bundled pairs."""
    from training.data import read_json_lines
    from training.tokenizer import learn_tokenizer

    return learn_tokenizer((row[name] for row in read_json_lines(PAIRS) for name in ("title", "synopsis")), 6000)


@pytest.fixture(scope="session")
def pipe(model_dir):
    from titlegen import load_pipeline

    return load_pipeline(model_dir, device="cpu")


@pytest.fixture(scope="session")
def encoder_dir(tmp_path_factory, tokenizer):
    """A BERT checkpoint such as one finds on the Hub: masked language model, four layers, no space marker."""
    from transformers import BertConfig, BertForMaskedLM, BertJapaneseTokenizer

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = [token for token in tokenizer.vocab if token != "␣"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    plain = BertJapaneseTokenizer(
        str(folder / "vocab.txt"), word_tokenizer_type="mecab", mecab_kwargs={"mecab_dic": "unidic_lite"}
    )
    plain.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(plain), hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    return folder
