# Every target does all its set-up, in .venv; nothing is installed outside of this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# As many test processes as there are processors; make test PYTEST="-k spool" runs some.
PYTEST ?=
BENCH ?=

.PHONY: help demo test test-lowest lint format bench example clean

help:
	@echo "make demo         the whole walk, from request to mailed link, on this machine"
	@echo "make test         all tests"
	@echo "make test-lowest  all tests with the oldest libraries that are supported"
	@echo "make lint         ruff and mypy"
	@echo "make bench        measure (BENCH='100000 1000000' names the numbers of rows)"
	@echo "make example      write ckanpackager.yaml.example from the settings"

demo: $(VENV)/installed
	$(BIN)/ckanpackager demo --directory .demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto $(PYTEST)

test-lowest: $(VENV)-lowest/installed
	$(VENV)-lowest/bin/python -m pytest -n auto $(PYTEST)

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed
	$(BIN)/python -m bench.packaging $(BENCH)
	$(BIN)/python -m bench.formats $(BENCH)

example: $(VENV)/installed
	$(BIN)/python -c "from ckanpackager.config.example import documented_example; print(documented_example(), end='')" > ckanpackager.yaml.example

clean:
	rm -rf $(VENV) $(VENV)-lowest .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/installed: setup.py contrib/venv.sh
	sh contrib/venv.sh $(PYTHON) $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[test,lint]"
	touch $@

$(VENV)-lowest/installed: setup.py tests/lowest.txt contrib/venv.sh
	sh contrib/venv.sh $(PYTHON) $(VENV)-lowest
	$(VENV)-lowest/bin/pip install -q --disable-pip-version-check -e ".[test]" -c tests/lowest.txt
	touch $@
