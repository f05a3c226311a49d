# The habits of this repository. A newcomer needs two: `make quickstart` and `make test`.
# Each does its own set-up in .venv, once; setup.cfg says what goes in and why.

PYTHON ?= python3
VENV ?= .venv
# The small environment in which an old `datasets` runs the loading scripts.
SCRIPTS_VENV ?= .venv-scripts
QUICKSTART_DIR ?= quickstart
# Two test processes suit the smallest machine we support; 0 runs in one process, for a debugger.
WORKERS ?= 2
PYTEST_ARGS ?=
PIP_ARGS ?=

# In this order: bass_forgetting explains the runs of real_keywords.
BENCHMARKS := benchmarks/real_keywords.py benchmarks/bass_forgetting.py benchmarks/fetch_images.py \
	benchmarks/dedup.py benchmarks/build_at_scale.py benchmarks/embed.py benchmarks/retrieval.py \
	benchmarks/real_tables.py

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help quickstart install style check test test-slow test-scripts test-all ablation tables bench clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(INSTALLED): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --no-input $(PIP_ARGS) -e '.[dev,trackers]'
	@touch $@

install: $(INSTALLED) ## make .venv with everything a developer needs

quickstart: $(INSTALLED) ## draw a sample, train on it, tag it, report (FRESH=1: again)
	@if [ -z "$(FRESH)" ] && [ -e "$(QUICKSTART_DIR)/report.html" ]; then \
		echo "$(QUICKSTART_DIR)/report.html is already there. Open it, or run: make quickstart FRESH=1"; \
	else \
		$(BIN)/emotionnet quickstart --out "$(QUICKSTART_DIR)" --overwrite; \
	fi

style: $(INSTALLED) ## format, and mend what a tool can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(INSTALLED) ## format, lint and types, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# One thread a process: two processes with two threads each would fight over two cores.
# loadfile keeps a file's tests, and so the fixtures they share, in one process.
test: $(INSTALLED) ## the tests, without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

# One at a time: they start processes of their own and mind the clock.
test-slow: $(INSTALLED) ## the slow tests: whole runs, several processes
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

# `datasets` 4 and later run no loading scripts, and torch has no business there.
$(SCRIPTS_VENV)/.installed: Makefile
	$(PYTHON) -m venv $(SCRIPTS_VENV)
	$(SCRIPTS_VENV)/bin/python -m pip install -q --disable-pip-version-check --no-input $(PIP_ARGS) \
		'datasets>=3.6,<4' 'pillow>=10.0.1' 'imagehash>=4.0' 'pytest>=9.0'
	@touch $@

test-scripts: $(SCRIPTS_VENV)/.installed ## dataset_scripts/ under datasets 3, without this package
	$(SCRIPTS_VENV)/bin/python -m pytest tests/dataset_scripts $(PYTEST_ARGS)

test-all: test test-slow test-scripts ## every test

ablation: $(INSTALLED) ## do the paper's ideas help on the generated sample? (long)
	$(BIN)/python -m benchmarks.ablation

tables: $(INSTALLED) ## the paper's tables on drawn pictures (long)
	$(BIN)/python scripts/reproduce.py all --sample --work runs/sample_tables \
		--out benchmarks/results/sample_tables --workers $(WORKERS)

bench: $(INSTALLED) ## every other side-by-side measurement in benchmarks/
	@set -e; for script in $(BENCHMARKS); do \
		echo "== $$script"; $(BIN)/python -m "benchmarks.$$(basename "$$script" .py)"; \
	done

clean: ## remove what tools left behind (.venv and quickstart/ stay)
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find emotionnet_hf scripts benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
