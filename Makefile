# Every target makes the environment it needs, from the lock. Only Python 3.11+ with venv, and make, are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help venv demo network network-stop provision wheelhouse test test-slow test-all lint clean
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

network: venv  ## server and ten phantom hospitals with mutual TLS on this machine, in ./network
	$(BIN)/fedward network start

network-stop: venv  ## end what make network started
	$(BIN)/fedward network stop

provision: venv  ## startup kits of provisioning/project.yml, in ./workspace
	$(BIN)/nvflare provision -p provisioning/project.yml -w workspace

wheelhouse: venv  ## dist/wheelhouse: what hospitals install without a package index (SIGNER=KIT signs it)
	$(BIN)/python provisioning/wheelhouse.py $(SIGNER)

test: venv lint  ## all tests but the slow ones
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -m 'not slow'

test-slow: venv  ## the slow tests alone: attacks and faults on real networks among them
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -m slow

test-all: test test-slow  ## every test

lint: venv  ## ruff (style and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove the environment, caches and the demo's output
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
