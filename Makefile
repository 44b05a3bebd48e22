# `make demo` and `make test` need git, make and Python 3.11.5 or newer; the rest goes into .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

demo: .venv/ready
	$(BIN)/python examples/demo.py

test: .venv/ready-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

docs: .venv/ready-dev
	$(BIN)/sphinx-build -q -W --keep-going -c docs -d build/doctrees . build/docs
	@echo "the site is in build/docs/index.html"

check: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --severity-level medium pellucid

# Asks the network for known holes in what is pinned; fails where it gets no answer.
audit: .venv/ready-dev
	$(BIN)/pip install --quiet 'pip-audit==2.10.1'
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# Every expected number again, one by one; what is known of this state of the package is not measured twice.
recheck: .venv/ready-dev
	$(BIN)/python benchmarks/recheck.py

# Writes requirements.lock anew from pyproject.toml, constraints.txt and the hashes that the public index states; it needs the network. What
# the lock has already keeps its version.
lock: .venv/ready-dev
	$(BIN)/pip install --quiet 'uv==0.13.9'
	$(BIN)/uv pip compile --no-config --quiet --all-extras --universal --python-version 3.11.5 --generate-hashes --no-annotate --no-header \
	  --default-index https://pypi.org/simple --constraint constraints.txt --output-file requirements.lock pyproject.toml

.venv/ready: pyproject.toml constraints.txt | .venv
	@echo "installing into .venv; this takes a minute or two"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/ready-dev: pyproject.toml constraints.txt | .venv
	@echo "installing into .venv; this takes a minute or two"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/ready

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || \
	  { echo "Python 3.11.5 or newer is needed: make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv

clean:
	rm -rf .venv demo build *.egg-info

.PHONY: demo test docs check audit recheck lock clean
