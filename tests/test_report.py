import json

from conftest import PAIRS, run_python

from titlegen.report import read_pairs, report


def test_the_command_prints_one_json_object(model_dir):
    done = run_python("-m", "titlegen.report", "--tokenizer", model_dir, "--pairs", PAIRS, "--json")
    facts = json.loads(done.stdout)
    assert facts["pairs"] == len(PAIRS.read_text(encoding="utf-8").splitlines())
    assert facts["round_trip"] >= 0.99 and 0 <= facts["unknown_rate"] <= 1
    assert facts["title_tokens"]["p50"] <= facts["title_tokens"]["p99"]


def test_a_good_tokenizer_brings_every_bundled_title_back(tokenizer):
    facts = report(tokenizer, read_pairs(PAIRS))
    assert facts["round_trip"] == 1.0 and facts["not_returned"] == []


def test_unknown_characters_are_counted(tokenizer):
    facts = report(tokenizer, [("話。", "赤い𝄞竜"), ("話。", "赤い竜")])
    assert facts["titles_with_unknown"] == 0.5 and facts["unknown_rate"] > 0 and facts["round_trip"] == 1.0


def test_a_mistake_is_one_sentence(tmp_path, model_dir):
    (tmp_path / "bad.jsonl").write_text('{"title": "題"}\n{"story": "文"}\n', encoding="utf-8")
    done = run_python("-m", "titlegen.report", "--tokenizer", model_dir, "--pairs", tmp_path / "bad.jsonl", check=False)
    assert (
        done.returncode == 1 and done.stderr.strip().splitlines()[-1].startswith("error: ") and "line 2" in done.stderr
    )
