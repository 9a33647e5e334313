# The project's commands. Each installs what it needs first and does nothing twice.
.PHONY: help install test lint format demo up cluster cluster-down images bench bench-operator bench-debate scenario-clarification scenario-debugging scenario-escalation clean

PY := .venv/bin/python

# make demo ONCE=1            exit when every issue has a pull request or a stated outcome
# make demo REPORT=DIR        keep the report: pull requests, diffs, evidence bundles
# make up CLUSTER=current      on the cluster of your current kube-context; kind, builtin and context:NAME work too
# make demo MODEL=name        another model, e.g. anthropic:claude-opus-4 (key from the environment)
ONCE ?=
REPORT ?=
MODEL ?=
# make scenario-escalation VERDICT=abandon   what the person decides
VERDICT ?=

help:
	@echo "make install   put everything needed into .venv and node_modules"
	@echo "make demo      run a hive of three agents on examples/demo (ONCE=1, REPORT=DIR, MODEL=name)"
	@echo "make up        a hive on Kubernetes, from nothing to pull requests (ONCE=1 ends when all issues have an outcome)"
	@echo "make cluster   a Kubernetes cluster: kind where Docker runs, else built in (CLUSTER=current takes yours)"
	@echo "make cluster-down   remove it and everything of it"
	@echo "make scenario-clarification, scenario-debugging, scenario-escalation   a story on real parts (VERDICT=abandon, MODEL=name)"
	@echo "make images    build every container image"
	@echo "make test      run every check and every test (STAGE='mesh cli' for some)"
	@echo "make lint      linters, formatters, types, import contracts"
	@echo "make format    let the formatter and the fixable lints edit the code"
	@echo "make bench     measure what docs promise in numbers (BENCH='names' for some)"
	@echo "make bench-debate, bench-operator   parts of it"
	@echo "make clean     remove what builds and runs left behind"

install:
	@tools/install.sh

test: install
	@$(PY) tools/stages.py $(STAGE)

lint: install
	@$(PY) tools/stages.py lint

format: install
	@.venv/bin/ruff check --fix-only --quiet . ; .venv/bin/ruff format .

demo: install
	@ONCE="$(ONCE)" REPORT="$(REPORT)" MODEL="$(MODEL)" examples/demo/run.sh

up: install
	@$(PY) -m tools.up $(if $(ONCE),--once) $(if $(REPORT),--report $(REPORT))

cluster: install
	@$(PY) -m tools.cluster up

cluster-down: install
	@$(PY) -m tools.cluster down

images: install
	@$(PY) -m tools.images build --export

scenario-clarification: install
	@$(PY) -m tools.scenarios clarification $(if $(MODEL),--model $(MODEL))

scenario-debugging: install
	@$(PY) -m tools.scenarios debugging $(if $(MODEL),--model $(MODEL))

scenario-escalation: install
	@$(PY) -m tools.scenarios escalation $(if $(VERDICT),--verdict $(VERDICT))

bench-operator: install
	@$(PY) -m tools.bench.run operator

bench-debate: install
	@$(PY) -m tools.bench.run debate escalation knowledge

bench: install
	@$(PY) -m tools.bench.run $(BENCH)

clean:
	@if [ -x $(PY) ]; then for state in build/cluster build/cluster-test; do \
	  if [ -d $$state ]; then $(PY) -m tools.cluster down --state $$state; fi; done; fi
	@rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .bzzz
	@find . -name __pycache__ -type d -not -path './.venv/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +
