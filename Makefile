# Every command that a person needs; what they do is in tests/tools/.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CACHE  := $(or $(AIOPS_RUNBOOK_CACHE),$(HOME)/.cache/aiops-runbook)
PYTHON := $(CACHE)/venv/bin/python
SETUP  := tests/tools/setup.sh

STACK ?= reference
FAULT ?= pg-lock-held
PLATFORM ?= compose
ON := $(STACK) --platform $(PLATFORM)

.PHONY: help setup venv demo demo-break demo-fix demo-undo demo-down unit lint format docs test gameday bench cluster cluster-down clean

help: ## this table
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  On a fresh Debian 12 machine, as root: make demo"

setup: ## prepare this machine: Python environment, Docker engine, base image
	@$(SETUP) venv engine base

demo: setup ## start the reference stack and diagnose it [STACK=reference PLATFORM=compose|kubernetes]
	@$(PYTHON) tests/tools/demo.py up $(ON)

demo-break: setup ## break it and diagnose again [FAULT=pg-lock-held STACK=reference PLATFORM=compose]
	@$(PYTHON) tests/tools/demo.py break $(STACK) $(FAULT) --platform $(PLATFORM)

demo-fix: setup ## after demo-break: show the plan, approve it, apply it, verify it, show the record [STACK=reference PLATFORM=compose]
	@$(PYTHON) tests/tools/demo.py fix $(ON)

demo-undo: setup ## take back what demo-fix did [STACK=reference PLATFORM=compose]
	@$(PYTHON) tests/tools/demo.py undo $(ON)

demo-down: setup ## take the demo away: stack, volumes, images, reports [STACK=reference PLATFORM=compose]
	@$(or $(wildcard $(PYTHON)),python3) tests/tools/demo.py down $(ON)

unit: venv ## judgement tables and other unit tests, in seconds
	@$(PYTHON) -m pytest -q tests/unit

lint: venv ## ruff, mypy, ansible-lint, antsibull, ansible-test sanity
	@$(SETUP) lint-tools
	@$(PYTHON) tests/tools/run_tests.py lint

format: venv ## let ruff lay out the Python files
	@$(CACHE)/venv/bin/ruff check -q --fix-only . && $(CACHE)/venv/bin/ruff format -q .

docs: venv ## write docs/coverage.md from the catalogue
	@$(PYTHON) tests/tools/coverage_table.py

test: venv ## everything that must never break [PARTS="unit lint artifact integration kubernetes molecule gameday …" ALL=1]
	@$(if $(filter-out 0 no false,$(ALL)),AIOPS_RUNBOOK_ALL=1) $(PYTHON) tests/tools/run_tests.py $(PARTS)

gameday: setup ## whole faults and their cures, full holds [PLATFORM=kubernetes FAULTS=a,b FAULT_DIR=folder STACK=name|./folder SHARD=1/4 RESUME=1 HOLD=60 CURE=0]
	@$(PYTHON) tests/tools/gameday.py $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(FAULT_DIR),--fault-dir $(FAULT_DIR)) \
	  $(if $(filter-out file,$(origin STACK)),--stack $(STACK)) $(if $(SHARD),--shard $(SHARD)) $(if $(RESUME),--resume) \
	  $(if $(HOLD),--hold $(HOLD)) $(if $(filter 0 no false,$(CURE)),--no-cure)

bench: setup ## the speed, side by side with the runbook's own commands
	@$(PYTHON) tests/benchmarks/bench.py

cluster: setup ## a real Kubernetes on this machine (the first time it builds one: 20 minutes), or check the one of KUBECONFIG
	@$(PYTHON) tests/cluster/cluster.py up

cluster-down: venv ## take that Kubernetes away; its programs stay in the cache
	@$(PYTHON) tests/cluster/cluster.py down

clean: ## remove what the tools wrote into this checkout and the caches of its checks
	@rm -rf .ansible .cache .mypy_cache .pytest_cache .ruff_cache reports tests/output aiops-runbook-*.tar.gz "$(CACHE)/lint"
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@$(SETUP) venv
