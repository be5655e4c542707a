# Every command of this project. Each target sets up what it needs; a second call starts at once.
#   make demo PYTHON=python3.12     another interpreter (3.11 to 3.13)
#   make test VENV=/path/to/venv    another environment

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
MANIFEST ?= $(OUT)/demo.parquet
LIBRARY ?= $(OUT)/library
ASSETS_CHECK ?= $(OUT)/assets_check
BENCH ?= $(if $(DOCS),docs/benchmarks,$(OUT)/benchmark)
RECIPE ?= toybox
PROMPTS ?=
SUITES ?= paper omega additions references costs baselines limits
MINUTES ?=
DOCS ?=

READY := $(VENV)/.installed
NODE_READY := node_modules/.installed
RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo assets assets-check test test-all chaos soak intake check lint types format bench bench-quality evaluate ablation clean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) $(NODE_READY) ## create the environment and install everything (all targets do this themselves)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] < (3, 14) else \
	  f"$(PYTHON) is Python {v[0]}.{v[1]}; this project needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

# The Khronos glTF validator and three.js are npm packages. Without them, assets say "not run" for two gates.
$(NODE_READY): package.json package-lock.json
	@mkdir -p $(@D)
	@if command -v npm >/dev/null; then npm ci --no-audit --no-fund; \
	  else echo "npm not found: the Khronos glTF validator and three.js are not installed; their gates will say \"not run\""; fi
	@mkdir -p $(@D) && touch $@

demo: setup ## four prompts become a library of 3D assets in out/demo (CPU only, no downloads)
	@mkdir -p $(OUT)
	$(RUN) jobs/make_manifest.py jobs/demo_prompts.txt $(OUT)/demo.parquet
	$(RUN) jobs/build_library.py $(OUT)/demo.parquet $(OUT)/demo --recipe toybox
	@echo "open $(OUT)/demo/index.html"

assets: setup ## your own MANIFEST=file.parquet into LIBRARY=folder, with RECIPE=name
	$(RUN) jobs/build_library.py $(MANIFEST) $(LIBRARY) --recipe $(RECIPE)

# The first run optimises the fields; the second finds them and only exports, so its seconds are those of exports alone.
assets-check: setup ## build 24 toys for two profiles and check all that is delivered; DOCS=1 for docs/assets
	@mkdir -p $(ASSETS_CHECK)
	$(RUN) jobs/make_manifest.py pipeline/dreamfoundry/evaluation/delivery/toys.txt $(ASSETS_CHECK)/toys.parquet
	for profile in game_hero game_prop; do \
	  $(RUN) jobs/build_library.py $(ASSETS_CHECK)/toys.parquet $(ASSETS_CHECK)/library --recipe toybox \
	    --profile $$profile --actors 2 --export-workers 2 || [ $$? -eq 3 ] || exit 1; done
	$(RUN) jobs/assets_check.py $(ASSETS_CHECK)/library --before docs/assets/before.json --json $(ASSETS_CHECK)/figures.json \
	  --markdown $(if $(DOCS),docs/assets,$(ASSETS_CHECK))/README.md \
	  --contact-sheet $(if $(DOCS),docs/assets,$(ASSETS_CHECK))/contact_sheet.webp

test: setup ## the tests that need neither patience nor a GPU
	$(RUN) -m pytest -m "not slow and not gpu"

test-all: setup ## every test; those that need a GPU skip themselves where there is none
	$(RUN) -m pytest

chaos: setup ## processes, machines and stores fail in earnest, the real store (radosgw, see tests/support/radosgw.py) included
	$(RUN) -m pytest tests/chaos tests/contract tests/integration/test_job_submit.py --require-radosgw

soak: setup ## a night in small while machines, drivers and workers die: MINUTES=20 ROWS=200 SEED=0
	SOAK_MINUTES=$(or $(MINUTES),20) SOAK_ROWS=$(or $(ROWS),200) SOAK_SEED=$(or $(SEED),0) \
		$(RUN) -m pytest tests/chaos/soak.py -s

intake: setup ## every test of manifests and catalog, slow ones and other writers of Parquet too; counts the inputs
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[dev,tables]' -c constraints.txt
	$(RUN) -m pytest --count-inputs tests/unit/manifest tests/unit/run/planning tests/contract/test_dry_run.py \
	  tests/contract/test_manifest_page.py tests/contract/test_manifest_addresses.py tests/contract/test_catalog_page.py \
	  tests/contract/test_random_nights.py tests/contract/test_nights.py tests/contract/test_make_manifest.py \
	  tests/integration/test_changing_manifest.py tests/integration/test_two_nights.py

check: lint types test ## lint, types and tests: the definition of done

lint: $(READY) ## style, sizes of files and functions, and the layers of the architecture
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) infra/budgets.py
	$(VENV)/bin/lint-imports

types: $(READY) ## mypy --strict
	$(RUN) -m mypy

format: $(READY) ## sort imports, mend what ruff can mend, lay out the rest
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: setup ## assets per hour against a loop like those of the research codes; DOCS=1 for docs/benchmarks
	@mkdir -p $(BENCH)
	$(RUN) jobs/benchmark.py --json $(BENCH)/cpu.json --plot $(BENCH)/cpu.png

bench-quality: setup ## are the results of the fast loop as good? eight toys both ways, 20 minutes to an hour
	$(RUN) jobs/benchmark_quality.py --output $(OUT)/benchmark

evaluate: setup ## build toys (PAIRS=all-held-out, or PROMPTS=file of lines) and measure them against the true ones
	@mkdir -p $(OUT)
	$(RUN) jobs/evaluate.py $(if $(PAIRS),--pairs $(PAIRS)) $(if $(PROMPTS),--prompts $(PROMPTS)) \
	  --json $(OUT)/evaluate/evaluation.json --markdown $(OUT)/evaluate/evaluation.md -- --actors 2 --slots 4 --export-workers 2

ablation: setup ## compare recipes on toys: SUITES="paper omega", MINUTES=60 at a time, DOCS=1 for docs/ablation
	@mkdir -p $(OUT)
	$(RUN) jobs/ablation.py $(SUITES) --output $(OUT)/ablation $(if $(MINUTES),--minutes $(MINUTES)) $(if $(DOCS),--docs)

clean: ## remove the environment, caches and everything under out/
	rm -rf .venv out node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find pipeline jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
