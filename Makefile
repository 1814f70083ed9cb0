# Two commands: `make demo` runs the main job, `make test` passes the tests. Both install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint audit simulate bench chaos fuzz soak lock clean generate install

# Bytecode at once, also where Python is told to write none (PYTHONDONTWRITEBYTECODE): a worker would compile it at each start.
install: $(STAMP)
	@$(BIN)/python -m compileall -q deskpulse schemas sinks sources streams tests bench
	@$(BIN)/python -m deskpulse.compile

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "deskpulse needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Say which: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) can't make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install
	$(BIN)/deskpulse demo $(ARGS)

test: install lint
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: install
	$(BIN)/python .ci/audit.py $(ARGS)

simulate: install
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000)) $(ARGS)

bench: install
	$(BIN)/python -m bench $(ARGS)

# Beats a real broker and real workers: kills, outages, zombies, poison (docs/reliability.md). ARGS="--help" says more.
chaos: install
	$(BIN)/python -m tests.chaos $(ARGS)

# N random and mutated records through a real worker.
fuzz: install
	$(BIN)/python -m tests.chaos.fuzz --records $(or $(N),3000000) $(ARGS)

# MINUTES of traffic at RATE events a second, with kills.
soak: install
	$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),30) --rate $(or $(RATE),2000) $(ARGS)

generate: install
	$(BIN)/deskpulse generate

lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --all-extras --group dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info streams/.compiled
