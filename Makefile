# make demo   run the main job on the embedded model
# make test   run the whole test suite
# make test-unsloth-set  the tests of training against the versions that Unsloth takes
# make check  lint, types, layers
# make docs   build the documentation site into build/site; a warning fails it
# Each makes .venv from pyproject.toml; PYTHON names another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: demo test test-unsloth-set check docs clean

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "catagent needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) pip

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/installed

demo: $(VENV)/installed
	$(VENV)/bin/catagent solve --model embedded/auto --kind verifiable \
		"Tom has 3 bags with 4 apples each. How many apples does he have?"

test: $(VENV)/installed-dev
	$(VENV)/bin/pytest

# Unsloth takes older versions than plain TRL does, and cannot be installed beside them. Without its own
# dependencies, most of which need a GPU.
UNSLOTH := .venv-unsloth
UPIP := $(UNSLOTH)/bin/python -m pip --disable-pip-version-check install -q

$(UNSLOTH)/installed: pyproject.toml constraints-unsloth.txt
	$(PYTHON) -m venv $(UNSLOTH)
	$(UPIP) torch==2.13.0
	$(UPIP) -c constraints-unsloth.txt -e '.[train]' pillow psutil pytest pytest-asyncio pytest-timeout hypothesis
	$(UPIP) --no-deps -c constraints-unsloth.txt unsloth unsloth_zoo
	@touch $@

test-unsloth-set: $(UNSLOTH)/installed
	$(UNSLOTH)/bin/pytest tests/training

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(VENV)/installed-docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[docs]'
	@touch $@ $(VENV)/installed

docs: $(VENV)/installed-docs
	$(VENV)/bin/python docs/build.py

clean:
	rm -rf $(VENV) $(UNSLOTH)
