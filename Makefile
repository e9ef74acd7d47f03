# `make` alone lists the targets. Everything happens inside this folder: .venv, demo and runs.

PYTHON ?= python3
VENV ?= .venv
BEARCNN := $(VENV)/bin/bearcnn
STAMP := $(VENV)/.installed
TOOLS := $(VENV)-tools

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
LOCKED = $(PIP) --require-hashes --no-deps -r

$(STAMP): pyproject.toml $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bearcnn needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(LOCKED) requirements/lock.txt
	@# A build for processors alone, where pip is offered one. PyPI's for Linux needs NVIDIA's libraries besides, 3 GB.
	$(LOCKED) requirements/torch-cpu.txt 2>/dev/null || $(LOCKED) requirements/torch.txt
	@if $(VENV)/bin/python -c 'from importlib import metadata as m; exit("nvidia" not in str(m.requires("torch")))'; \
		then $(LOCKED) requirements/cuda.txt; fi
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: $(STAMP)  ## Make .venv with bearcnn in it, at the versions the tests ran with

.PHONY: demo
demo: $(STAMP)  ## Draw scenes, train, evaluate, export, predict: the whole way, in some minutes
	@VENV=$(abspath $(VENV)) bash scripts/demo.sh

.PHONY: test
test: lint types  ## Lint, layers, types and all tests; PYTEST="--cov" adds options
	$(VENV)/bin/python -m pytest $(PYTEST)

.PHONY: quick
quick: $(STAMP)  ## The tests that start no process and train for no more than seconds, in about a minute and a half
	$(VENV)/bin/python -m pytest -m "not slow" --hypothesis-profile=quick

.PHONY: torture
torture: $(STAMP)  ## Kill it, starve it and feed it broken files, for an hour or more; PYTEST="-k kills" chooses
	$(VENV)/bin/python -m pytest tests/torture -m torture --numprocesses=0 --timeout=0 $(PYTEST)

.PHONY: browser
browser: $(STAMP)  ## All pages in headless Chromium; skipped where there is none
	$(PIP) -c constraints.txt -e '.[browser]'
	$(VENV)/bin/python -m pytest tests/report/test_browser.py tests/explain/test_page_in_browser.py \
		tests/inference/test_contact_sheet_in_browser.py tests/export/test_html_in_browser.py

.PHONY: lesson
lesson: $(STAMP)  ## Run the lesson's commands (docs/lesson.md) and print how long each step takes
	$(VENV)/bin/python scripts/lesson.py

.PHONY: pictures
pictures: $(STAMP)  ## Draw the pictures in README and docs that are out of date; PICTURES="windows.png" chooses
	$(PIP) -c constraints.txt -e '.[browser]'
	$(VENV)/bin/python scripts/pictures.py $(PICTURES)

.PHONY: docs
docs: $(STAMP)  ## The documentation as a site in site/, which works offline; every link is checked
	$(PIP) -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict
	@echo "open site/index.html in a browser"

.PHONY: bench
bench: $(STAMP)  ## The quick benchmarks: start-up, prediction and training beside plain fastai, in about 10 minutes
	$(VENV)/bin/python benchmarks/import_time.py --rounds 3
	$(VENV)/bin/python benchmarks/cold_predict.py --rounds 3
	$(VENV)/bin/python benchmarks/folder_predict.py --small 300 --large 60
	$(VENV)/bin/python benchmarks/training_speed.py --sizes 32,128 --photos 512

.PHONY: lint
lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

.PHONY: types
types: $(STAMP)
	$(VENV)/bin/mypy

.PHONY: format
format: $(STAMP)  ## Bring the code into shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: lock
lock: $(TOOLS)  ## Write requirements/ anew from constraints.txt: versions and hashes
	PATH="$(abspath $(TOOLS))/bin:$$PATH" scripts/lock.sh

.PHONY: supply
supply: $(STAMP) $(TOOLS)  ## List the licences of all that runs, none of them GPL or AGPL, and known vulnerabilities
	$(TOOLS)/bin/pip-licenses --python $(VENV)/bin/python --packages $$($(VENV)/bin/python -m tests.helpers.supply) \
		--partial-match --fail-on 'GPL;Affero;GNU'
	scripts/audit.sh $(TOOLS)/bin

.PHONY: newest
newest:  ## Try the newest torch, torchvision and fastai, in an environment of its own: the fast tests
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager torch torchvision fastai -e '.[dev,pretrained]'
	$(VENV)-newest/bin/python -m pip list | grep -E '^(torch|torchvision|fastai|fastcore|onnx|onnxruntime|numpy) '
	$(VENV)-newest/bin/python -m pytest -m "not slow" --hypothesis-profile=quick

$(TOOLS):
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check uv pip-audit pip-licenses

.PHONY: clean
clean:  ## Delete .venv, the site and caches of tools; never demo, runs or photos
	rm -rf site $(VENV) $(TOOLS) $(VENV)-newest .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage *.egg-info
