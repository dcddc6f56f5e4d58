# Needs only make and Python 3.11 or newer, with pip's package index. `make demo`, `make test`.

PYTHON ?= python3
DATASET ?= digits
ARGS ?=
ROUNDS ?= 8
SECONDS ?= 300
KILLS ?= 100
MINUTES ?= 10
# Where to take torch from, for another build than the index's default: make install TORCH_INDEX=URL
TORCH_INDEX ?=

VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
TESTS := $(VENV)/.ready-for-tests
SOURCES := olad_core service tests

.PHONY: demo test chaos flood recovery soak lint contract fuzz bench bench-learning install client-wheel settings picture lock clean

demo: $(READY)
	$(VENV)/bin/olad demo $(DATASET) $(ARGS)

test: $(TESTS)
	$(VENV)/bin/python -m pytest $(ARGS)

# Every fault ROUNDS times against the whole service, and a table of what was lost: nothing. With PARTITIONS=4, against
# so many ranks of a worker with partitions.
chaos: $(TESTS)
	timeout --kill-after=10 $(if $(PARTITIONS),7200,600) $(VENV)/bin/python -m \
	  tests.chaos.$(if $(PARTITIONS),partitions $(PARTITIONS),chaos) $(ROUNDS)

# Clients that send far more than can be applied, for SECONDS, and a table of what became of it
flood: $(TESTS)
	$(VENV)/bin/python -m tests.chaos.flood --seconds $(SECONDS)

# A worker killed at KILLS random points ends with the bytes of one that was not. With PARTITIONS=2, so many ranks that
# learn, any of which is killed.
recovery: $(TESTS)
	$(VENV)/bin/python -m tests.chaos.$(if $(PARTITIONS),killed_ranks $(PARTITIONS),recovery) $(KILLS)

# 1,000 events a second for MINUTES, with memory, checkpoint size and lag: soak.png. With CHURN=5000, so many nodes a
# second come and go, each id once.
soak: $(TESTS)
	$(VENV)/bin/python -m tests.chaos.soak $(MINUTES) soak.png $(if $(CHURN),--churn $(CHURN))

lint: $(TESTS)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# schemathesis over the whole OpenAPI document, for some minutes
contract: $(TESTS)
	OLAD_TEST_CONTRACT_EXAMPLES=200 $(VENV)/bin/python -m pytest tests/service/api/test_contract.py $(ARGS)

# Streams of bytes on the HTTP layer, then atheris on the event decoder: make fuzz FUZZ_SECONDS=600.
# What breaks one of them is kept in .fuzz.
FUZZ_SECONDS ?= 60
fuzz: $(TESTS)
	$(PIP) install --quiet 'atheris>=3'
	mkdir -p .fuzz/corpus
	$(VENV)/bin/python -m tests.fuzz.http --seconds $(FUZZ_SECONDS)
	$(VENV)/bin/python -m tests.fuzz.events -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=.fuzz/ .fuzz/corpus

# Every benchmark, then the tables in benchmarks/RESULTS.md; a quick look: make bench ARGS=--quick; one row:
# make bench ARGS=freshness; in turns with another commit: make bench ARGS='--against d34ecfc'
bench: $(TESTS)
	$(VENV)/bin/python -m benchmarks.table $(ARGS)

# Ways to learn side by side, then benchmarks/learning/RESULTS.md; less: make bench-learning ARGS='--streams pubmed-5 --seeds 2'.
# The runs, compressed, and every plot go to benchmarks/learning/results, which git ignores.
LEARNED := benchmarks/learning/results
bench-learning: $(TESTS)
	$(VENV)/bin/python -m benchmarks.learning --write benchmarks/learning \
	  --archive $(LEARNED)/runs.jsonl.xz --plots $(LEARNED)/plots $(ARGS)

install: $(READY)

# The stamps are written last: an installation that was interrupted is done again. torch comes after what it needs, so
# that its index gives torch alone.
$(READY): pyproject.toml requirements/run.txt requirements/files.txt requirements/torch.txt requirements/no-deps.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is `$(PYTHON) --version`; 3.11 or newer is needed: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes -r requirements/run.txt -r requirements/files.txt
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r requirements/torch.txt
	$(PIP) install --quiet --require-hashes --no-deps -r requirements/no-deps.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(TESTS): $(READY) requirements/evaluate.txt requirements/test.txt
	$(PIP) install --quiet --require-hashes -r requirements/evaluate.txt -r requirements/test.txt
	@touch $@

# The client alone, without FastAPI, Redis and torch: dist/olad_client-VERSION-py3-none-any.whl
client-wheel: $(READY)
	$(VENV)/bin/python -m service.client.wheel dist

# docs/settings.md out of service/settings.py
settings: $(READY)
	$(VENV)/bin/python -m service.settings_table > docs/settings.md

# The picture in ARCHITECTURE.md out of its text
picture: $(READY)
	$(VENV)/bin/python docs/draw.py docs/architecture.txt > docs/architecture.svg

# The files in requirements/ out of pyproject.toml; newer versions: make lock ARGS=--upgrade
lock:
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet uv
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH requirements/lock.sh $(ARGS)

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .fuzz .schemathesis
