# make demo and make test do all the set-up themselves; everything else starts from .venv too.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INTEROP := .venv-interop
PROCESSES := 2
# a module's tests share what they prepare, so they run in one process; tests/conftest.py puts long modules first
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(or $(JOBS),$(PROCESSES)) --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY:  help install demo demo-uncaptioned test services-test check interop bench gpu-check docs serve mlflow lock clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## create .venv with the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt infra/install.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "W.A.L.T needs Python 3.11, 3.12 or 3.13; say which: make install PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python infra/install.py -c constraints.txt -e '.[dev]' $(PIP_ARGS)
	@touch $@

demo: install ## the whole pipeline on generated videos: ends with results/report.html
	@$(BIN)/python -m flows.walt --promote

demo-uncaptioned: install ## the demo on clips without captions, which the pipeline writes itself; in demo-uncaptioned/
	@mkdir -p demo-uncaptioned && cd demo-uncaptioned && ../$(BIN)/walt init --recipe demo-uncaptioned && \
		../$(BIN)/python -m flows.walt

# one more than the cores of a small machine: of all tests' time a third is waiting
test: PROCESSES := 3
test: install ## all tests, in JOBS processes of one thread each
	$(PYTEST)

services-test: install ## the pipeline on PostgreSQL, S3, MLflow with a login, Prefect's workers and a Ray cluster; needs Debian's postgresql
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest infra/services

check: install ## style, types and the fast tests, in JOBS processes; types beside the tests, which wait at times
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .mypy_cache
	$(BIN)/mypy > .mypy_cache/said.txt 2>&1 & types=$$!; \
		$(PYTEST) -m "not slow"; tests=$$?; \
		wait $$types; types=$$?; cat .mypy_cache/said.txt; exit $$((tests | types))

interop: install $(INTEROP)/.installed ## exports read by energon and litdata, in an environment of their own
	WALT_INTEROP_PYTHON=$(CURDIR)/$(INTEROP)/bin/python $(PYTEST) tests/export/test_interop.py \
		tests/documents/test_interop_page.py

# litdata asks for torchvision, which does not load beside a processor-only torch, and works without it
$(INTEROP)/.installed: infra/interop.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python infra/install.py -r infra/interop.txt $(PIP_ARGS)
	$(INTEROP)/bin/pip uninstall --quiet --yes torchvision
	@touch $@

bench: install ## speed against what people use today; tables in results/
	$(BIN)/python -m benchmarks.autoencoder --out results/bench-autoencoder.md
	$(BIN)/python -m benchmarks.transformer --out results/bench-transformer.md
	$(BIN)/python -m benchmarks.ingest --out results/bench-ingest.md --video2dataset work/video2dataset
	$(BIN)/python -m benchmarks.ingest_costs --out results/bench-ingest-costs.md
	$(BIN)/python -m benchmarks.ingest_spans --out results/bench-ingest-spans.md
	$(BIN)/python -m benchmarks.busy --out results/bench-busy.md
	$(BIN)/python -m benchmarks.ui --out results/bench-ui.md

gpu-check: install ## what only a GPU runs, in at most 8 minutes on any CUDA card; writes docs/results/gpu.md
	$(BIN)/python -m benchmarks.gpu_check

docs: install ## the documentation as a site, in site/; with WATCH=1 served at 127.0.0.1:8000 and rebuilt on changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(if $(WATCH),serve,build) --quiet -f infra/docs/mkdocs.yml
	@$(if $(WATCH),true,echo "site/index.html")

serve: install ## a local Prefect server with all deployments, until Ctrl-C
	@$(BIN)/python -m flows.serve

mlflow: install ## the MLflow page; prints its address
	@$(BIN)/walt mlflow

lock: install ## make constraints.txt anew from pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/python infra/lock.py $(LOCK_ARGS)

clean: ## remove what the demo made; the environment stays
	rm -rf data models results work mlflow.db mlartifacts .prefect
