# `make` alone lists the targets.
.DEFAULT_GOAL := help
BIN := .venv/bin
MADE := .venv/.made
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider
# Compiles pyproject.toml to a list with hashes and without addresses. Left out: niquests and what only it needs; it would
# overwrite the real urllib3 (pyproject.toml says why, tests/test_dependencies.py watches).
LOCK := $(BIN)/python -m uv pip compile pyproject.toml --quiet --generate-hashes --universal --python-version 3.11 --no-annotate --no-header \
	--no-emit-package niquests --no-emit-package urllib3-future --no-emit-package qh3 --no-emit-package jh2 --no-emit-package wassima
# Runs a command until it ends. Ctrl-C reaches it as SIGTERM, which ends it well at every moment: a Python that is just starting
# up answers SIGINT with a traceback.
RUN = stop() { stopped=1; kill -TERM $$child 2>/dev/null; }; trap stop INT; \
	$(BIN)/lockstep $(1) $(if $(PORT),--port $(PORT)) & child=$$!; \
	wait $$child 2>/dev/null; status=$$?; while kill -0 $$child 2>/dev/null; do wait $$child 2>/dev/null; status=$$?; done; \
	test -n "$$stopped" || exit $$status

# Programs start often here, most of all in the tests: what Python has compiled is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env lock demo serve test check bench drill translations

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

env: $(MADE) ## make .venv with .venv/bin/lockstep; does nothing when nothing changed

$(MADE): requirements-dev.txt pyproject.toml .ci/env .ci/uv.txt
	@.ci/env
	@touch $@

demo: $(MADE) ## a made-up studio with its own calendar server; PORT=8001 for another port, GOOGLE=1 adds a stand-in for Google; Ctrl-C stops everything
	@$(call RUN,serve --demo $(if $(GOOGLE),--google))

serve: $(MADE) ## run it for real, with the data under LOCKSTEP_DATA (./var); PORT=8001 for another port
	@$(call RUN,serve)

test: $(MADE) ## the whole test suite, on SQLite and PostgreSQL, with real servers and a browser; AT=new-years-eve as if it were then
	@$(if $(AT),$(BIN)/python -m tests.support.moments $(AT) --) $(PYTEST) -q -n 3 --dist loadfile --no-loadscope-reorder $(TESTS)

check: $(MADE) ## style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy portal providers worker.py

bench: $(MADE) ## measure speed and size; prints a table, writes bench.json
	@$(BIN)/python -m tests.bench

drill: $(MADE) ## the kill drill: kill the worker at every step of a publish and of a pull, and look for losses and duplicates
	@$(PYTEST) -v tests/faults

translations: $(MADE) ## bring the Spanish and Hungarian texts up to date with the code; names what wants a translation
	@$(BIN)/python -m portal.language

lock: $(MADE) ## write requirements.txt and requirements-dev.txt anew from pyproject.toml
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet --require-hashes -r .ci/uv.txt
	@$(LOCK) -o requirements.txt
	@$(LOCK) --extra dev -o requirements-dev.txt
