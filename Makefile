# Everything a machine lacks is installed and started by `make setup`, which `make demo` and `make test` run first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup cosign3 base bases build demo demo-clean test attack bench lint format golden clean

SOURCES := $(shell find src templates policies scripts/*.mjs -type f 2>/dev/null) package.json $(wildcard tsconfig*.json)
# npm writes this file at the end of every install.
INSTALLED := node_modules/.package-lock.json

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install and start what this machine lacks: Docker Engine, cosign, docker-registry
	@scripts/setup

# Both generations of cosign are tested; the machine has one of them.
cosign3:
	@scripts/cosign3

base: setup
	@scripts/base node

# Alone it lists the names there are.
bases: setup ## assemble all base images: Node, Deno, Bun, Python, Chromium
	@scripts/base $$(scripts/base)

$(INSTALLED): package-lock.json
	@echo "installing npm packages (npm ci)"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

dist/cli/main.cjs: $(INSTALLED) $(SOURCES)
	@echo "building dist/ (npm run build)"
	@npm run --silent build
	@touch $@

build: dist/cli/main.cjs ## build dist/

demo: setup build ## from nothing to a sealed image, a run of it and its replay, in .demo/
	@scripts/demo

demo-clean: ## stop and remove what the demo made
	@scripts/demo-clean

test: setup cosign3 bases build ## lint and run every test, with a real engine, registry and cosign 2 and 3
	@npm run --silent lint
	@scripts/test

attack: setup base build ## try every attack of test/attack/, and again without the control; prints a table
	@scripts/attack

bench: setup base build ## measure sjs beside docker, and write docs/performance.md
	@scripts/bench

lint: $(INSTALLED) ## check types, code and format
	@npm run --silent lint

format: $(INSTALLED) ## format the code
	@npm run --silent format

golden: setup base build ## write the golden files anew
	@npm run --silent golden

clean: ## remove dist/ and .cache/ (the assembled base images, cosign 3)
	rm -rf dist .cache
