# Every target makes the virtual environment first if there is none.
.PHONY: help install demo test quick check format bench campaign docs notebooks reference readme clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := adapters,constraints,diagnosis,embedding,hub,language,mteb,quantisation,tensorboard,trackio,docs,test,dev
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3 python; do $$p -c "$(NEW_ENOUGH)" 2>/dev/null && { echo $$p; break; }; done)

help:
	@echo "make install     .venv with everything the tests need"
	@echo "make demo        train on built-in data with a built-in model, no network"
	@echo "make test        all tests, offline"
	@echo "make quick       the tests that train no model and need no browser"
	@echo "make check       format, lint, types, import directions, sizes, generated pages"
	@echo "make format      rewrite the code in the project's format"
	@echo "make bench NAME=... one measurement, benchmarks/NAME.py"
	@echo "make campaign    kills, damage, full disks: benchmarks/reliability.py, which goes on after an interruption"
	@echo "make docs        execute the notebooks, and build the documentation into docs/_build/html"
	@echo "make notebooks   execute the notebooks of the documentation, and write their pages"
	@echo "make reference   write the generated reference pages again"
	@echo "make readme      put the captured output of demo and test into README.md"
	@echo "make clean       remove what was built (not .venv, not runs/)"

install: $(STAMP)

# Some distributions ship Python without ensurepip; then the pip outside fills the environment.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "tunesmith needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	$(BIN)/tunesmith demo

# Two processes of one thread each: tiny models gain nothing from a second thread, and files are independent of each other.
test: export HF_HUB_OFFLINE = 1
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not notebook"

quick: export HF_HUB_OFFLINE = 1
quick: export OMP_NUM_THREADS = 1
quick: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --hypothesis-profile=quick -m "not slow and not trains and not browser and not notebook"

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/write_reference.py --check
	$(BIN)/python scripts/write_cli_reference.py --check
	$(BIN)/python scripts/write_python_reference.py --check
	$(BIN)/python scripts/write_source_map.py --check
	$(BIN)/python scripts/write_from_the_notebook.py --check
	$(BIN)/python scripts/write_notebooks.py --check
	$(BIN)/python scripts/update_readme.py --check
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_project.py tests/data/test_samples.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	@test -f "benchmarks/$(NAME).py" || { echo "make bench NAME=... with one of:" $(basename $(notdir $(wildcard benchmarks/*.py))) >&2; exit 2; }
	$(BIN)/python benchmarks/$(NAME).py

campaign: $(STAMP)
	$(BIN)/python benchmarks/reliability.py

docs: export HF_HUB_OFFLINE = 1
docs: $(STAMP)
	$(BIN)/python -m pytest -m notebook tests/test_notebooks.py
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

notebooks: $(STAMP)
	$(BIN)/python scripts/write_notebooks.py

reference: $(STAMP)
	$(BIN)/python scripts/write_reference.py
	$(BIN)/python scripts/write_cli_reference.py
	$(BIN)/python scripts/write_python_reference.py
	$(BIN)/python scripts/write_source_map.py
	$(BIN)/python scripts/write_from_the_notebook.py

readme: $(STAMP)
	$(BIN)/python scripts/update_readme.py

clean:
	rm -rf build dist docs/_build .pytest_cache .ruff_cache .mypy_cache .hypothesis src/*.egg-info
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
