"""A card shows what the files of a run say, all of it, and nothing else."""

import re

import pytest
import yaml
from conftest import ROOT
from huggingface_hub import DatasetCard, DatasetCardData, ModelCard, RepoCard

from training import cards
from training.publish_checks import unsourced_numbers
from training.staging import space_card
from training.trees import PublishError

SCORES = {
    "rougeL": 31.4159, "rougeL_characters": 41.2345, "chrf": 17.6543, "mean_length": 24.6, "mean_reference_length": 26.9,
    "copies": 0.8,
}  # fmt: skip
METRICS = {
    "objective": "pairs", "base_model": "user/base", "parameters": 12_345_678, "train_pairs": 98_765,
    "validation_pairs": 4321, "steps": 1543, "epochs": 7.25, "effective_batch_size": 96, "processes": 2,
    "precision": "bf16", "learning_rate": 5e-05, "train_seconds": 40_500.0, "device": "NVIDIA H200",
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "test": {
        "pairs": 876, "num_beams": 5, "model": SCORES, "lead_sentence": {k: v + 1 for k, v in SCORES.items()},
        "nearest_neighbour": {k: v + 2 for k, v in SCORES.items()},
    },
}  # fmt: skip
LOG = [{"step": step, "loss": 9.0 / step} for step in range(1, 30)] + [{"step": 29, "eval_loss": 2.5}]
EXAMPLES = [{"synopsis": "三匹の猫が、\n月へ向かう。", "titles": ["月猫航海記", "猫と37番目の月"]}]


def facts(**changes):
    return cards.RunFacts(METRICS | changes, {"dataset": "user/pairs", "learning_rate": 5e-05}, LOG)


def card(run=None, examples=EXAMPLES, **changes):
    options = {"licence": "apache-2.0", "datasets": ["user/pairs"], "loss_curve": True} | changes
    return cards.model_card("user/name", run or facts(), examples, **options)


def test_every_number_in_the_card_stands_in_a_file_of_the_run():
    sources = (METRICS, facts().recipe, EXAMPLES, cards.TESTED_TRANSFORMERS, "user/name")
    assert unsourced_numbers(card(), *sources) == []
    shown = card()
    for number in (
        "12,345,678",
        "98,765",
        "1,543",
        "7.25",
        "876",
        "31.4",
        "32.4",
        "33.4",
        "41.2",
        "17.7",
        "26.9",
        "11.2 hours",
    ):
        assert number in shown, number


@pytest.mark.parametrize("sentence", ["It scores 55.5 in ROUGE.", "Trained on 100,000 pairs.", "| 12 | 0.99 |"])
def test_a_number_that_no_file_holds_is_found(sentence):
    found = unsourced_numbers(card() + sentence, METRICS, EXAMPLES, cards.TESTED_TRANSFORMERS)
    assert found and all(number in sentence for number in found)


def test_a_number_at_the_wrong_precision_is_found():
    assert unsourced_numbers("31.4 31.42 31.41", METRICS) == ["31.41"]


def test_the_front_matter_is_what_the_hub_reads():
    data = ModelCard(card()).data
    assert (data.language, data.license, data.library_name) == ("ja", "apache-2.0", "transformers")
    assert (data.pipeline_tag, data.base_model, data.datasets) == ("summarization", "user/base", ["user/pairs"])
    assert data.widget == [{"text": EXAMPLES[0]["synopsis"], "output": {"text": "月猫航海記"}}]
    results = {result.metric_name: result for result in data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == {
        "ROUGE-L, words": 31.4159, "ROUGE-L, characters": 41.2345, "chrF": 17.6543,
    }  # fmt: skip
    assert {(result.dataset_type, result.dataset_split) for result in results.values()} == {("user/pairs", "test")}
    assert set(data.metrics) == {"rouge", "chrf"}


def test_the_baselines_stand_beside_the_model():
    rows = [line for line in card().splitlines() if line.startswith("| ") and line.count("|") == 7]
    assert [row.split("|")[1].strip() for row in rows[2:]] == list(cards.SYSTEMS.values())


def test_examples_come_as_they_are():
    assert "> 三匹の猫が、  \n> 月へ向かう。" in card() and "- 月猫航海記\n- 猫と37番目の月\n" in card()


def test_a_run_without_test_pairs_base_model_or_log_has_a_card_that_says_so():
    bare = cards.RunFacts({k: v for k, v in METRICS.items() if k != "test"} | {"base_model": "./local"}, {}, [])
    shown = card(bare, datasets=[], loss_curve=False)
    assert "no scores" in shown and "loss.png" not in shown and "recipe.yaml" not in shown and "local" not in shown
    assert ModelCard(shown).data.eval_results is None and "not published" in shown


@pytest.mark.parametrize("missing", ["device", "versions", "epochs"])
def test_a_slot_that_nothing_fills_is_named(missing):
    run = facts()
    del run.metrics[missing]
    with pytest.raises(PublishError, match=missing):
        card(run)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_empty_value_is_no_value(value):
    with pytest.raises(PublishError, match="empty slot"):
        card(facts(learning_rate=value))


def test_the_curve_is_a_picture_of_the_log_and_the_same_each_time():
    curve = cards.loss_curve(LOG)
    assert curve.startswith(b"\x89PNG") and curve == cards.loss_curve(LOG)
    assert curve != cards.loss_curve(LOG[:-1])
    assert cards.loss_curve([]) is None and cards.loss_curve([{"step": 1, "train_loss": 2.0}]) is None


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({}, "no metrics.json"),
        ({"metrics.json": "{"}, "not JSON"),
        ({"metrics.json": '{"steps": 3}'}, "lacks parameters, train_pairs, train_seconds"),
    ],
)
def test_a_run_without_facts_has_no_card(tmp_path, files, word):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(PublishError, match=word):
        cards.read_run(tmp_path)


def test_the_card_of_pairs_counts_them_and_tells_the_hub_where_the_splits_are():
    counts = {"train": 1234, "validation": 56, "test": 78}
    shown = cards.pairs_card("user/pairs", counts, "cc0-1.0")
    data = DatasetCard(shown).data
    assert unsourced_numbers(shown, counts, "cc0-1.0") == [] and "1,234" in shown
    assert data.license == "cc0-1.0" and data.size_categories == "1K<n<10K"
    assert {f["split"]: f["path"] for f in data.configs[0]["data_files"]} == {s: f"data/{s}-*.parquet" for s in counts}


def test_a_data_report_fills_the_template_and_a_hole_in_it_is_named(tmp_path):
    template = tmp_path / "card.md"
    template.write_text("---\n{{ card_data }}\n---\n{{ cleaning.dropped }} rows dropped\n")
    filled = cards.render(DatasetCard, template, DatasetCardData(license="cc0-1.0"), {"cleaning": {"dropped": 12}})
    assert "12 rows dropped" in filled
    with pytest.raises(PublishError, match="dropped"):
        cards.render(DatasetCard, template, DatasetCardData(license="cc0-1.0"), {"cleaning": {}})


def test_the_space_s_card_takes_its_versions_from_the_project_s_own_files():
    shown = space_card(ROOT, "user/name", ["user/pairs"], "apache-2.0")
    data = RepoCard(shown).data
    assert (data.sdk, data.app_file) == ("gradio", "app.py")
    assert f"gradio[mcp]=={data.sdk_version}" in (ROOT / "requirements.txt").read_text()
    assert f'">={data.python_version}"' in (ROOT / "pyproject.toml").read_text() and isinstance(
        data.python_version, str
    )
    assert (data.models, data.datasets, data.preload_from_hub) == (["user/name"], ["user/pairs"], ["user/name"])
    assert 0 < len(data.short_description) <= 60 and data.title
    front = re.match(r"---\n(.*?)\n---\n", shown, re.DOTALL)
    assert isinstance(yaml.safe_load(front[1])["python_version"], str), "3.10 must not become 3.1"
    assert 'pipeline(model="user/name"' in shown and not re.search(r"\]\((?!https://)", shown), "a link to nothing"


def test_a_readme_of_one_s_own_keeps_what_publishing_does_not_set(tmp_path):
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "README.md").write_text(
        "---\ntitle: 題\nemoji: 🐈\nsdk_version: 0.1\nmodels: [other/model]\n---\n\n# 題\n"
    )
    data = RepoCard(space_card(tmp_path, "user/name", [], "mit")).data
    assert (data.title, data.emoji, data.models, data.license) == ("題", "🐈", ["user/name"], "mit")
    assert data.sdk_version != 0.1 and "datasets" not in data.to_dict()
