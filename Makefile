# Every target installs what it needs: `make demo` shows a running line, `make test` checks the code.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Two workers a core, since most of a test's time is waiting for brokers and timers; idle workers take tests from others.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
PYTEST_FLAGS ?= --numprocesses $(WORKERS) --dist worksteal
TORTURE_SECONDS ?= 3600

.PHONY: help demo test test-slow test-torch check docs format torture clean mosquitto postgresql

help:
	@echo "make demo        a simulated line, end to end, with a report at the end"
	@echo "make test        formatting, lint, types, architecture and the quick tests"
	@echo "make test-slow   the tests that start many processes or take long"
	@echo "make test-torch  the tests that need the torch extra, which it installs"
	@echo "make check       formatting, lint, types and import rules, without tests"
	@echo "make torture     every known fault on real lines for TORTURE_SECONDS; reconciliation after each round"
	@echo "make docs        the documents as a website in build/docs; fails on a broken link"
	@echo "make format      let ruff write the formatting"

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "patchline needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv $(VENV)
	@touch $@

$(VENV)/demo-ready: pyproject.toml | $(VENV)/made
	@echo "installing patchline with its analytics and bench extras into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[analytics,bench]'
	@touch $@

$(VENV)/test-ready: pyproject.toml | $(VENV)/made
	@echo "installing patchline with its test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[analytics,bench,camera,site,postgres,dev]'
	@touch $@ $(VENV)/demo-ready

mosquitto:
	@sh broker_config/install_mosquitto.sh

postgresql:
	@sh tests/install_postgresql.sh

demo: $(VENV)/demo-ready mosquitto
	$(BIN)/patchline demo

check: $(VENV)/test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check mosquitto postgresql
	$(BIN)/pytest $(PYTEST_FLAGS) -m 'not slow and not torch'

test-slow: $(VENV)/test-ready mosquitto postgresql
	$(BIN)/pytest $(PYTEST_FLAGS) -m 'slow and not torch'

test-torch: $(VENV)/test-ready mosquitto
	@$(BIN)/python -c 'import torch, onnx' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0' 'onnx>=1.16,<2'
	$(BIN)/pytest $(PYTEST_FLAGS) -m torch

torture: $(VENV)/test-ready mosquitto
	$(BIN)/python -m tests.rigs.torture --seconds $(TORTURE_SECONDS) --json runs/torture.json --evidence runs/torture

docs: $(VENV)/test-ready
	$(BIN)/mkdocs build --strict

format: $(VENV)/test-ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache runs
