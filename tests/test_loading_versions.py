"""A published model loads with transformers 5 and 4, with and without remote code, and writes the same titles."""

import json
import os
import re
import subprocess
import sys

import pytest
from environments import environment
from loopback_hub import LoopbackHub, Repo

from training.cards import TESTED_TRANSFORMERS
from training.staging import model_tree
from training.trees import content

pytestmark = pytest.mark.slow
V5, V4 = TESTED_TRANSFORMERS
SYNOPSIS = "目が覚めると、私は図書館の本になっていた。\n棚の向こうで司書が笑う。「今日はあなたを読む番です」"
WRITE = """
import json, sys, transformers
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
name, synopsis = sys.argv[1:]
pipe = pipeline(model=name, trust_remote_code=True, device="cpu")
titles = {
    method: pipe(synopsis, **settings)
    for method, settings in {
        "beam": {"num_return_sequences": 3, "num_beams": 4},
        "sample": {"num_return_sequences": 3, "do_sample": True, "seed": 7, "temperature": 1.2},
        "asked": {"prefix": "転生", "length": "short", "forbidden_words": "本、司書", "num_return_sequences": 2},
    }.items()
}
tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForSeq2SeqLM.from_pretrained(name)
inputs = tokenizer(synopsis, return_tensors="pt", truncation=True, max_length=64)
ids = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], num_beams=4, max_new_tokens=20)
print(json.dumps({"version": transformers.__version__, "titles": titles, "source": inputs["input_ids"].tolist(),
                  "ids": ids.tolist(), "special": [model.generation_config.decoder_start_token_id]}))
"""
NATIVE = """
import json, sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
name, synopsis = sys.argv[1:]
pipe = pipeline("text2text-generation", model=name, device="cpu")
written = pipe(synopsis, num_beams=4, max_new_tokens=20, truncation=True, return_tensors=True)
inputs = AutoTokenizer.from_pretrained(name)(synopsis, return_tensors="pt", truncation=True)
plain = AutoModelForSeq2SeqLM.from_pretrained(name).generate(
    inputs["input_ids"], attention_mask=inputs["attention_mask"], num_beams=4, max_new_tokens=20)
print(json.dumps([written[0]["generated_token_ids"].tolist(), plain[0].tolist(), type(pipe).__module__]))
"""


@pytest.fixture(scope="module")
def v4():
    """The Python of an environment with transformers 4 and only what a reader of the card would install."""
    return environment(
        f"transformers-{V4}", "torch==2.13.0", f"transformers=={V4}", "fugashi==1.5.2", "unidic-lite==1.0.8"
    )


@pytest.fixture(scope="module", params=["model_dir", "bert2bert_dir"])
def hub(request):
    """A Hub that holds a model as the publisher would send it."""
    tree = model_tree(request.getfixturevalue(request.param), "user/name", "apache-2.0", [])
    with LoopbackHub() as hub:
        repo = hub.repos["models/user/name"] = Repo(private=False)
        repo.commit("main", {path: content(source) for path, source in tree.items()})
        yield hub


def run(python, hub, home, code, *arguments):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "HF_HOME")}
    environment |= hub.environment(home / "empty", token=None)
    home.mkdir(parents=True)
    done = subprocess.run(
        [str(python), "-c", code, *arguments], cwd=home, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_both_versions_write_the_same_titles(hub, v4, tmp_path):
    by_version = {}
    for version, python in ((V5, sys.executable), (V4, v4)):
        written = json.loads(run(python, hub, tmp_path / version, WRITE, "user/name", SYNOPSIS).splitlines()[-1])
        assert written.pop("version") == version
        by_version[version] = written
    assert by_version[V5] == by_version[V4]
    titles = by_version[V5]["titles"]
    assert len(titles["beam"]) > 1 and all(t["generated_text"].startswith("転生") for t in titles["asked"])
    # Without remote code, as version 4 has it by itself: the same ids as the plain classes give.
    ids, plain, module = json.loads(run(v4, hub, tmp_path / "native", NATIVE, "user/name", SYNOPSIS).splitlines()[-1])
    assert module.startswith("transformers.pipelines") and ids == plain and len(set(ids)) > 2


def test_the_card_s_snippets_run_on_version_4(hub, v4, tmp_path):
    card = hub.repos["models/user/name"].files()["README.md"].decode()
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    printed = run(v4, hub, tmp_path / "snippets", "print('NEXT')\n".join(snippets)).split("NEXT")
    assert len(printed) == len(snippets) == 3 and all(part.strip() for part in printed)
