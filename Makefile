# Two commands for a newcomer: `make demo` and `make test`. Python 3.11, make and git are enough to begin.

SHELL := /bin/bash
PYTHON ?= python3
export DAGSTER_DISABLE_TELEMETRY := yes
export NO_MKDOCS_2_WARNING := 1
# The tests start hundreds of processes. Each of them would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
UV := UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 .uv/bin/uv
BIN := .venv/bin
DEMO := .demo/example

.DEFAULT_GOAL := help
.PHONY: help demo test check newest ui bench bench-check soak docs verifier screenshots lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The requirements name versions and hashes and no host: pip and uv download from the index that this machine is set to.
.uv/.ready: requirements/uv.txt
	@echo "preparing .uv (uv, hashes checked)"
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes --requirement requirements/uv.txt
	@touch $@

.venv/.ready: pyproject.toml requirements/dev.txt .uv/.ready
	@echo "preparing .venv (pinned versions, hashes checked)"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The tests check pages for accessibility with axe-core. npm downloads from the registry that this machine is set to.
.axe/.ready: requirements/axe-core.sha512
	@echo "preparing .axe (axe-core, hash checked)"
	@mkdir -p .axe && cd .axe && npm pack --silent axe-core@4.10.2 > /dev/null && \
		sha512sum --quiet --check ../requirements/axe-core.sha512 && tar -xzf axe-core-4.10.2.tgz package/axe.min.js
	@touch $@

demo: .venv/.ready ## make the example repository, run the graph through Dagster, activate, verify
	@$(BIN)/python tools/demo.py --dir $(DEMO)

# Two workers more than two processors: the tests that start Dagster's servers share them, and mostly wait.
test: .venv/.ready ## all tests
	$(BIN)/python -m pytest -n 4

check: .venv/.ready ## lint, format, types, import contracts, generated documents, links of the site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/docs.py --check
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(BIN)/mkdocs build --site-dir "$$folder"

# Packages in .newest come before the pinned ones. They are resolved each time, which is the purpose.
newest: .venv/.ready ## import the definitions, and test the public package, with the newest Dagster of pyproject.toml's range
	@rm -rf .newest
	@$(UV) pip install --quiet --upgrade --python $(BIN)/python --target .newest --requirements pyproject.toml \
		--extra attest --extra scale
	@PYTHONPATH="$(CURDIR)/.newest" $(BIN)/python -c "import dagster_webserver, dagster_graphql, dagster_dg_cli, \
		dagster_celery, dagster_postgres, \
		dagster, registry_pipeline.definitions; print('Dagster', dagster.__version__)"
	@PYTHONPATH="$(CURDIR)/.newest" $(BIN)/python -m pytest -q -n 0 registry_pipeline_tests/dagster_package

ui: .venv/.ready ## Dagster's pages for the example repository, on loopback
	@test -d $(DEMO) || $(BIN)/registry-pipeline example $(DEMO)
	@$(BIN)/registry-pipeline -C $(DEMO) ui

bench: .venv/.ready ## ratios against straightforward scripts, measured side by side; results and docs/benchmarks.md
	$(BIN)/python benchmarks/commands.py
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/seal.py
	$(BIN)/python benchmarks/activate.py
	$(BIN)/python benchmarks/stack.py
	$(BIN)/python benchmarks/dagster_ui.py
	$(BIN)/python benchmarks/shards.py
	$(BIN)/python benchmarks/history.py
	$(BIN)/python benchmarks/delta_log.py
	$(BIN)/python benchmarks/members.py
	$(BIN)/python benchmarks/roles.py
	$(BIN)/python benchmarks/roles_command.py
	$(BIN)/python benchmarks/roles_history.py
	$(BIN)/python benchmarks/entries.py
	$(BIN)/python benchmarks/run_index.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python tools/docs.py

bench-check: .venv/.ready ## counts that do not depend on load (system calls, fsyncs, verifications), each with a ceiling
	$(BIN)/python benchmarks/check_counts.py

soak: .venv/.ready ## what takes longer: kills at every call, power cuts, property tests with ten times the examples
	$(BIN)/python -m pytest -n 2 -m "soak or hypothesis" --hypothesis-profile=soak --timeout=14400

docs: .venv/.ready ## rewrite the generated parts of the documents, and build their site into site/
	$(BIN)/python tools/docs.py
	$(BIN)/mkdocs build

# Packed by a bare Python, as it will run.
verifier: ## dist/registry-verify.pyz: verify seals, pointers and chain with Python alone
	@$(PYTHON) -I -S tools/standalone.py

screenshots: .venv/.ready ## take the pictures of docs/how-to/use-dagster-ui.md again, in Chromium
	$(BIN)/python tools/screenshots.py

# Versions that are pinned stay as they are; `make lock UPGRADE=--upgrade` takes the newest of all.
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

lock: .uv/.ready ## pin the versions and hashes of pyproject.toml's dependencies again
	@$(UV) $(COMPILE) $(UPGRADE) --group dev --extra attest --extra scale pyproject.toml --output-file requirements/dev.txt
	@$(UV) $(COMPILE) requirements/uv.in --output-file requirements/uv.txt

clean: ## remove what make made
	rm -rf .venv .uv .newest .axe .demo dist site
