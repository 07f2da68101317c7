# Every target sets up .venv by itself when it is missing or when the requirements have changed.
PYTHON ?= python3
BIN := .venv/bin
PAGE := .venv/.page
READY := .venv/.ready

.PHONY: demo test test-page test-slow train bench lint

demo: $(PAGE)  ## open the page with the embedded model
	$(BIN)/python app.py

test: $(READY)  ## everything CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

test-page: $(READY)  ## of these, the page in a real browser: needs chromium and, for the accessibility rules, `npm ci` in tests/
	$(BIN)/python -m pytest -m browser tests/test_page.py

test-slow: $(READY)  ## what sets up environments of its own: transformers 4, a Space from its exact files
	$(BIN)/python -m pytest -m slow

train: $(READY)  ## fine-tune the embedded model on the bundled pairs; stopped, it goes on
	$(BIN)/accelerate launch --config_file training/profiles/cpu.yaml training/train.py \
	  --config training/recipes/demo.yaml --dataset data/original/pairs.jsonl --output_dir build/train --resume_from_checkpoint auto

bench: $(READY)  ## measure; results go to benchmarks/results/
	$(BIN)/python benchmarks/run.py

lint: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(PAGE): requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(READY): $(PAGE) training/requirements.txt tests/requirements.txt
	$(BIN)/pip install --quiet -r tests/requirements.txt
	touch $@
