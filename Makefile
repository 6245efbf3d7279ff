# Every command that the project has. `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := r4 terminology profiles questionnaires mappings outcome_engine fhir_server

# Without bytecode, each of the many processes that the tests start would compile every module anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup web demo sandbox serve test test-all check lint types architecture docs fix bench bench-parts lock audit sbom image clean

help:            ## List the commands
	@grep -E '^[a-z-]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(READY): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CSOR needs Python 3.11 or newer; found " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 demo")'
	@echo "Set-up 1/2: virtual environment and locked Python packages ($(VENV))"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(READY)  ## Install what is needed and compile the FHIR definitions
	@echo "Set-up 2/2: FHIR R4 definitions"
	@$(BIN)/python -m r4.definitions.build

web: setup       ## Build the pages that are served beside /fhir
	@$(BIN)/python web/build.py

demo: setup      ## Simulate three years of ten hospitals, evaluate, show the results and keep serving
	@$(BIN)/python web/build.py --optional
	@$(BIN)/python -m fhir_server demo

sandbox: setup   ## Serve fictitious children to vendors, who register their clients themselves
	@$(BIN)/python web/build.py --optional
	@$(BIN)/python -m fhir_server sandbox

serve: setup     ## Serve FHIR on 127.0.0.1:8000/fhir and HL7 v2 (MLLP) on 127.0.0.1:2575
	@$(BIN)/python web/build.py --optional
	@$(BIN)/python -m fhir_server serve

test: setup      ## Run the tests
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not slow" --durations=40

test-all: setup  ## Run the tests and the longer proofs, with the coverage gate
	@$(BIN)/python -m pytest -n 2 --dist loadfile --durations=40 --cov --cov-report=term --cov-fail-under=90

check: lint types architecture docs  ## Lint, types, architecture and documents

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

architecture: setup
	@$(BIN)/lint-imports

docs: setup
	@$(BIN)/python -m fhir_server docs --check

fix: setup       ## Format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup     ## Drive the server on SQLite and PostgreSQL, then validation, terminology, HL7 v2 and outcomes (ARGS=--quick: two minutes)
	@$(BIN)/python -m benchmarks.load $(ARGS)
	@$(if $(findstring --base-url,$(ARGS)),,$(BIN)/python -m benchmarks $(filter --quick,$(ARGS)) validate terminology hl7v2 outcomes)

bench-parts: setup ## Measure the parts, beside other libraries, as ratios
	@$(BIN)/python -m benchmarks $(filter --quick,$(ARGS))

lock: setup      ## Lock the dependencies anew
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --extra build --extra choice --extra spark --extra dev pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes -c requirements-dev.lock pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes hardening/requirements.in -o hardening/requirements.lock

audit: setup     ## Look dependencies and code through: pip-audit, npm audit, bandit
	@$(BIN)/python -m hardening dependencies
	@$(BIN)/python -m hardening code

sbom: setup      ## Write the bill of materials, dist/sbom.cdx.json (CycloneDX)
	@$(BIN)/python -m hardening sbom

image: setup     ## Build the container image (needs Docker)
	@docker build -t csor .

clean:           ## Remove what the commands above have made
	rm -rf $(VENV) .build .demo .sandbox r4/definitions/compiled fhir_server/rest/compiled dist
