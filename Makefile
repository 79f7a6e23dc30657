# Every target sets itself up on a fresh machine: a virtual environment, the pinned packages and the two embedded models.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo-out
BIN := $(VENV)/bin
READY := $(VENV)/ready

export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help setup test check demo docs format clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt scripts/weights.txt scripts/setup.sh
	PYTHON='$(PYTHON)' VENV='$(VENV)' bash scripts/setup.sh
	@touch $@

setup: $(READY)  ## Make the virtual environment; done again only when pins change

test: $(READY)  ## Run every test; needs no network
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

check: $(READY)  ## Style, types, import direction, public surface, import cost, documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/test_public_api.py tests/test_import_cost.py tests/test_docs.py

demo: $(READY)  ## Race all five candidates on a generated company; the result is in demo-out/
	test -e $(DEMO)/groundtune.toml || $(BIN)/groundtune init $(DEMO) --demo
	$(BIN)/groundtune decide --workspace $(DEMO)

docs: $(READY)  ## Write what is generated: docs/cli.md and the tree in README.md
	$(BIN)/python scripts/docs.py

format: $(READY)  ## Sort imports, lay out and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the virtual environment, caches and the demo
	rm -rf '$(VENV)' '$(DEMO)' .pytest_cache .mypy_cache .ruff_cache .hypothesis
