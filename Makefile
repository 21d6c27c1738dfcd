# Carousel's habits: `make help` lists them. Another Python (3.11 or later): make setup PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
# Python compiles the modules that are imported, at their first import: pip would compile all of them, twice as long. It
# keeps them, whatever the shell says, or each process would compile torch again.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile
# uv takes a fraction of pip's time, and chooses the torch that fits the machine: no gigabytes of CUDA without an NVIDIA
# card. What it cannot reach within seconds pip installs, which may know of another index.
UV := UV_HTTP_RETRIES=0 UV_HTTP_TIMEOUT=10 $(or $(shell command -v uv),$(BIN)/uv) pip install --python $(BIN)/python
SHIPPED := $(addprefix checkpoints/,bach drums folk piano pop shakespeare)
ADDING := --length 10 25 50 100 200 --shortest 5 --networks lstm rnn --learning-rate 0.005 0.001 \
	--units 64 --batch 32 --updates 3000 --minutes 6
TORCH := $(shell grep '^torch==' requirements.txt)

.DEFAULT_GOAL := help
.PHONY: help setup setup-bench app wheel test test-slow lint format docs shots figures bench train-bach train-drums train-folk train-piano train-pop train-shakespeare

help:  ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make .venv with what the app needs, and compile what plays for this CPU
	@$(MAKE) --no-print-directory --jobs 2 .venv/.compiled .venv/.installed

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Carousel needs Python 3.11 or later: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || $(PIP) uv || echo 'Without uv, pip installs all.'
	touch $@

# What plays needs no torch: it is compiled while torch, by far the largest, is on its way.
.venv/.player: requirements.txt .venv/.python
	grep -v '^torch==' requirements.txt > .venv/player.txt
	$(UV) -r .venv/player.txt || $(PIP) -r .venv/player.txt
	touch $@

.venv/.installed: .venv/.player
	$(UV) --torch-backend=auto $(TORCH) || { echo 'The index of torch without CUDA is out of reach; taking the usual one.'; $(PIP) $(TORCH); }
	touch $@

.venv/.installed-dev: requirements-dev.txt requirements-bench.txt requirements-serve.txt .venv/.installed
	$(UV) -r requirements-dev.txt || $(PIP) -r requirements-dev.txt
	touch $@

setup-bench: .venv/.installed-bench  ## add to .venv what the benchmarks need

.venv/.installed-bench: requirements-bench.txt requirements-serve.txt .venv/.installed
	$(UV) -r requirements-bench.txt || $(PIP) -r requirements-bench.txt
	touch $@

# One checkpoint of each kind of tokenizer: first one alone, with all that they have in common, then the others side by
# side. Whatever changes later is compiled when it is first used.
.venv/.compiled: .venv/.player
	@echo 'Compiling what plays text, written music, performances and drums ...'
	@$(BIN)/python -m generator.sample --tokens 1 shakespeare >/dev/null
	@echo bach piano drums | xargs -n 1 -P 3 $(BIN)/python -m generator.sample --tokens 1 >/dev/null
	touch $@

# The modules of the tests and all that they import, compiled once for the processes that run them. An error in one of
# them is for these to tell.
.venv/.collected: .venv/.installed-dev
	@$(BIN)/python -m pytest --collect-only --quiet >/dev/null 2>&1 || true
	touch $@

app: setup  ## open the app in the browser
	$(BIN)/streamlit run app.py

wheel: .venv/.python  ## make dist/*.whl, the package with the shipped checkpoints
	$(BIN)/python -m pip wheel --disable-pip-version-check --no-deps --wheel-dir dist .

test:  ## run every test but the slow ones
	@$(MAKE) --no-print-directory --jobs 2 .venv/.compiled .venv/.collected
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal

test-slow: .venv/.installed-dev  ## run the slow tests
	$(BIN)/python -m pytest -m slow

lint: .venv/.installed-dev  ## check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deno check generator/web/static
	$(BIN)/deno lint

format: .venv/.installed-dev  ## put the code into its style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/.installed-dev  ## write the reference of the library, from its docstrings, into build/docs
	$(BIN)/python -m docs.reference build/docs

shots: .venv/.installed-dev  ## take the pictures of the app in docs/ anew; needs Chromium
	$(BIN)/python -m docs.picture

# Trained networks are kept in build/networks, for the next time.
figures: .venv/.installed-bench  ## make the pictures of docs/lstm.md and the figures in it anew, into build/figures as well
	mkdir -p build/figures
	$(BIN)/python -m benchmarks.cells checkpoints/shakespeare --picture docs/lstm/cells-shakespeare.svg > build/figures/cells-shakespeare.json
	$(BIN)/python -m benchmarks.cells checkpoints/bach --picture docs/lstm/cells-bach.svg > build/figures/cells-bach.json
	$(BIN)/python -m benchmarks.gradients tinyshakespeare checkpoints/shakespeare --picture docs/lstm/gradients.svg > build/figures/gradients.json
	$(BIN)/python -m benchmarks.ngram tinyshakespeare checkpoints/shakespeare --picture docs/lstm/ngrams.svg > build/figures/ngram.json
	$(BIN)/python -m benchmarks.memory adding $(ADDING) --picture docs/lstm/adding.svg > build/figures/adding.json
	$(BIN)/python -m generator.evaluate checkpoints/bach bach-chorales --units --keep > build/figures/units-bach.json
	$(BIN)/python -m generator.evaluate checkpoints/drums groove-drums --units --keep > build/figures/units-drums.json
	$(BIN)/python -m generator.evaluate checkpoints/folk folk-tunes --units --keep > build/figures/units-folk.json
	$(BIN)/python -m generator.evaluate checkpoints/piano asap-piano --units --keep > build/figures/units-piano.json
	$(BIN)/python -m generator.evaluate checkpoints/pop pop909 --units --keep > build/figures/units-pop.json
	$(BIN)/python -m generator.evaluate checkpoints/shakespeare tinyshakespeare --units --keep > build/figures/units-shakespeare.json
	$(BIN)/python -m benchmarks.memory_length $(SHIPPED) --cards --picture docs/lstm/memory.svg > build/figures/memory-length.json

bench: .venv/.installed-bench  ## measure speed beside rivals, into build/bench; leave the machine alone meanwhile
	mkdir -p build/bench
	$(BIN)/python -m benchmarks.step > build/bench/step.json
	$(BIN)/python -m benchmarks.limit > build/bench/limit.json
	$(BIN)/python -m benchmarks.grammar checkpoints/bach > build/bench/grammar.json
	$(BIN)/python -m benchmarks.length --picture docs/length.svg > build/bench/length.json
	$(BIN)/python -m benchmarks.start > build/bench/start.json
	$(BIN)/python -m benchmarks.callers checkpoints/bach > build/bench/callers.json
	$(BIN)/python -m benchmarks.serving checkpoints/bach > build/bench/serving.json
	$(BIN)/python -m benchmarks.listeners checkpoints/bach > build/bench/listeners-bach.json
	$(BIN)/python -m benchmarks.listeners checkpoints/shakespeare > build/bench/listeners-shakespeare.json

# The commands that made the shipped checkpoints, under an hour each on two cores that do nothing else.

train-bach: setup  ## train checkpoints/bach anew
	$(BIN)/python -m generator.train bach-chorales --out checkpoints/bach \
		--num-layers 1 --hidden-size 512 --lanes 32 --window 64 --learning-rate 0.004 --minutes 22 \
		--dropout-embedding 0.3 --dropout-output 0.5 --dropout-weights 0.5 --validations 20 --patience 8 \
		--overwrite

train-drums: setup  ## train checkpoints/drums anew; CAROUSEL_MIRROR has to hold the Groove MIDI Dataset
	$(BIN)/python -m generator.train groove-drums --out checkpoints/drums \
		--hidden-size 256 --lanes 32 --window 96 --minutes 27 --time-scale 64 \
		--dropout-embedding 0.05 --dropout-layers 0.2 --dropout-output 0.2 --dropout-weights 0.2 --validations 18 --patience 6 --precision auto \
		--overwrite

train-folk: setup  ## train checkpoints/folk anew
	$(BIN)/python -m generator.train folk-tunes --out checkpoints/folk \
		--num-layers 1 --hidden-size 640 --lanes 32 --window 64 --learning-rate 0.004 --minutes 36 --time-scale 64 \
		--dropout-embedding 0.05 --dropout-output 0.1 --dropout-weights 0.05 --validations 12 --patience 8 \
		--overwrite

train-piano: setup  ## train checkpoints/piano anew; CAROUSEL_MIRROR has to hold the ASAP dataset
	$(BIN)/python -m generator.train asap-piano --out checkpoints/piano \
		--lanes 32 --window 96 --passes 2.5 \
		--dropout-embedding 0 --dropout-layers 0.05 --dropout-output 0.05 --dropout-weights 0.05 --validations 15 --patience 10 \
		--overwrite

train-pop: setup  ## train checkpoints/pop anew; CAROUSEL_MIRROR has to hold POP909
	$(BIN)/python -m generator.train pop909 --out checkpoints/pop \
		--num-layers 1 --hidden-size 640 --lanes 32 --window 96 --learning-rate 0.004 --minutes 34 --time-scale 64 \
		--dropout-embedding 0.05 --dropout-output 0.1 --dropout-weights 0.05 --validations 10 --patience 10 \
		--overwrite

train-shakespeare: setup  ## train checkpoints/shakespeare anew, an hour on one thread
	OMP_NUM_THREADS=1 $(BIN)/python -m generator.train tinyshakespeare --out checkpoints/shakespeare \
		--hidden-size 432 --lanes 32 --window 96 --passes 48 \
		--dropout-layers 0.4 --dropout-output 0.4 --dropout-weights 0.3 --validations 24 \
		--overwrite
