"""Train a title generator on pairs of synopsis and title.

    accelerate launch training/train.py --config training/recipes/smoke.yaml --dataset data/original/pairs.jsonl --output_dir build/smoke

With several processes: `accelerate launch --config_file training/profiles/cpu_2.yaml training/train.py ...`.
The folder then holds the model, its tokenizer, its pipeline and `metrics.json`, and loads with
`pipeline(model="build/smoke", trust_remote_code=True)`. With `--push_to_hub --hub_model_id user/name` it is published
when everything is saved; a failed upload leaves the folder as it is, and `training/publish.py` tries again.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):
    # `accelerate launch training/train.py` puts training/ first on sys.path; imports are from the root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from transformers import set_seed

from training.config import ConfigError, evaluate_never, parse_arguments
from training.data import DataError
from training.evaluation import final_test
from training.examples import read_examples
from training.model import build_model
from training.preferences import PreferenceTrainer
from training.publish import check_run_destination, publish_run
from training.run import as_begun, checkpoint_to_resume, finish, run_facts, write_metrics, write_recipe
from training.trainer import TitleTrainer
from training.trees import PublishError


def main(argv: list[str] | None = None) -> None:
    """Run one training from arguments to a finished folder."""
    model_arguments, data_arguments, arguments = parse_arguments(argv)
    check_run_destination(arguments)
    checkpoint = checkpoint_to_resume(arguments)
    set_seed(arguments.seed)
    with arguments.main_process_first(desc="data"):  # the other processes find the main one's cache
        examples = read_examples(as_begun(model_arguments, checkpoint), data_arguments)
    if examples.validation is None:
        evaluate_never(arguments)
    limits = (data_arguments.max_source_length, data_arguments.max_target_length)
    kind = PreferenceTrainer if data_arguments.objective == "prefer" else TitleTrainer
    trainer = kind(
        model=build_model(model_arguments, examples.tokenizer, *limits),
        args=arguments,
        train_dataset=examples.train,
        eval_dataset=examples.validation,
        data_collator=examples.collator,
        processing_class=examples.tokenizer,
        samples=examples.samples,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    pipe = finish(trainer)
    metrics = run_facts(trainer, model_arguments, data_arguments, examples)
    if examples.test is not None:
        metrics["test"] = final_test(pipe, examples, arguments)
    write_recipe(trainer, model_arguments, data_arguments)
    write_metrics(trainer, metrics)
    if arguments.publish_at_end and trainer.is_world_process_zero():
        publish_run(arguments)


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DataError, PublishError) as error:
        sys.exit(f"error: {error}")
