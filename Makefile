# One command for each thing that people do here; each makes the environment first.
PYTHON ?= python3
BIN := .venv/bin
RECIPE ?= qm9-webbook

.PHONY: run test bench lint clean

run: .venv/ready
	$(BIN)/matlift run $(RECIPE)

test: .venv/test
	$(BIN)/python -m pytest

bench: .venv/bench .venv/matminer/ready
	$(BIN)/python -m pytest tests/bench --override-ini=addopts= --benchmark-quiet --benchmark-json=benchmarks.json

lint: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) .
	touch $@

.venv/test: .venv/ready
	$(PIP) ".[test]"
	touch $@

.venv/bench: .venv/ready
	$(PIP) ".[bench]"
	touch $@

.venv/matminer/ready: tests/bench/matminer.txt
	$(PYTHON) -m venv .venv/matminer
	.venv/matminer/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

clean:
	rm -rf .venv .matlift
