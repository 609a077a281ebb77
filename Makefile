# Every target does its own set-up, in .venv: nothing is installed outside of this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := python -m pip install -q --disable-pip-version-check
# pip compiles what it installs, but no editable installation; where PYTHONDONTWRITEBYTECODE is set, nothing else would.
COMPILE = $(BIN)/python -m compileall -q ckanpackager
# As many test processes as there are processors; make test PYTEST="-k spool" runs some of the tests.
PYTEST ?=
# The CKAN that make test-ckan builds: 2.10.11, 2.11.6 and 2.12.0 are known to work.
CKAN ?= 2.11.6
BENCH ?=

.PHONY: help demo test test-fast test-lowest test-ckan lint format bench example man schema pictures dist clean

help:
	@echo "make demo         a demonstration on this machine, from a request to the mailed link"
	@echo "make test         all tests"
	@echo "make test-fast    the unit tests: no servers, no processes"
	@echo "make test-lowest  all tests, with the oldest libraries that are supported"
	@echo "make test-ckan    the CKAN extension, in a real CKAN with PostgreSQL and Redis (CKAN=2.12.0 names another)"
	@echo "make lint         ruff and mypy"
	@echo "make format       let ruff format the code"
	@echo "make bench        measure (BENCH='100000 1000000' gives the numbers of rows)"
	@echo "make example      write ckanpackager.yaml.example from the settings"
	@echo "make man          write the man pages in docs/man from the help of the commands"
	@echo "make schema       write the tables of a new SQLite database from those of SQLAlchemy"
	@echo "make pictures     make the README's pictures anew (needs Chromium)"
	@echo "make dist         build and check the sdist and the wheel, in dist/"
	@echo "make clean        remove all that these targets made"

demo: $(VENV)/installed
	$(BIN)/ckanpackager demo --directory .demo

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto $(PYTEST)

test-fast: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto tests/unit $(PYTEST)

test-lowest: $(VENV)-lowest/installed-test
	$(VENV)-lowest/bin/python -m pytest -n auto $(PYTEST)

test-ckan: $(VENV)/installed
	contrib/ckanext-packager/test.sh $(CKAN) $(PYTEST)

lint: $(VENV)/installed-lint $(VENV)/installed-test  # the type checker reads what the tests import, too
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed-lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-test
	$(BIN)/python -m bench.packaging $(BENCH)
	$(BIN)/python -m bench.formats $(BENCH)

example: $(VENV)/installed
	$(BIN)/python -c "from ckanpackager.config.example import documented_example; print(documented_example(), end='')" > ckanpackager.yaml.example

man: $(VENV)/installed-test
	$(BIN)/python docs/man/make.py

schema: $(VENV)/installed
	$(BIN)/python -c "from ckanpackager.statistics.schema import sqlite_schema; print(sqlite_schema(), end='')" > schema.sql
	mv schema.sql ckanpackager/statistics/sqlite_schema.sql

pictures: $(VENV)/installed-test
	$(BIN)/python docs/images/make.py

dist: $(VENV)/installed-test $(VENV)/installed-judges
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-ckan-* .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One file says what is in the virtual environment: `installed` the program, `installed-test` what runs its tests, …
.PRECIOUS: $(VENV)/installed-%

$(VENV)/created: contrib/venv.sh
	sh contrib/venv.sh $(PYTHON) $(VENV)
	touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml
	$(BIN)/$(PIP_INSTALL) -e .
	$(COMPILE)
	touch $@

$(VENV)/installed-%: $(VENV)/created pyproject.toml
	$(BIN)/$(PIP_INSTALL) -e ".[$*]"
	$(COMPILE)
	touch $@

$(VENV)-lowest/installed-test: pyproject.toml tests/lowest.txt contrib/venv.sh
	sh contrib/venv.sh $(PYTHON) $(VENV)-lowest
	$(VENV)-lowest/bin/$(PIP_INSTALL) -e ".[test]" -c tests/lowest.txt
	touch $@
