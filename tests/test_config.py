import pytest
from conftest import ROOT

from training.config import ConfigError, parse_arguments


def test_flags_override_the_recipe(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "learning_rate: 5e-5\nhidden_size: 96\nattention_heads: 4\nshare_embeddings: true\nmax_steps: 7\n"
    )
    model, data, run = parse_arguments(
        ["--config", str(recipe), "--dataset", "x.jsonl", "--hidden_size", "64", "--share_embeddings", "False"]
    )
    assert (model.hidden_size, model.share_embeddings, data.dataset) == (64, False, "x.jsonl")
    assert (run.learning_rate, run.max_steps) == (5e-5, 7)


def test_the_seed_recipe_is_the_original_exactly():
    model, _, run = parse_arguments(["--config", str(ROOT / "training/recipes/seed.yaml"), "--dataset", "x"])
    assert model.base_model == "tohoku-nlp/bert-base-japanese-v3"
    assert (run.num_train_epochs, run.learning_rate, run.warmup_steps) == (13, 5e-5, 0.06)
    assert (run.per_device_train_batch_size, run.gradient_accumulation_steps) == (4, 16)
    assert run.lr_scheduler_type == "linear"


@pytest.mark.parametrize("recipe", sorted((ROOT / "training/recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid(recipe):
    parse_arguments(["--config", str(recipe), "--dataset", "x"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("learning_rat: 1\n", ["learning_rat", "learning_rate"]),
        ("a: [1\n", ["not YAML"]),
        ("just words\n", ["name: value"]),
    ],
)
def test_a_broken_recipe_is_named(tmp_path, content, words):
    recipe = tmp_path / "bad.yaml"
    recipe.write_text(content)
    with pytest.raises(ConfigError) as error:
        parse_arguments(["--config", str(recipe), "--dataset", "x"])
    assert all(word in str(error.value) for word in [*words, "bad.yaml"])


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--dataset", "x", "--learning_rat", "1"], "learning_rate"),
        (["--dataset", "x", "--hidden_size", "30"], "attention_heads"),
        (["--dataset", "x", "--test_share", "1"], "test_share"),
        (["--dataset", "x", "--decoder_layers", "2"], "new_decoder_layers"),
        ([], "--dataset"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(flags, word):
    with pytest.raises(ConfigError, match=word):
        parse_arguments(flags)


@pytest.mark.parametrize("flags", [["--config", "{}"], ["--config={}"]])
def test_a_recipe_is_read_however_its_flag_is_written(tmp_path, flags):
    path = tmp_path / "r.yaml"
    path.write_text("architecture: bert2bert\neval_strategy: no\nsave_strategy: no\n", encoding="utf-8")
    model, _, arguments = parse_arguments([*(f.format(path) for f in flags), "--dataset", "p.jsonl"])
    assert model.architecture == "bert2bert" and arguments.eval_strategy == arguments.save_strategy == "no"


@pytest.mark.parametrize("line", ["architecture: bart", "objective: denoies", "mixed_precision: fp8"])
def test_a_value_that_a_setting_does_not_take_is_refused_in_a_recipe_too(tmp_path, line):
    (tmp_path / "r.yaml").write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{line.split(':')[0]} .* must be one of"):
        parse_arguments(["--config", str(tmp_path / "r.yaml"), "--dataset", "p.jsonl"])


def test_beams_that_the_final_test_could_not_use_are_refused_before_the_run():
    with pytest.raises(ConfigError, match="num_beams"):
        parse_arguments(["--dataset", "p.jsonl", "--generation_num_beams", "32"])
