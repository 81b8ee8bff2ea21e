# Two commands on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEMO ?= demo

.PHONY: demo test coverage test-slow planted-faults docs bench bench-quick lint install clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## simulate a small recording, fit the CNN-GRU, score it, write the report
	rm -rf $(DEMO)
	$(BIN)/freegaze simulate --minutes 8 --neurons 30 --seed 1 --track affine --out $(DEMO)/mouse
	$(BIN)/freegaze train $(DEMO)/mouse --model behavior_only --out $(DEMO)/behavior_only
	$(BIN)/freegaze train $(DEMO)/mouse --model cnn_gru --out $(DEMO)/cnn_gru
	$(BIN)/freegaze evaluate $(DEMO)/behavior_only
	$(BIN)/freegaze evaluate $(DEMO)/cnn_gru
	$(BIN)/freegaze report $(DEMO)/cnn_gru --against $(DEMO)/behavior_only

# Modules with checks of types are compiled once, and not in every process of the tests.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test: $(STAMP)  ## all tests but the slow ones; two processes of one thread each
	$(PYTEST)

coverage: $(STAMP)  ## the same, a third slower: which lines do they run? Fails below the share in pyproject.toml
	$(PYTEST) --cov --cov-report=term:skip-covered

test-slow: $(STAMP)  ## the full counts
	$(BIN)/pytest -m slow

planted-faults: $(STAMP)  ## do the tests catch faults?
	$(BIN)/python tests/planted_faults.py

docs: $(STAMP)  ## the documentation site, with its notebooks executed; warnings are errors
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/site

bench: $(STAMP)  ## speed and memory beside a plain rendering of the method; half an hour
	$(BIN)/python benchmarks/speed.py --out runs/speed.json

bench-quick: $(STAMP)  ## the same with few turns and without whole fits; below five minutes
	$(BIN)/python benchmarks/speed.py --out runs/speed.json --quick

lint: $(STAMP)
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf .venv $(DEMO) dist build
