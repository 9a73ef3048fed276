# make demo    install, run sweeps/demo.yaml, which draws its data
# make test    install, run the tests
# make test-all   the slow ones, too
# make check   formatting, lint, types
# make audit   known vulnerabilities among the pinned packages
# make screenshots   the pictures of docs/images, from a demo sweep
# make faults  break real sweeps at random moments, at most 15 minutes; prints what that cost
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test test-all check audit faults screenshots install install-dev clean

demo: install
	$(RUN) launch.py sweeps/demo.yaml

test: install-dev
	$(RUN) -m pytest

test-all: install-dev
	$(RUN) -m pytest -m "slow or not slow"

check: install-dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

audit: install-dev
	$(RUN) checks/audit.py

faults: install-dev
	$(RUN) -m benchmarks.faults --minutes 12

screenshots: install-dev
	$(RUN) docs/make_screenshots.py

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# The stamps are files, so that nothing is installed twice; a changed requirement installs again.
$(VENV)/.installed: requirements.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m agropest install-detectron2
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) build
