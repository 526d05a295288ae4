# `make demo` reconstructs the bundled sample; `make test` runs all tests. `make help` lists the rest.
# PYTHON=python3.12 chooses the interpreter; without it the newest of 3.11 to 3.13 that runs is taken.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.installed-base
DEV := $(VENV)/.installed-dev
PYSIDE := .venv-pyside
PYSIDE_DEV := $(PYSIDE)/.installed
PIP_OPTIONS := install --disable-pip-version-check --quiet

.PHONY: help demo test test-pyside lint types manifest docs bench screenshots clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

demo: $(BASE)  ## reconstruct the bundled sample into demo/
	@mkdir -p demo
	$(BIN)/napari-subangstrom-cdi demo -o demo/platelet.cxi
	@printf '\nResult and picture report:\n'; ls -1 $(CURDIR)/demo/platelet*

test: $(DEV)  ## run all tests (those with a window on a virtual display)
	@bash tools/gui_libraries.sh
	@bash tools/run_tests.sh $(BIN)/python

# What a window is most likely to break by: its start, its work, its end. `make test-pyside TESTS=tests/gui` runs all.
test-pyside: LIFE := $(foreach part,binding closing later manners,tests/gui/test_$(part).py)
test-pyside: WORK := $(foreach part,whole_path soak,tests/gui/test_$(part).py)
test-pyside: $(PYSIDE_DEV)  ## run the tests of the window's whole life on PySide6, the other Qt binding
	@bash tools/gui_libraries.sh
	@QT_API=pyside6 bash tools/run_tests.sh $(PYSIDE)/bin/python \
	  $(if $(TESTS),-p no:cacheprovider $(TESTS),--shards "$(LIFE)" "$(WORK)")

lint: $(DEV)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)  ## check types
	$(BIN)/mypy

manifest: $(DEV)  ## validate the napari manifest, as installed
	$(BIN)/npe2 validate --imports napari-subangstrom-cdi

docs: $(DEV)  ## build the documentation's site in docs/_build/html; a broken link, page or picture fails
	rm -rf docs/_build
	$(BIN)/python -m sphinx -q -n -W --keep-going -c docs -d docs/_build/doctrees . docs/_build/html

bench: $(BASE)  ## time an iteration against the fastest FFT pair
	$(BIN)/napari-subangstrom-cdi bench

screenshots: $(DEV)  ## take the documentation's pictures from the real window, on a virtual display
	@bash tools/gui_libraries.sh
	env -u QT_QPA_PLATFORM xvfb-run -a -s "-screen 0 1600x1000x24" $(BIN)/python tools/screenshots.py

clean:  ## remove the virtual environment, the demo's output and caches
	rm -rf $(VENV) $(PYSIDE) demo build dist docs/_build docs/api htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@bash tools/make_venv.sh $(VENV)

$(BASE): pyproject.toml | $(BIN)/python
	@echo "Installing the package into $(VENV) ..."
	@bash tools/install.sh $(BIN)/python --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	@echo "Installing the package, napari, Qt and the test tools into $(VENV) (some minutes the first time) ..."
	@bash tools/install.sh $(BIN)/python --editable '.[dev]'
	@touch $@ $(BASE)

# Sees all that $(VENV) has, and adds PySide6: of the version that napari takes, unless pyproject.toml knows better.
$(PYSIDE_DEV): $(DEV)
	@echo "Installing PySide6 into $(PYSIDE) ..."
	@$(BIN)/python -m venv --clear --without-pip $(PYSIDE)
	@echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" \
	  >"$$($(PYSIDE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/$(notdir $(VENV)).pth"
	$(BIN)/python -m pip --python $(PYSIDE)/bin/python $(PIP_OPTIONS) --editable '.[pyside6]'
	@touch $@
