PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO = --hold all --boundary runs/default/boundary.safetensors
PORTRAIT = $(shell $(BIN)/python -c "import matplotlib as m; print(m.get_data_path() + '/sample_data/grace_hopper.jpg')")

# modules are compiled when they are first imported, most of them never: installing takes a third less
PIP = $(BIN)/python -m pip install --quiet --no-compile
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-faces demo-photograph app test check lint

$(VENV)/installed: pyproject.toml
	@echo "installing into $(VENV): PyTorch alone is gigabytes, this takes some minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .[photos]
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(PIP) -e .[test]
	command -v chromium > /dev/null || { test "$$(id -u)" = 0 && timeout 60 apt-get update -qq && \
	  timeout 180 apt-get install -y -qq --no-install-recommends chromium; } || echo "no Chromium: tests of the page will be skipped"
	touch $@

demo: $(VENV)/installed  ## score 5,000 new faces, fit the boundaries, write the report, edit faces and a photograph
	$(BIN)/python train.py
	rm -rf results/demo
	$(MAKE) --no-print-directory -j 2 demo-faces demo-photograph
	@echo "Look at: runs/default/report/index.html results/demo/smile/strip.png results/demo/age/strip.png"
	@echo "and at a photograph of Grace Hopper (US Navy, public domain): results/demo/photo/grace_hopper.jpg"

demo-faces:
	$(BIN)/python edit.py --attribute smile $(DEMO) --seeds 0-3 --out results/demo/smile --trainer.enable_progress_bar false
	$(BIN)/python edit.py --edit age=+2 $(DEMO) --seeds 0-3 --out results/demo/age --trainer.enable_progress_bar false

demo-photograph:
	$(BIN)/python edit.py --photos "$(PORTRAIT)" --edit smile=+1.5 $(DEMO) --out results/demo/photo

app: $(VENV)/installed  ## the page to edit faces on
	$(PIP) -e .[app,photos]
	$(BIN)/python -m ifgan_pl.app

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint, types and tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --timeout 600 --durations=10

check: lint  ## also the slow proofs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow"
