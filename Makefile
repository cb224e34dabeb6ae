# Every target makes the environment it needs, from the lock. Only Python 3.11+ with venv, and make, are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help venv demo wheelhouse test test-all lint clean
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

venv: $(STAMP)  ## make .venv with the locked versions

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "fedward needs Python 3.11 or newer; say which one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

demo: venv  ## ten phantom hospitals train a U-Net with DCEW in the FLARE simulator
	$(BIN)/fedward demo

wheelhouse: venv  ## dist/wheelhouse: what hospitals install without a package index (SIGNER=KIT signs it)
	$(BIN)/python provisioning/wheelhouse.py $(SIGNER)

test: venv lint  ## all tests but the slow ones
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-all: venv lint  ## every test
	$(BIN)/python -m pytest -n 2

lint: venv  ## ruff (style and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove the environment, caches and the demo's output
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
