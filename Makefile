# `make demo` and `make test` work on a fresh machine: each makes .venv first where it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= ../shared/alerts

.PHONY: install demo test test-slow lint types clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: install
	mkdir -p out
	$(BIN)/broker-plugin classify examples/packets -o out/demo.jsonl
	@echo
	@echo "The first record of out/demo.jsonl:"
	@head -n 1 out/demo.jsonl | $(BIN)/python -m json.tool

test: install
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

test-slow: install
	$(BIN)/python -m pytest -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out build dist *.egg-info
