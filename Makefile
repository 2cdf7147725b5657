# make run: sets up, then finds what the spiking network's units prefer, over gRPC. make test, make lint, make bench, make protos, make lock.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.installed-server
STAMP := $(VENV)/.installed
INSTALL := $(PYTHON) locks/install.py
SETUP := pyproject.toml setup.py locks/install.py
# compiled modules are kept, where the environment says otherwise too: without them every start takes twice as long
export PYTHONDONTWRITEBYTECODE :=

SUITE := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
LINKS := build/namespace/actmax

# the peers of benchmarks/search: protes wants an older numpy than development has
PEERS := build/bench-venv

.PHONY: run test test-nightly test-lowest test-latest debian lint docs bench bench-search protos lock install clean
.DELETE_ON_ERROR:

run: $(RUNS)
	$(BIN)/actmax demo --out runs/first --job examples/first_job.yaml

test: $(STAMP) debian
	$(SUITE) $(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

# the slow ones that `make test` leaves out
test-nightly: $(STAMP) debian
	$(SUITE) $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m nightly $(ARGS)

# the whole suite with the lowest direct versions that pyproject.toml admits, and with the newest of everything; torch and torchvision
# stay those of locks/torch.in. docs/installing.md says when each passed.
test-lowest: build/lowest/.installed debian
	$(SUITE) build/lowest/bin/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

test-latest: build/latest/.installed debian
	$(SUITE) build/latest/bin/python -m pytest --numprocesses 2 --dist worksteal $(ARGS)

# what the tests need from Debian, where it is missing: Node.js for its example, and the libraries that OpenCV, a part of Quantus, loads
debian:
	@opencv() { [ "$$(uname)" != Linux ] || { /sbin/ldconfig -p | grep -q libGL.so.1 && /sbin/ldconfig -p | grep -q libgthread-2.0.so.0; }; }; \
	command -v node >/dev/null && command -v npm >/dev/null && opencv || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends nodejs npm libgl1 libglib2.0-0; }

lint: $(STAMP) links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# the site of docs/, into build/site; a warning fails it
docs: $(STAMP) links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP) bench-search
	for script in benchmarks/*/bench.py; do OMP_WAIT_POLICY=PASSIVE $(BIN)/python $$script || exit 1; done

# runs what benchmarks/search/results doesn't hold yet, SEARCH says of what; then the overheads and the tables of benchmarks/search/RESULTS.md
bench-search: $(PEERS)/.installed
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PEERS)/bin/python -m benchmarks.search.run $(SEARCH)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PEERS)/bin/python -m benchmarks.search.overhead
	$(PEERS)/bin/python -m benchmarks.search.report

$(PEERS)/.installed: $(SETUP) locks/peers.txt
	$(INSTALL) $(PEERS) bench locks/peers.txt
	touch $@

# the stubs beside the protos, and the specs that are written from them, are committed; a test fails when they are stale
protos: $(STAMP)
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=protos --pyi_out=protos --grpc_python_out=protos protos/actmax/v1/*.proto
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=protos --pyi_out=protos protos/buf/validate/validate.proto
	$(BIN)/python -m protos.make_specs
	$(BIN)/python -m grpc_tools.protoc -Imodels/targets/oip --python_out=models/targets/oip --pyi_out=models/targets/oip models/targets/oip/open_inference.proto

install: $(STAMP)

$(RUNS): $(SETUP) locks/main.txt
	$(INSTALL) $(VENV) server locks/main.txt
	touch $@

$(STAMP): $(SETUP) locks/main.txt
	$(INSTALL) $(VENV) dev locks/main.txt
	touch $@ $(RUNS)

build/lowest/.installed: $(SETUP) locks/torch.in
	rm -rf $(@D)
	$(INSTALL) $(@D) dev locks/torch.in --resolution lowest-direct
	touch $@

# made anew each time: the newest of today
.PHONY: build/latest/.installed
build/latest/.installed:
	rm -rf $(@D)
	$(INSTALL) $(@D) dev locks/torch.in --upgrade

# what every version is that `make run`, `make test` and the container install: newest that fit together, for every system and Python
lock: $(STAMP)
	$(BIN)/python locks/make.py

# basedpyright follows `import actmax.server` through links, since the folders carry the names without the namespace
.PHONY: links
links:
	mkdir -p $(LINKS)
	for folder in charts wire models optimizers engine server client; do ln -sfn ../../../$$folder $(LINKS)/$$folder; done
	ln -sfn ../../../protos/actmax/v1 $(LINKS)/v1
	ln -sfn ../../../actmax/__init__.py ../../../actmax/py.typed $(LINKS)/
	ln -sfn ../../protos/buf build/namespace/buf

clean:
	rm -rf $(VENV) build dist runs *.egg-info
