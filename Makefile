# Two commands for a newcomer: `make demo` and `make test`. Python 3.11, make and git are enough to begin.

SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 .uv/bin/uv
BIN := .venv/bin
DEMO := .demo/example

.DEFAULT_GOAL := help
.PHONY: help demo test check ui bench soak docs lock clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# The lock names versions and hashes and no index: each machine's own package client decides where from.
.venv/.ready: pyproject.toml uv.lock
	@test -x .uv/bin/uv || { echo "preparing .uv"; $(PYTHON) -m venv .uv && .uv/bin/pip --quiet --disable-pip-version-check install uv==$(UV_VERSION); }
	@echo "preparing .venv (locked versions, hashes checked)"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) export --quiet --frozen --no-emit-project --output-file .uv/requirements.txt > /dev/null
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes .uv/requirements.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/.ready ## make the example repository, run the graph through Dagster, activate, verify
	@$(BIN)/python tools/demo.py --dir $(DEMO)

test: .venv/.ready ## all tests
	$(BIN)/python -m pytest -n 2

check: .venv/.ready ## lint, format, types, import contracts, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/docs.py --check

ui: .venv/.ready ## Dagster's pages for the example repository, on loopback
	@test -d $(DEMO) || $(BIN)/registry-pipeline example $(DEMO)
	@$(BIN)/registry-pipeline -C $(DEMO) ui

bench: .venv/.ready ## ratios against straightforward scripts, measured side by side
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/seal.py
	$(BIN)/python benchmarks/activate.py
	$(BIN)/python benchmarks/stack.py
	$(BIN)/python benchmarks/history.py
	$(BIN)/python benchmarks/delta_log.py
	$(BIN)/python benchmarks/roles.py
	$(BIN)/python benchmarks/roles_history.py
	$(BIN)/python benchmarks/entries.py
	$(BIN)/python benchmarks/run_index.py

soak: .venv/.ready ## what takes longer: kills at every call, power cuts, laws with ten times the examples
	$(BIN)/python -m pytest -n 2 -m "soak or hypothesis" --hypothesis-profile=soak --timeout=14400

docs: .venv/.ready ## rewrite the generated parts of the documents
	$(BIN)/python tools/docs.py

lock: ## resolve again, and take the hosts out of the lock
	@test -x .uv/bin/uv || { $(PYTHON) -m venv .uv && .uv/bin/pip --quiet install uv==$(UV_VERSION); }
	@$(UV) lock
	@sed -i -E -e 's#registry = "[a-z]+://[^"]*"#registry = "index"#' -e 's#url = "[a-z]+://[^"]*/([^/"]+)"#path = "\1"#' uv.lock

clean: ## remove what make made
	rm -rf .venv .uv .demo dist
