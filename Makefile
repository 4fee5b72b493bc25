.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
BENCH := .venv/.bench-ready
CLIENTS := tests/clients/node_modules/.ready examples/vitest/node_modules/.ready

.PHONY: help
help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Set up what the server needs, inside this folder

$(STAMP): tools/setup requirements/setup.txt requirements/dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" tools/setup

$(CLIENTS): %/node_modules/.ready: tools/setup-npm requirements/node.txt %/package.json %/package-lock.json | $(STAMP)
	@tools/setup-npm $*

.PHONY: clients
clients: $(CLIENTS) ## Install the npm packages that tests need

.PHONY: demo
demo: $(STAMP) ## Show Tieline at work on a simulated Bitbucket; ONCE=1 ends after the tour
	@$(BIN)/python -m tools.demo $(if $(ONCE),--once)

.PHONY: test
test: $(STAMP) $(CLIENTS) ## Run every test but those that take minutes
	@$(BIN)/python -m compileall -q src # the servers that tests start do not compile themselves each time then
	@# The bytecode of tests, too: to rewrite their assertions takes longer than to run many of them.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

.PHONY: long
long: $(STAMP) ## Run the tests that take minutes: killing the server twenty times
	@$(BIN)/python -m compileall -q src
	@$(BIN)/pytest -m long tests/story $(ARGS)

.PHONY: check
check: $(STAMP) ## Check format, lint, types, import rules and docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.docs --check

.PHONY: format
format: $(STAMP) ## Format the code and write the generated parts of the docs
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m tools.docs

.PHONY: bench
bench: $(BENCH) ## Measure, and print one table of ratios
	@$(BIN)/python -m bench $(ARGS)

$(BENCH): tools/setup-bench requirements/bench.txt $(STAMP)
	@tools/setup-bench

.PHONY: lock
lock: $(STAMP) $(CLIENTS) ## Write the requirements files anew from pyproject.toml
	@tools/lock
