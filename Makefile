# make demo   paint a clip end to end
# make unit   the quick tests, of one process        make test   these, and those with ffmpeg and Ray
# make test-all  every test that needs no browser and no Prometheus: also the slow ones and a cluster of several nodes
# make test-media CLIPS=".."  odd films through the farm and compared; without CLIPS, films of every kind made here
# make test-written   every sound codec and layout, every video codec, tag and length, in every container
# make test-page     the report and the live page in headless Chromium (apt-get install chromium)
# make gallery       the README's pictures anew, from the demo
# make test-chaos SEED=1      faults of every kind, each broken, mended and compared with an undisturbed render
# make test-service  a cluster of several nodes: sharing, drained nodes, GPUs, security, object storage
# make test-session  five jobs on a cluster of this machine, while a driver and the head are killed: eight minutes
# make test-ui       a running job in Ray's dashboard, in headless Chromium; the pictures are kept in build/dashboard/
# make test-metrics  a real Prometheus reads a running job (apt-get install chromium prometheus, for these two)
# make docs   docs/cli.md anew, from the commands
# make check  ruff and mypy                    make format  what ruff can mend by itself

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UNIT := not cluster and not media and not process and not heavy and not slow and not page and not ui and not service and not metrics

.PHONY: demo unit test test-all test-media test-written test-chaos test-page test-service test-session test-ui test-metrics gallery check format clean

demo: $(READY)
	$(BIN)/farm demo -o demo

unit: $(READY)
	$(BIN)/pytest -n 2 -m '$(UNIT)'

test: $(READY)
	$(BIN)/pytest -n 2

test-all: $(READY)
	$(BIN)/pytest -n 2 -m 'not ui and not metrics and not page'

test-media: $(READY)
	$(BIN)/python -m benchmarks.media $(CLIPS)

test-written: $(READY)
	$(BIN)/python -m benchmarks.sound
	$(BIN)/python -m benchmarks.written

test-chaos: $(READY)
	$(BIN)/python -m benchmarks.chaos --seed $(or $(SEED),1)
	for kind in keys timeline steady; do \
	  $(BIN)/python -m benchmarks.chaos --seed $(or $(SEED),1) --kind $$kind -o chaos-$$kind.json || exit 1; done

test-page: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[ui]'
	$(BIN)/pytest tests/pages -m page -rs

gallery: $(READY)
	$(BIN)/python docs/gallery.py demo docs

test-service: $(READY)
	$(BIN)/pytest tests/cluster -m service -rs

test-session: $(READY)
	$(BIN)/python -m benchmarks.cluster_session -o build/session

test-ui: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[ui]'
	$(BIN)/pytest tests/cluster/test_pages.py -m ui -rs

test-metrics: $(READY)
	$(BIN)/pytest tests/cluster/test_prometheus.py -m metrics -rs

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: docs
docs: $(READY)  # docs/cli.md from the commands
	$(BIN)/python -m farm.cli.reference > docs/cli.md

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $(READY)
