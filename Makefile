# make demo   run the main job on the embedded model
# make test   run the whole test suite
# make test-unsloth-set  the tests of training against the versions that Unsloth takes
# make test-integrations  the tests of the frameworks that need environments of their own
# make check  lint, types, layers
# make docs   build the documentation site into build/site; a warning fails it
# Each makes .venv from pyproject.toml; PYTHON names another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: demo test test-unsloth-set test-integrations check docs clean

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
# dependencies, most of which need a GPU. The TRL that it takes computes log-probabilities in Triton, which on a
# CPU runs in its interpreter.
UNSLOTH := .venv-unsloth
UPIP := $(UNSLOTH)/bin/python -m pip --disable-pip-version-check install -q

$(UNSLOTH)/installed: pyproject.toml constraints-unsloth.txt
	$(PYTHON) -m venv $(UNSLOTH)
	$(UPIP) torch==2.13.0
	$(UPIP) -c constraints-unsloth.txt -e '.[train]' pillow psutil pytest pytest-asyncio pytest-timeout hypothesis
	$(UPIP) --no-deps -c constraints-unsloth.txt unsloth unsloth_zoo triton
	@touch $@

test-unsloth-set: $(UNSLOTH)/installed
	TRITON_INTERPRET=1 $(UNSLOTH)/bin/pytest tests/training

# Frameworks that cannot be installed beside each other, in as few environments as they fit in. uv makes
# them in seconds; where it finds no index, pip does.
EXTRAS_agents := dspy,inspect,langchain,llama-index,llm,openai-agents,pydantic-ai
TESTS_agents := dspy inspect langchain llama_index llm openai openai_agents pydantic_ai examples
EXTRAS_crewai := crewai
TESTS_crewai := crewai examples
EXTRAS_rl := art,verifiers
TESTS_rl := art verifiers examples
INTEGRATIONS := agents crewai rl
TOOLS := pytest pytest-asyncio pytest-timeout hypothesis

.venvs/%/installed: pyproject.toml tests/integrations/constraints/%.txt | $(VENV)/bin/python
	$(PIP) uv
	$(PYTHON) -m venv --clear .venvs/$*
	$(VENV)/bin/uv pip install -q --compile-bytecode -p .venvs/$*/bin/python -c tests/integrations/constraints/$*.txt \
		-e '.[$(EXTRAS_$*)]' $(TOOLS) \
	|| .venvs/$*/bin/python -m pip --disable-pip-version-check install -q \
		-c tests/integrations/constraints/$*.txt -e '.[$(EXTRAS_$*)]' $(TOOLS)
	@touch $@

.SECONDARY: $(INTEGRATIONS:%=.venvs/%/installed)

# Some frameworks leave event loops and sockets behind, which shows when the process ends.
LEAKS := -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning

test-integrations-%: .venvs/%/installed
	@for name in $(TESTS_$*); do echo "$*: $$name"; \
		CATAGENT_INTEGRATIONS=$* .venvs/$*/bin/pytest $(LEAKS) tests/integrations/test_$$name.py || exit 1; done

test-integrations: $(INTEGRATIONS:%=test-integrations-%)

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
	rm -rf $(VENV) $(UNSLOTH) .venvs
