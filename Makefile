# Everything sets itself up: only Python >= 3.11 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CI ?=

.PHONY: demo test lint types unit bench clean

demo: $(VENV)/.demo
	$(BIN)/ohlcache demo $(if $(CI),--no-serve)

test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

bench: .bench-venv/.ready
	.bench-venv/bin/python -m benchmarks

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[demo]'
	touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.demo

# The peers have requirements of their own, so they get an environment of their own.
.bench-venv/.ready: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[polars,redis,postgres,lake]' -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) .bench-venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
