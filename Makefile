# The words of this house; continuous integration says the same ones. T=path narrows test, check and fix.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
DUMPS := $(BIN)/python -m tools.dumps
T ?=

.PHONY: setup run test check fix migrate bench db-top schema openapi contracts lock clean help

setup: .venv/dev-stamp ## Make .venv with everything that developing needs

run: .venv/run-stamp ## Start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/python -m tools.launch

test: setup ## Run all tests (T=path/to/test.py for some)
	$(BIN)/pytest -n 2 --dist loadgroup $(T)

check: setup ## Lint, types, import rules, migrations, spelling, generated files
	$(BIN)/ruff check $(or $(T),.)
	$(BIN)/ruff format --check $(or $(T),.)
	$(BIN)/basedpyright $(T)
	$(BIN)/lint-imports
	find services shared -name '*.sql' -path '*/migrations/*' -print0 | xargs -0 -r $(BIN)/squawk
	$(BIN)/codespell $(T)
	$(DUMPS) schema --check
	$(DUMPS) openapi --check
	$(DUMPS) contracts --check

fix: setup ## Repair what can be repaired by itself
	$(BIN)/ruff check --fix $(or $(T),.)
	$(BIN)/ruff format $(or $(T),.)

migrate: .venv/run-stamp ## Bring the schemas in .run up to date without starting the rest
	@exec $(BIN)/python -m tools.launch --only-migrate

bench: setup ## Play the morning rush, compare with others, print the requirement table (10 minutes)
	@$(BIN)/python -m bench

db-top: .venv/run-stamp ## Show what the running database spends its time on (URL=… for another one)
	@$(BIN)/python -m tools.db_top $(if $(URL),--url $(URL))

schema: setup ## Write services/*/schema.sql anew
	$(DUMPS) schema

openapi: setup ## Write services/*/openapi.json anew
	$(DUMPS) openapi

contracts: setup ## Write the event schemas and docs/events.md anew
	$(DUMPS) contracts

lock: setup ## Choose versions anew, none younger than a week, and write requirements*.lock
	$(call compile,requirements-dev.lock,--all-extras)
	$(call compile,requirements-embedded.lock,--extra embedded --constraint requirements-dev.lock)
	$(call compile,requirements.lock,--constraint requirements-dev.lock)

clean: ## Remove .run with all its data, .venv and caches
	rm -rf .run .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.venv/dev-stamp: requirements-dev.lock tools/setup.sh
	@tools/setup.sh requirements-dev.lock
	@touch .venv/run-stamp $@

.venv/run-stamp: requirements-embedded.lock tools/setup.sh
	@tools/setup.sh requirements-embedded.lock
	@touch $@

# The lock format is plain requirements with hashes: it names no index, so any mirror serves (ADR 0103).
compile = $(BIN)/uv pip compile pyproject.toml $(2) --output-file $(1) --upgrade --generate-hashes --no-header \
	--quiet --python-version 3.11 --exclude-newer "$$(date -u -d '7 days ago' +%Y-%m-%dT00:00:00Z)"
