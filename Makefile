# make run: sets up, then finds what the spiking network's units prefer, over gRPC. make test, make lint, make bench, make protos.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LINKS := build/namespace/actmax

# the peers of benchmarks/search: protes wants an older numpy than development has
PEERS := build/bench-venv

.PHONY: run test test-nightly node lint bench bench-search protos install clean
.DELETE_ON_ERROR:

run: $(STAMP)
	$(BIN)/actmax demo --out runs/first --job examples/first_job.yaml

test: $(STAMP) node
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

# the slow ones that `make test` leaves out
test-nightly: $(STAMP) node
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m nightly $(ARGS)

# the tests run the Node.js example; from Debian where there is none
node:
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends nodejs npm; }

lint: $(STAMP) links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

bench: $(STAMP) bench-search
	for script in benchmarks/*/bench.py; do OMP_WAIT_POLICY=PASSIVE $(BIN)/python $$script || exit 1; done

# runs what benchmarks/search/results doesn't hold yet, SEARCH says of what; then the overheads and the tables of docs/search.md
bench-search: $(PEERS)/.installed
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PEERS)/bin/python -m benchmarks.search.run $(SEARCH)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PEERS)/bin/python -m benchmarks.search.overhead
	$(PEERS)/bin/python -m benchmarks.search.report

$(PEERS)/.installed: pyproject.toml constraints.txt setup.py
	test -d $(PEERS) || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@

# the stubs beside the protos are committed; a test fails when they are stale
protos: $(STAMP)
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=protos --pyi_out=protos --grpc_python_out=protos protos/actmax/v1/*.proto
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=protos --pyi_out=protos protos/buf/validate/validate.proto
	$(BIN)/python -m grpc_tools.protoc -Imodels/targets/oip --python_out=models/targets/oip --pyi_out=models/targets/oip models/targets/oip/open_inference.proto

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt setup.py
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# basedpyright follows `import actmax.server` through links, since the folders carry the names without the namespace
.PHONY: links
links:
	mkdir -p $(LINKS)
	for folder in models optimizers engine server client; do ln -sfn ../../../$$folder $(LINKS)/$$folder; done
	ln -sfn ../../../protos/actmax/v1 $(LINKS)/v1
	ln -sfn ../../protos/buf build/namespace/buf

clean:
	rm -rf $(VENV) build dist runs *.egg-info
