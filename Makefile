# make demo   run the main job on the embedded model
# make test   run the whole test suite
# make check  lint, types, layers
# make docs   build the documentation site into build/site; a warning fails it
# Each makes .venv from pyproject.toml; PYTHON names another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: demo test check docs clean

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
	rm -rf $(VENV)
