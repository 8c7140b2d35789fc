PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check lint

$(VENV)/installed: pyproject.toml
	@echo "installing into $(VENV): PyTorch alone is gigabytes, this takes some minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e .[test]
	touch $@

demo: $(VENV)/installed  ## score 5,000 new faces, fit the boundaries, write the report, edit faces
	$(BIN)/python train.py
	rm -rf results/demo
	$(BIN)/python edit.py --attribute smile --hold all --seeds 0-3 --boundary runs/default/boundary.safetensors --out results/demo/smile
	$(BIN)/python edit.py --edit age=+2 --hold all --seeds 0-3 --boundary runs/default/boundary.safetensors --out results/demo/age
	@echo "Look at: runs/default/report/index.html results/demo/smile/strip.png results/demo/age/strip.png"

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint, types and tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations=10

check: lint  ## also the slow proofs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or not slow"
