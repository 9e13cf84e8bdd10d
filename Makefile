# Sets up .venv from the lock when needed, and does the project's few commands in it.
PYTHON ?= python3
BUNDLE ?= build_model/bundles/mini-clinc150
CONFIG ?= envoy/local.yaml
PYTEST_ARGS ?=

BIN := .venv/bin
GENERATED ?= proto
PROTOS := proto/intently/v1/bundle.proto proto/intently/v1/intent_service.proto proto/intently/v1/model_service.proto
SERVICES := proto/intently/v1/intent_service.proto proto/intently/v1/model_service.proto
CODE := proto server build_model envoy tests requirements

.DEFAULT_GOAL := help
.PHONY: help run test check format generate check-generated lock build-env clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

run: .venv/ready ## Start Envoy and a server on BUNDLE, or on what was live, as CONFIG says; says how to call it once it is SERVING
	@exec $(BIN)/intently-release up --config $(CONFIG) --bundle $(BUNDLE)

test: .venv/ready ## All tests; PYTEST_ARGS="-m 'not engine'" leaves out those that start vLLM
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: .venv/ready check-generated ## Format, lint, types, layers, contract
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy proto/intently server/intently_server build_model/intently_build envoy/intently_release requirements tests
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code proto

format: .venv/ready ## Format, and mend what lint can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/buf format --write proto

generate: .venv/googleapis ## Python code of the contract, into GENERATED
	@mkdir -p $(GENERATED)
	@$(BIN)/python -m grpc_tools.protoc -Iproto -I.venv/googleapis --python_out=$(GENERATED) --pyi_out=$(GENERATED) $(PROTOS)
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -Iproto -I.venv/googleapis \
		--grpc_python_out=$(GENERATED) --mypy_grpc_out=quiet:$(GENERATED) $(SERVICES)

check-generated: .venv/ready
	@rm -rf .venv/generated
	@$(MAKE) --no-print-directory generate GENERATED=.venv/generated
	@for file in .venv/generated/intently/v1/*; do cmp $$file proto/intently/v1/$$(basename $$file) || \
		{ echo "the generated code is not that of the .proto files: make generate" >&2; exit 1; }; done

lock: ## Renew requirements/cpu.lock and build.lock from pyproject.toml
	$(PYTHON) requirements/lock.py

build-env: .venv-build/ready ## Set up .venv-build, whose tools quantize: they cannot live beside vLLM

clean: ## Remove the environments and caches
	rm -rf .venv .venv-build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Google's protos, which the contract imports, out of the package that carries them.
.venv/googleapis: .venv/ready
	@rm -rf $@ && mkdir -p $@/google/api $@/google/rpc
	@from=$$($(BIN)/python -c "import google.rpc; print(google.rpc.__path__[0])") && \
		cp $$from/../api/annotations.proto $$from/../api/http.proto $$from/../api/field_behavior.proto $@/google/api/ && \
		cp $$from/status.proto $@/google/rpc/
	@touch $@

.venv/ready: requirements/cpu.lock pyproject.toml
	@$(SET_UP)
	@touch $@

# Where pip finds torch's CUDA build, the last line brings the CUDA libraries that it needs; beside the CPU build, nothing.
.venv-build/ready: requirements/build.lock pyproject.toml
	@$(SET_UP)
	@.venv-build/bin/python -m pip install --quiet --disable-pip-version-check -c requirements/build.lock torch
	@touch $@

# Sets up the environment of the target from the lock that it depends on first. pip would compile on one core, for longer
# than it unpacks; here all of them do. What does not compile is a package's template or meant for another Python.
define SET_UP
$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))" || \
	{ echo "Python 3.11 or 3.12 is needed; name one with PYTHON=..." >&2; exit 1; }; \
echo "Setting up $(@D) (a few minutes, once)"; \
test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D); \
$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r $< && \
$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
{ $(@D)/bin/python -m compileall -qq -j 0 $(@D)/lib || true; }
endef
