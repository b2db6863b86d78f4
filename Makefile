# Each target sets the project up by itself. Other Pythons: `make test PYTHON=python3.12 VENV=.venv-3.12`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
LARGE := $(VENV)/.large
TWIN := $(VENV)/.twin

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment (again only when pyproject.toml changed)

demo: $(READY) ## pack a real dataset, read it, change it, train on it
	$(RUN) examples/demo.py

quick: $(TWIN) ## run the tests that take less than a second each: about 20 seconds
	$(RUN) -m pytest --quiet --numprocesses=auto -m 'not slow and not long and not exhaustive'

# What tests cover is measured with COVERAGE=1, by all targets together, from `make test` on; it takes half as long again.
COVER := $(if $(COVERAGE),--cov --cov-append --cov-report= --cov-fail-under=0)

test: $(TWIN) ## run the tests (COVERAGE=1: and measure what they cover)
	@rm -f .coverage
	$(RUN) -m pytest --numprocesses=auto -m 'not long' $(COVER)

test-pure: $(TWIN) ## run the tests of reading and writing without the compiled part
	DSRECORDS_NATIVE=0 $(RUN) -m pytest --quiet --numprocesses=auto -m 'not long' $(COVER) $(HOT)

# What the compiled part does: the same tests, and no others, run with it and without it.
HOT := tests/format tests/read tests/write tests/dataset tests/shards tests/storages tests/order tests/tools

sanitize: $(TWIN) ## run those with the sanitizers of addresses and of undefined behaviour in the compiled part
	$(RUN) tools/sanitize.py --quiet -m 'not long and not slow' $(HOT)

test-all: $(LARGE) ## run the tests that take long, and those that need large packages (some gigabytes), which it installs
	$(RUN) -m pytest --numprocesses=auto -m 'long and not large'
	DSRECORDS_TEST_LARGE=1 $(RUN) -m pytest -m large $(COVER)

coverage: ## say what the tests with COVERAGE=1 have covered; fails below the floor
	$(RUN) -m coverage report

torture: $(TWIN) ## the trials of docs/reliability.md in full: some hours on two cores (MINUTES=5: of fuzzing each target)
	$(RUN) -m pip install --quiet --group torture
	$(RUN) tests/reliability/torture.py
	DSRECORDS_TEST_FULL=1 $(RUN) -m pytest --quiet --numprocesses=auto -m exhaustive --ignore=tests/reliability

check: $(READY) ## lint, layout, types, complexity, density and structure
	$(RUN) -m ruff check
	$(RUN) -m ruff format --diff
	$(RUN) -m mypy
	$(VENV)/bin/complexipy src/dsrecords tools --max-complexity-allowed 15 --failed --quiet
	$(RUN) tools/density.py --check
	$(RUN) tools/architecture.py --check
	$(RUN) tools/command_reference.py --check
	$(RUN) tools/commits.py

bench: $(TWIN) ## measure speed: half an hour, ratios printed; the first run installs what is compared (10 GB)
	$(RUN) benchmarks/run.py --quick
	$(RUN) benchmarks/loading.py --make ours,mds,litdata,ffcv
	$(RUN) benchmarks/loading.py --share 0.25 --rounds 1 --modes warm

docs: $(READY) ## build the pages of docs/ into site/
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet --strict

release-check: $(READY) ## build the wheels, look at them, and try each alone under every Python of this machine
	$(RUN) -m pip install --quiet --group release
	$(RUN) tools/release_check.py

# The stamp comes last: a set-up that was interrupted starts anew. --clear, so that what was installed before cannot hide a
# dependency that pyproject.toml no longer names. Pip first: that of an old Python does not know --group.
$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON). Install Python 3.10 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); DSRecords needs Python 3.10 or newer. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "$(PYTHON) could not make a virtual environment. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable '.[all]' --group dev
	@touch $@

# The compiled twin, built anew where a source of it changed. Without a compiler there is none, and Python does its work.
$(TWIN): $(READY) hatch_build.py $(wildcard native/*)
	@$(RUN) hatch_build.py
	@touch $@

$(LARGE): $(TWIN)
	$(RUN) -m pip install --quiet --group large
	@touch $@

.PHONY: help setup demo quick test test-pure sanitize test-all coverage torture check bench docs release-check
