# make demo and make test set up all that they need on Debian 12 or newer, as root.

PACKAGES   := bpftool busybox-static clang ethtool iproute2 kmod libbpf-dev libbpf1 \
              linux-libc-dev nftables python3 python3-venv qemu-system-x86 strace
PYTHON     ?= python3
VENV       := .venv
BIN        := $(VENV)/bin
UV         := $(VENV)/lock/bin/uv
COMPILE    := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
              --generate-hashes --no-header --no-emit-index-url

.PHONY: help demo test lint bench format schema lock system clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: system $(VENV)/.ready ## the whole idea on this kernel, in a throw-away network namespace
	@$(BIN)/xdpctl demo

# One process more than processors: half of a test of kernel behaviour is waiting for the kernel.
WORKERS ?= $(shell count=$$(nproc); echo $$((count < 4 ? count + 1 : 4)))

test: system $(VENV)/.ready ## all tests, on this kernel; those that measure time last, alone
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -m "not alone"
	@$(BIN)/python -m pytest -m alone

lint: $(VENV)/.ready ## style, types, direction of imports, the schema's freshness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/xdpctl schema | diff -u schemas/topology.v1.json -

bench: PACKAGES += iperf3
bench: system $(VENV)/.ready ## the benchmarks side by side, in a quarter of an hour: build/bench/
	@$(BIN)/python benchmarks/suite.py --out build/bench

format: $(VENV)/.ready ## lay the sources out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(VENV)/.ready ## write the JSON Schema anew
	$(BIN)/xdpctl schema > schemas/topology.v1.json

lock: ## pin the newest dependencies that pyproject.toml allows
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet uv
	$(COMPILE) --upgrade --output-file requirements.lock
	$(COMPILE) --upgrade --group dev --output-file requirements-dev.lock

system: ## Debian's packages and the BPF file system
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query --show --showformat='$${db:Status-Status}' $$package 2>/dev/null \
	    | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get install -qq -y --no-install-recommends $$missing >/dev/null 2>&1 \
	    || { apt-get update -qq \
	         && apt-get install -qq -y --no-install-recommends $$missing >/dev/null; }; \
	fi
	@mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf

$(VENV)/.ready: requirements-dev.lock pyproject.toml | system
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m compileall -q xdpctl
	@touch $@

clean: ## remove what was made here
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
