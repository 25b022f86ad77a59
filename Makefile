# Everything runs in .venv, which the first command makes: Python 3.11, make and a network will do.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# The labelling server that a test starts wants other versions than we do: an environment of its own.
SERVER := .venv-label-studio/.ready

# Tests run in two processes of one thread each. More threads than cores mostly wait for each other.
TEST_WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

# Real films with exact truth, where they are; tests that need them are skipped elsewhere.
ifneq ($(wildcard ../shared/media),)
export OSSL_TEST_MEDIA ?= $(abspath ../shared/media)
endif

.PHONY: help setup prepare demo test test-all lint bench clean

help:
	@echo "make demo      build a corpus from three bundled film excerpts in demo-corpus/"
	@echo "make test      check the code and run the tests"
	@echo "make test-all  the same with the slow ones (half an hour)"
	@echo "make bench     measure speed and memory against other tools, as ratios"

setup: $(READY)

# Both environments; with -j2, side by side.
prepare: $(READY) $(SERVER)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[all]"
	$(BIN)/pip install --quiet --no-deps audiocraft==1.3.0
	@touch $@

$(SERVER): Makefile
	$(PYTHON) -m venv .venv-label-studio
	.venv-label-studio/bin/pip install --quiet label-studio==1.23.2
	@touch $@

demo: $(READY)
	$(BIN)/ossl demo --out demo-corpus

lint: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy --no-error-summary

test: lint $(SERVER)
	$(PYTEST) -m "not slow"

test-all: lint $(SERVER)
	$(PYTEST)

bench: $(READY)
	$(BIN)/python -m tests.benchmarks --work .bench

clean:
	rm -rf .bench demo-corpus build dist
