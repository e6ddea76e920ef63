# Everything happens in .venv. TORCH may be changed: make install TORCH=torch
PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN = .venv/bin
PROFILES ?= twin embedded
PLUGINS = openmoji vision-metrics blip wd14

.PHONY: install demo test test-slow lint bench growth docs locks base truth puppets fuzz torture wording

.venv/installed: pyproject.toml $(foreach plugin,$(PLUGINS),plugins/$(plugin)/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)" -e ".[dev]"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(foreach plugin,$(PLUGINS),-e plugins/$(plugin))
	touch $@

install: .venv/installed

demo: install
	$(BIN)/loraspec run specs/daumier.toml --profile embedded

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy

# One thread a test, tests of one file after each other, files side by side.
test: install lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# One table and, as the last line, JSON; 20 to 45 minutes and eight gigabytes of disk. OMP_NUM_THREADS=1 makes CPU time comparable on a busy machine.
bench: install
	$(BIN)/python -m pytest -q tests/benchmarks --benchmark-enable --benchmark-quiet

growth: install
	OMP_NUM_THREADS=1 PYTHONPATH=tests:plugins $(BIN)/python -m benchmarks.growth

docs: install
	$(BIN)/python -m loraspec.cli.docs

# Every published lock: the run of each profile and four more seeds. `make locks PROFILES=twin` takes a minute, `embedded` far longer.
locks: install
	for profile in $(PROFILES); do OMP_NUM_THREADS=1 $(BIN)/loraspec lock specs/daumier.toml --profile $$profile --runs 5 || exit 1; done

base: install
	$(BIN)/python -m loraspec_picturebook.train

# LoRAs of known styles, and how well epochs are chosen: hours. Start it twice to use two cores; it goes on where it was.
truth: install
	OMP_NUM_THREADS=1 $(BIN)/python -m loraspec_picturebook.experiment

# The rule that chooses, against checkpoints whose truth is known; under a minute.
puppets: install
	OMP_NUM_THREADS=1 $(BIN)/python -m loraspec_picturebook.puppets

fuzz: install
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz.run all $(or $(LORASPEC_FUZZ),1000000)

torture: install
	OMP_NUM_THREADS=1 PYTHONPATH=tests/torture $(BIN)/python -m wreck

# What captions do to a style LoRA: forty runs on the embedded base, two hours on one core. Start it twice to use two cores; it goes on where it was.
wording: install
	OMP_NUM_THREADS=1 $(BIN)/python -m loraspec_picturebook.wording
