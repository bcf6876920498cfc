# The verbs of this project, the same for people and for CI. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := rules service workers hegui migrations tests benches tools
TYPED := rules service workers hegui migrations tests tools
# torch stands apart from the lock file, because its file differs between machines. Where a smaller
# build is wanted: make venv TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
TORCH := torch==2.13.0
TORCH_ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTEST_ARGS ?=
LOCK_ARGS ?=
CORPUS ?= hegui/evaluation/corpora/field
EVAL_ARGS ?=
ROLE_ARGS ?=
# Where no corpus is named, the recordings of the demonstration are heard.
SPOKEN = $(if $(filter file,$(origin CORPUS)),hegui/demo_data,$(CORPUS))

.DEFAULT_GOAL := help
.PHONY: help venv lock demo serve test check lint fix migrate \
	bench-alerts bench-evidence bench-ingest bench-rules bench-sealing bench-speech eval eval-speech reader fuzz-audio fuzz-api clean

help: ## list these verbs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv from the lock file (quick when nothing changed)

$(STAMP): requirements/lock.txt pyproject.toml setup.py $(wildcard rules/*.pxd rules/*.pyx)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "hegui needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "[1/4] virtual environment $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "[2/4] $(TORCH) (the largest download)"
	@$(PIP) install $(TORCH_ARGS) $(TORCH)
	@echo "[3/4] $$(grep -c '^[a-z].*==' requirements/lock.txt) packages, each checked by its hash"
	@$(PIP) install --no-deps --require-hashes -r requirements/lock.txt
	@echo "[4/4] hegui itself, its search compiled"
	@$(PIP) install --no-deps -e .
	@touch $@
	@echo "ready: $(BIN)/hegui --help"

lock: venv ## resolve pyproject.toml into requirements/ (LOCK_ARGS=--upgrade: newer versions)
	@test -x $(VENV)/lock/bin/uv || { $(PYTHON) -m venv $(VENV)/lock && \
		$(VENV)/lock/bin/python -m pip --disable-pip-version-check install --quiet uv; }
	@$(call resolve,lock.txt,--extra mono --extra s3 --extra dev)
	@$(call resolve,run.txt,--extra mono --extra s3)

# The pins of the file at hand are kept, unless LOCK_ARGS=--upgrade asks for newer ones.
define resolve
cp -f requirements/lock.txt requirements/new.txt && \
$(VENV)/lock/bin/uv pip compile pyproject.toml $(2) --universal --python-version 3.11 \
	--generate-hashes --no-emit-package torch $(LOCK_ARGS) --quiet --no-header \
	-o requirements/new.txt && \
{ echo "# Made by 'make lock'; do not edit. torch stands apart (see Makefile)."; \
	cat requirements/new.txt; } > requirements/$(1) && rm requirements/new.txt
endef

demo: venv ## run the whole product on recorded calls and show what it finds
	@$(BIN)/hegui demo

serve: venv ## the same data, left running to look around; Ctrl-C stops it
	@$(BIN)/hegui demo --stay

test: lint ## everything: formatter, linter, types, layers, migrations, tests
	@$(BIN)/python -m pytest --durations=15 $(PYTEST_ARGS)

check: test ## another name for test

lint: venv ## all of test but the tests
	@echo "ruff format"; $(BIN)/ruff format --check --quiet $(SOURCES)
	@echo "ruff check"; $(BIN)/ruff check --quiet $(SOURCES)
	@echo "mypy"; $(BIN)/mypy --no-error-summary $(TYPED)
	@echo "import-linter"; $(BIN)/lint-imports --no-logo
	@echo "alembic check"; $(BIN)/hegui migrate --check

fix: venv ## format, and mend what the linter can mend
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

migrate: venv ## bring the database of HEGUI_DATABASE_OWNER_URL to the newest schema
	@$(BIN)/hegui migrate

bench-alerts: venv ## seconds from a webhook to the lender's alert, for messages and for calls
	@$(BIN)/python -m benches.bench_alerts

bench-ingest: venv ## requests a second and latency of ingest, next to a bare insert
	@$(BIN)/python benches/bench_ingest.py

bench-rules: venv ## utterances a second of the rule engine
	@$(BIN)/python benches/bench_rules.py

bench-evidence: venv ## seal rate, proofs, the whole ledger read again, a month's report
	@$(BIN)/python -m benches.bench_evidence

bench-sealing: venv ## processor time of keeping recordings sealed, next to plain files
	@$(BIN)/python -m benches.bench_sealing

bench-speech: venv ## processor seconds for a second of call, by engine
	@$(BIN)/python benches/bench_speech.py

eval: venv ## how much of the labelled examples the packs find, and what they flag wrongly
	@mkdir -p var && $(BIN)/python -m hegui.evaluation $(CORPUS) --page docs/accuracy.md > var/eval.jsonl

reader: venv ## train the second reader of the pack anew (hegui/reading/lines and more; docs/reading.md)
	@OMP_NUM_THREADS=1 $(BIN)/python -m hegui.reading

eval-speech: venv ## character errors and violations found by codec and engine, speakers told apart (CORPUS=DIR)
	@mkdir -p var && $(BIN)/python -m hegui.evaluation.speech $(SPOKEN) $(EVAL_ARGS) > var/eval-speech.jsonl
	@$(BIN)/python -m hegui.evaluation.roles $(SPOKEN) $(ROLE_ARGS) > var/eval-roles.jsonl

fuzz-audio: venv ## hostile audio of every kind and 2,000 damaged recordings; one line of counts
	@$(BIN)/python -m tests.workers.speech.fuzz

fuzz-api: venv ## all phases of schemathesis over the OpenAPI, 200 examples an operation, 3 seeds
	@$(BIN)/python -m tests.api.fuzz

clean: ## remove caches and build output; leaves .venv and var/ alone
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print | xargs -r rm -rf
