PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORTRAIT = $(shell $(BIN)/python -c "import matplotlib as m; print(m.get_data_path() + '/sample_data/grace_hopper.jpg')")

.PHONY: demo app test check lint

$(VENV)/installed: pyproject.toml
	@echo "installing into $(VENV): PyTorch alone is gigabytes, this takes some minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .[photos]
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e .[test]
	command -v chromium > /dev/null || { test "$$(id -u)" = 0 && timeout 60 apt-get update -qq && \
	  timeout 180 apt-get install -y -qq --no-install-recommends chromium; } || echo "no Chromium: tests of the page will be skipped"
	touch $@

demo: $(VENV)/installed  ## score 5,000 new faces, fit the boundaries, write the report, edit faces and a photograph
	$(BIN)/python train.py
	rm -rf results/demo
	$(BIN)/python edit.py --attribute smile --hold all --seeds 0-3 --boundary runs/default/boundary.safetensors --out results/demo/smile
	$(BIN)/python edit.py --edit age=+2 --hold all --seeds 0-3 --boundary runs/default/boundary.safetensors --out results/demo/age
	$(BIN)/python edit.py --photos "$(PORTRAIT)" --edit smile=+1.5 --hold all --boundary runs/default/boundary.safetensors --out results/demo/photo
	@echo "Look at: runs/default/report/index.html results/demo/smile/strip.png results/demo/age/strip.png"
	@echo "and at a photograph of Grace Hopper (US Navy, public domain): results/demo/photo/grace_hopper.jpg"

app: $(VENV)/installed  ## the page to edit faces on
	$(BIN)/python -m pip install --quiet -e .[app,photos]
	$(BIN)/python -m ifgan_pl.app

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint, types and tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --timeout 600 --durations=10

check: lint  ## also the slow proofs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow"
