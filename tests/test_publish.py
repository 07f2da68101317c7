"""One command puts model, pairs and page on the Hub; a fresh process with an empty cache loads them."""

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pyarrow.parquet
import pytest
import yaml
from conftest import PAIRS, ROOT, TINY, flags, run_python
from huggingface_hub import ModelCard
from loopback_hub import READ, LoopbackHub, Repo
from publish_helpers import contents, published

from titlegen.novelty import FILE_NAME, KnownTitles
from training import cards, dataset_publish, publish_checks, staging
from training.baselines import nearest_titles
from training.build_dataset import main as build
from training.config import ConfigError, parse_arguments
from training.publish import Publication, publish
from training.run import used_recipe
from training.train import main
from training.trees import PublishError

SYNOPSIS = "目が覚めると、私は図書館の本になっていた。棚の向こうで司書が笑う。"
MODEL_FILES = {
    "README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt",
    "pipeline.py", "control.py", "constraints.py", "guidance.py", "known.py", "vocabulary.py",
    "selection.py", "settings.py", "text.py", "recipe.yaml", "metrics.json", "trainer_state.json", "loss.png",
}  # fmt: skip
PAIR_FILES = {"README.md", *(f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test"))}


def command(hub, home, *arguments, check=True, **environment):
    """Run training/publish.py as a user would, against the loopback Hub."""
    return run_python("training/publish.py", *arguments, check=check, **hub.environment(home) | environment)


def from_outside(hub, tmp_path, code):
    """Run code in a fresh process outside the repository, with an empty cache; return what it printed last, as JSON."""
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "HF_HOME")}
    environment |= hub.environment(tmp_path / "empty") | {"HF_HUB_VERBOSITY": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def world(model_dir, tmp_path_factory):
    """A Hub on which everything was published once: (hub, home, what the command printed)."""
    home = tmp_path_factory.mktemp("home")
    with LoopbackHub() as hub:
        done = command(
            hub, home, "--model", model_dir, "--repo", "user/name", "--dataset", PAIRS, "--dataset_license", "cc0-1.0",
            "--space", "user/demo", "--tag", "v1.0",
        )  # fmt: skip
        yield hub, home, done.stdout


def test_everything_goes_in_one_commit_each_with_its_tag_and_privately(world, model_dir):
    hub, _, printed = world
    assert set(hub.repos) == {"models/user/name", "datasets/user/name-pairs", "spaces/user/demo"}
    for name, repo in hub.repos.items():
        assert repo.private and len(repo.commits) == 2 and repo.tags == {"v1.0": repo.branches["main"]}, name
    assert set(published(hub.repos["models/user/name"])) == MODEL_FILES
    assert set(published(hub.repos["datasets/user/name-pairs"])) == PAIR_FILES
    space = published(hub.repos["spaces/user/demo"])
    assert {path.split("/")[0] for path in space} == {
        "app.py",
        "titlegen",
        "titlegen_ui",
        "requirements.txt",
        "README.md",
    }
    assert not [path for path in space if "__pycache__" in path]
    assert hub.repos["spaces/user/demo"].variables == {"MODEL_ID": "user/name", "MODEL_REVISION": "v1.0"}
    assert re.findall(r": (\d+) files sent, commit", printed) == ["4", str(len(MODEL_FILES)), str(len(space))]
    assert "user/demo needs a token" in printed.splitlines()[-1]


def test_weights_and_tokenizer_are_those_of_the_run_and_nothing_of_the_machine_is_in_the_files(world, model_dir):
    model = published(world[0].repos["models/user/name"])
    for name in ("model.safetensors", "vocab.txt", "metrics.json", "pipeline.py"):
        assert model[name] == (model_dir / name).read_bytes()
    assert set(json.loads(model["trainer_state.json"])) == {"log_history"}
    everything = b"".join(data for repo in world[0].repos.values() for data in published(repo).values())
    for trace in (str(ROOT), str(model_dir)):
        assert trace.encode() not in everything, trace


def test_repeated_it_writes_nothing(world, model_dir):
    hub, home, _ = world
    before = hub.writes()
    done = command(
        hub, home, "--model", model_dir, "--repo", "user/name", "--dataset", PAIRS, "--dataset_license", "cc0-1.0",
        "--space", "user/demo", "--tag", "v1.0",
    )  # fmt: skip
    assert done.stdout.count("unchanged") == 3 and hub.writes() == before


def test_the_pipeline_loads_by_its_name_with_an_empty_cache_and_writes_the_same_titles(world, tmp_path, pipe):
    code = f"""
import json
from transformers import pipeline
pipe = pipeline(model="user/name", trust_remote_code=True)
print(json.dumps(pipe({SYNOPSIS!r}, num_return_sequences=3, num_beams=4)))
"""
    written = json.loads(from_outside(world[0], tmp_path, code).splitlines()[-1])
    assert written == pipe(SYNOPSIS, num_return_sequences=3, num_beams=4) and len(written) > 1


def test_the_pairs_load_with_three_splits_also_streaming_and_train_again(world, tmp_path):
    code = """
import json
from datasets import load_dataset
pairs = load_dataset("user/name-pairs")
first = next(iter(load_dataset("user/name-pairs", split="test", streaming=True)))
print(json.dumps([{s: len(rows) for s, rows in pairs.items()}, first == pairs["test"][0], pairs["train"].column_names]))
"""
    counts, same, columns = json.loads(from_outside(world[0], tmp_path, code).splitlines()[-1])
    lines = len(PAIRS.read_text(encoding="utf-8").splitlines())
    assert set(counts) == {"train", "validation", "test"} and sum(counts.values()) == lines
    assert same and columns == ["title", "synopsis"]


def test_what_the_cards_say_about_loading_is_true(world, tmp_path):
    snippets = []
    for name in ("models/user/name", "datasets/user/name-pairs"):
        card = published(world[0].repos[name])["README.md"].decode()
        snippets += re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(snippets) == 4 and "text2text-generation" in snippets.pop(1)  # v4 only: tests/test_loading_versions.py
    printed = from_outside(world[0], tmp_path, "print('NEXT')\n".join(snippets)).split("NEXT")
    assert len(printed) == 3 and all(part.strip() for part in printed) and "'title'" in printed[2]


def test_the_card_shows_this_run(world, model_dir):
    card = ModelCard(published(world[0].repos["models/user/name"])["README.md"].decode())
    metrics = json.loads((model_dir / "metrics.json").read_text())
    assert {r.metric_value for r in card.data.eval_results} == {
        metrics["test"]["model"][key] for key in ("rougeL", "rougeL_characters", "chrf")
    }
    assert card.data.datasets == ["user/name-pairs"] and "nearest training synopsis" in card.text
    assert f"{metrics['parameters']:,}" in card.text


def test_a_dry_run_shows_files_sizes_and_cards_and_needs_no_account(model_dir):
    shown = "\n".join(
        publish(Publication(repo="user/name", model=str(model_dir), dry_run=True))
    )  # this process is offline
    for path in MODEL_FILES - {"README.md", "config.json", "trainer_state.json", "loss.png"}:
        assert re.search(rf"^ *{(model_dir / path).stat().st_size:,}  {re.escape(path)}$", shown, re.MULTILINE), path
    assert "library_name: transformers" in shown and "## Limits and risks" in shown


def test_without_an_account_the_same_tree_goes_to_a_folder(world, model_dir, tmp_path, pipe):
    from titlegen import load_pipeline

    target = tmp_path / "public"
    (line,) = publish(Publication(repo=str(target), model=str(model_dir)))
    assert line == f"{target}: {len(MODEL_FILES)} files"
    on_hub = published(world[0].repos["models/user/name"])
    assert {p: d for p, d in contents(target).items() if p != "README.md"} == {
        p: d for p, d in on_hub.items() if p != "README.md"
    }
    assert "./public" in (target / "README.md").read_text() and str(tmp_path) not in (target / "README.md").read_text()
    assert load_pipeline(target, device="cpu")(SYNOPSIS) == pipe(SYNOPSIS)
    (target / "model-00001-of-00002.safetensors").write_bytes(b"old")
    (target / "notes.txt").write_text("mine")
    publish(Publication(repo=str(target), model=str(model_dir)))
    assert set(contents(target)) == MODEL_FILES | {"notes.txt"}


def test_training_publishes_once_at_the_end_and_a_failed_upload_costs_nothing(tmp_path):
    settings = flags(dataset=PAIRS, output_dir=tmp_path / "run", report_to="none", **TINY)
    push = ["--push_to_hub", "--hub_model_id", "user/name"]
    with LoopbackHub() as hub:
        hub.fail("POST */commit/main", 403)
        done = run_python("training/train.py", *settings, *push, check=False, **hub.environment(tmp_path / "home"))
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1 and last.startswith("error: The token may not write to user/name (403)")
        assert not published(hub.repos["models/user/name"]) and sum("/commit/" in line for line in hub.asked()) == 1
        assert set(json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]) >= {
            "model",
            "nearest_neighbour",
        }
        again = last.split("publish it with: python ")[1].split()
        run_python(*again, **hub.environment(tmp_path / "home"))
        assert set(published(hub.repos["models/user/name"])) == MODEL_FILES


@pytest.mark.parametrize(
    ("push", "error", "word"),
    [
        ([], ConfigError, "--hub_model_id user/name"),
        (["--hub_model_id", "name"], PublishError, "cannot name a repository"),
    ],
)
def test_a_run_that_cannot_be_published_is_refused_before_it_starts(tmp_path, push, error, word):
    with pytest.raises(error, match=word):
        main([*flags(dataset=PAIRS, output_dir=tmp_path / "run", report_to="none", **TINY), "--push_to_hub", *push])
    assert not (tmp_path / "run").exists()


def test_the_recipe_of_a_run_takes_the_same_steps_again(model_dir):
    recipe = yaml.safe_load((model_dir / "recipe.yaml").read_text(encoding="utf-8"))
    defaults, of_no_effect = ("per_device_train_batch_size",), ("logging_steps",)
    made = {name: value for name, value in TINY.items() if name not in defaults + of_no_effect}
    assert recipe.items() >= (made | {"dataset": "./pairs.jsonl"}).items()
    argv = ["--config", str(model_dir / "recipe.yaml"), "--output_dir", "elsewhere", "--report_to", "none"]
    assert used_recipe(*parse_arguments(argv)) == recipe


def test_the_nearest_neighbour_is_the_title_of_the_most_similar_synopsis():
    known = ["猫が月へ行く話。", "魔王が温泉宿を開く。", "図書館の本になった司書。"]
    assert nearest_titles(["温泉宿を魔王が営む。", "本になってしまった司書の話。"], known, ["月猫", "魔王の湯", "本の人"]) == [
        "魔王の湯", "本の人",
    ]  # fmt: skip


def copy_of(folder, tmp_path, without=()):
    """The finished run with some files missing."""
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoint-*", *without))
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("without", "word"),
    [
        (("config.json",), "holds no model"),
        (("*.safetensors",), "no weights as safetensors"),
        (("tokenizer_config.json",), "holds no tokenizer"),
        (("metrics.json",), "no metrics.json"),
        (("settings.py",), "settings.py is missing"),
        (("vocab.txt",), "cannot be loaded|does not fit"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(model_dir, tmp_path, without, word):
    with pytest.raises(PublishError, match=word) as refusal:
        publish(Publication(repo="./x", model=str(copy_of(model_dir, tmp_path, without)), dry_run=True))
    assert "\n" not in str(refusal.value)


def test_a_model_that_does_not_fit_its_tokenizer_is_refused(model_dir, tmp_path):
    folder = copy_of(model_dir, tmp_path)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(9000))]))
    with pytest.raises(PublishError, match="do not belong together"):
        publish(Publication(repo="./x", model=str(folder), dry_run=True))


def test_damaged_weights_are_refused(model_dir, tmp_path):
    folder = copy_of(model_dir, tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(PublishError, match=r"cannot be loaded|not a whole safetensors"):
        publish(Publication(repo="./x", model=str(folder), dry_run=True))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"repo": "name"}, "cannot name a repository"),
        ({"repo": "user/na me"}, "cannot name a repository"),
        ({"repo": "user/name", "license": "gnu"}, "no licence 'gnu'"),
        ({"repo": "user/name", "model": None}, "nothing to publish"),
        ({"repo": "user/name", "dataset": "pairs.jsonl"}, "Under which licence"),
        ({"repo": "./run", "model": "./run"}, "own folder"),
    ],
)
def test_bad_options_are_refused_at_once(options, word):
    with pytest.raises(PublishError, match=word):
        Publication(**{"model": "out/run"} | options)


def test_no_token_and_a_read_only_token_are_told_before_anything_is_sent(model_dir, tmp_path):
    arguments = ("--model", model_dir, "--repo", "user/name")
    with LoopbackHub() as hub:
        done = command(hub, tmp_path, *arguments, check=False, HF_TOKEN="")
        assert done.returncode == 1 and done.stderr.startswith("error: No Hub token") and not hub.asked()
        done = command(hub, tmp_path, *arguments, check=False, HF_TOKEN=READ)
        assert done.returncode == 1 and "can only read" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr and hub.asked() == ["GET /api/whoami-v2"]


@pytest.mark.parametrize(
    ("path", "text", "word"),
    [
        ("notes.py", f"TOKEN = 'hf_{'a1' * 15}'", "line 1, holds a Hugging Face token"),
        ("recipe.yaml", "seed: 1\ndataset: /home/taro/pairs.jsonl\n", "line 2, holds a path of this machine"),
        ("config.json", '{"_name": "C:\\\\Users\\\\taro\\\\model"}', "holds a path of this machine"),
        ("key.txt", "-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("training_args.bin", "", "is a pickle"),
    ],
)
def test_what_must_not_go_is_found(path, text, word):
    with pytest.raises(PublishError, match=word):
        publish_checks.check_contents({path: text.encode()})


def test_addresses_are_not_taken_for_paths():
    publish_checks.check_contents({"README.md": b"https://example.org/home/x ./data/pairs.jsonl 1/2 app/home/x"})


def test_texts_of_others_need_a_statement(tmp_path):
    file = tmp_path / "raw.jsonl"
    rows = [{"ncode": f"n{i}", "title": f"題{i}", "synopsis": f"あらすじ{i}"} for i in range(60)]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    options = {"repo": "./x", "dataset": str(file), "dataset_license": "other", "dry_run": True}
    with pytest.raises(PublishError, match="belong to their authors"):
        publish(Publication(**options))
    assert "README.md" in "".join(publish(Publication(**options, rights_cleared=True)))


def test_a_built_data_set_goes_as_it_is(tmp_path):
    built, work = tmp_path / "built", tmp_path / "work"
    tree = staging.dataset_tree(str(PAIRS), "user/pairs", "cc0-1.0", work)
    for path, source in tree.items():
        (built / path).parent.mkdir(parents=True, exist_ok=True)
        (built / path).write_bytes(source if isinstance(source, bytes) else source.read_bytes())
    (built / "manifest.json").write_text("{}")
    again = staging.dataset_tree(str(built), "user/other", "cc0-1.0", work)
    assert {p: s.read_bytes() for p, s in again.items()} == {
        p: d for p, d in contents(built).items() if p != "manifest.json"
    }
    assert pyarrow.parquet.read_table(io.BytesIO(contents(built)["data/test-00000-of-00001.parquet"])).num_rows > 0


def test_a_build_goes_with_the_card_of_its_own_numbers(tmp_path):
    build(["--input", str(PAIRS), "--out", str(tmp_path / "built")])
    tree = staging.dataset_tree(str(tmp_path / "built"), "user/pairs", "cc0-1.0", tmp_path / "work")
    assert {"README.md", "build.json", "data/train-00000-of-00001.parquet"} <= set(tree)
    facts, card = json.loads(tree["build.json"].read_text()), tree["README.md"].decode()
    assert f"{facts['rows_in']:,} rows came in, {facts['rows_out']:,} are left" in card and "user/pairs" in card
    publish_checks.check_contents(tree)


def test_a_number_that_the_build_does_not_hold_stops_its_card(tmp_path, monkeypatch):
    build(["--input", str(PAIRS), "--out", str(tmp_path / "built")])
    template = (cards.ROOT / "dataset_card.md").read_text("utf-8")
    (tmp_path / "dataset_card.md").write_text(template + "\nOf these 87,654 are good.\n", "utf-8")
    monkeypatch.setattr(dataset_publish, "ROOT", tmp_path)
    with pytest.raises(PublishError, match="does not hold: 87,654"):
        staging.dataset_tree(str(tmp_path / "built"), "user/pairs", "cc0-1.0", tmp_path / "work")


def test_a_folder_without_a_page_is_no_space(tmp_path):
    with pytest.raises(PublishError, match=r"no page \(no app.py\)"):
        staging.space_tree(tmp_path, "user/name", [], "apache-2.0")


def test_a_private_push_into_a_public_repository_sends_nothing(model_dir, tmp_path):
    with LoopbackHub() as hub:
        hub.repos["models/user/name"] = repo = Repo(private=False)
        repo.commit("main", {"README.md": b"# mine"})
        done = command(hub, tmp_path, "--model", model_dir, "--repo", "user/name", check=False)
        assert done.returncode == 1 and "is public already" in done.stderr and "--public" in done.stderr
        assert repo.files() == {"README.md": b"# mine"}
        command(hub, tmp_path, "--model", model_dir, "--repo", "user/name", "--public")
        assert "model.safetensors" in published(repo)


def test_training_titles_stay_at_home_unless_their_rights_are_cleared(model_dir, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(model_dir, run, ignore=shutil.ignore_patterns("checkpoint-*"))
    KnownTitles(["誰かの題"]).save(run / FILE_NAME)
    trees = [staging.model_tree(run, "./x", "apache-2.0", [], rights_cleared=cleared) for cleared in (False, True)]
    assert [FILE_NAME in tree for tree in trees] == [False, True]


def test_a_local_publication_leaves_folders_of_others_alone(model_dir, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.txt").write_text("dear")
    with pytest.raises(PublishError, match=r"holds other files \(letters\.txt\)"):
        publish(Publication(model=str(model_dir), repo=str(tmp_path / "mine")))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letters.txt"]
