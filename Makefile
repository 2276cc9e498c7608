# Two commands do everything: `make repro` and `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help repro test lint types lock ui clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

repro: $(VENV)/core.stamp ## set up the environment and run the whole pipeline
	dvc repro

test: $(VENV)/dev.stamp system ## set up the environment, then lint, types and all tests
	ruff check .
	ruff format --check .
	mypy .
	pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev.stamp ## format and fix
	ruff format .
	ruff check --fix .

types: $(VENV)/dev.stamp ## check the types
	mypy .

ui: $(VENV)/core.stamp ## browse runs and models
	MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:///mlflow.db

clean: ## remove outputs and the environment
	rm -rf artifacts $(VENV) .mypy_cache .pytest_cache .ruff_cache

# The environment is made with pip alone from hashed locks; the stamp says which lock is in it. The
# locks are complete, so nothing is resolved; modules are compiled when first imported, which for
# most of them is never: together that halves the time.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/core.stamp
	$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# The report tests open pages in a real browser, the source tests read from a real PostgreSQL
# server, the Spark tests need Java, and the lists are opened in LibreOffice.
.PHONY: system
system:
	@missing=""; \
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing="chromium fonts-noto-cjk"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v java >/dev/null || missing="$$missing default-jre-headless"; \
	command -v soffice >/dev/null || missing="$$missing libreoffice-calc-nogui"; \
	command -v pdffonts >/dev/null || missing="$$missing poppler-utils"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q $$missing >/dev/null; \
	  else \
	    echo "The tests need these system packages: $$missing; install them or put their programs on PATH." >&2; exit 1; \
	  fi; fi
