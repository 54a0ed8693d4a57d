# Everything a reader needs sets itself up: `make demo` shows a line at work, `make test` proves the house.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One worker a core; the tests of a file stay together, since they share what takes long to set up.
PYTEST_FLAGS ?= --numprocesses auto --dist loadfile
TORTURE_SECONDS ?= 3600

.PHONY: help demo test check format test-torch torture bench clean mosquitto

help:
	@echo "make demo        a simulated line, end to end, with a report at the end"
	@echo "make test        formatting, lint, types, architecture and all tests"
	@echo "make check       the same without running the tests"
	@echo "make test-torch  the tests once more with the torch extra installed"
	@echo "make torture     every known fault on real lines for TORTURE_SECONDS, and the books after each round"
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
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[analytics,bench,camera,site,dev]'
	@touch $@ $(VENV)/demo-ready

mosquitto:
	@sh broker_config/install_mosquitto.sh

demo: $(VENV)/demo-ready mosquitto
	$(BIN)/patchline demo

check: $(VENV)/test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check mosquitto
	$(BIN)/pytest $(PYTEST_FLAGS)

test-torch: $(VENV)/test-ready mosquitto
	@$(BIN)/python -c 'import torch, onnx' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0' 'onnx>=1.16,<2'
	$(BIN)/pytest $(PYTEST_FLAGS)

torture: $(VENV)/test-ready mosquitto
	$(BIN)/python -m tests.rigs.torture --seconds $(TORTURE_SECONDS) --json runs/torture.json --evidence runs/torture

format: $(VENV)/test-ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache runs
