# Every target is documented in one line: make help
SHELL := /bin/bash
PYTHON ?= python3
PROOF ?= 1
IMAGE ?= dataexport-exporter
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/.tools/bin:$(PATH)
pip = $(1)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help run test check demo bench soak prove confusion mutants dashboards chart reference format docs pins audit dist deb sbom image image-check chart-check stacks-check

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: $(VENV)/run.stamp ## start the exporter on loopback with SQLite
	$(BIN)/dataexport-exporter serve

# Tests start many processes, each of which would compile every module anew where Python may not write bytecode.
test prove: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/dev.stamp tools ## run all tests but the long proofs, with coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not proof and not container and not cluster and not stacks" --numprocesses=3 --dist=worksteal --durations=20
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=0

check: $(VENV)/dev.stamp tools ## what else a change has to pass: linters, types, layers, rules, pins, prose
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict .
	alerts/check
	$(BIN)/python scripts/check_pins.py
	$(BIN)/python scripts/check_prose.py
	$(BIN)/python scripts/chart_checked.py
	.tools/bin/actionlint
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/codespell *.md docs alerts deploy grafana exporter scripts benchmarks

demo: $(VENV)/dev.stamp tools ## exporter, Prometheus and Alertmanager with simulated exports, until Ctrl-C
	$(BIN)/python scripts/demo.py

bench: $(VENV)/dev.stamp $(VENV)/bench/stamp ## measure, beside Pushgateway if it is installed
	scripts/install-tools pushgateway
	$(BIN)/python benchmarks/run.py

soak: $(VENV)/dev.stamp ## an hour of 50 events a second: do memory, open files and latency stay flat?
	$(BIN)/python benchmarks/soak.py

prove: $(VENV)/dev.stamp tools ## run the long proofs, ten times as long with PROOF=10; fail unless they and make test cover every line
	scripts/install-tools azurite-blob
	PROOF=$(PROOF) $(BIN)/coverage run -m pytest -m "proof or thorough" --numprocesses=3 --dist=worksteal --durations=20
	$(BIN)/coverage combine --quiet --append
	$(BIN)/coverage report

confusion: $(VENV)/dev.stamp tools ## compare the alerts with a simulated month with planted faults
	$(BIN)/python benchmarks/confusion.py

mutants: $(VENV)/dev.stamp tools ## change the alert rules and a sample of the code: do the tests notice each change?
	$(BIN)/python scripts/mutate_rules.py
	$(BIN)/python scripts/mutate_code.py

dashboards: $(VENV)/dev.stamp ## write the dashboards and Grafana's alerts from their generators
	grafana/generate

chart: $(VENV)/dev.stamp tools ## write what the Helm chart takes from elsewhere, and the plain manifests
	$(BIN)/python scripts/helm_chart.py

reference: $(VENV)/dev.stamp ## write the generated pages of docs/reference
	$(BIN)/python scripts/generate_reference.py

format: $(VENV)/dev.stamp ## let ruff format and fix what it can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

dist: $(VENV)/dev.stamp $(VENV)/dist/stamp ## build wheel and source distribution into dist/, the same bytes from the same commit
	$(BIN)/python scripts/build_dist.py
	$(VENV)/dist/bin/twine check --strict dist/*.whl dist/*.tar.gz

deb: dist ## build a Debian package into dist/
	scripts/build-deb

sbom: $(VENV)/dev.stamp $(VENV)/bench/stamp $(VENV)/dist/stamp ## list what the image installs, in CycloneDX and SPDX, in dist/
	mkdir -p dist
	$(VENV)/dist/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file dist/sbom.cyclonedx.json $(VENV)/bench/bin/python
	$(BIN)/python scripts/sbom_spdx.py dist/sbom.cyclonedx.json dist/sbom.spdx.json \
		"$$(TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)"

image: ## build the image IMAGE with docker
	docker build --tag $(IMAGE) --build-arg REVISION="$$(git rev-parse HEAD)" $(IMAGE_OPTIONS) .

image-check: $(VENV)/dev.stamp ## build the image and run it in every supported way, with a private Docker engine if none runs
	scripts/with-docker $(BIN)/pytest -m container --durations=0 tests/image

# From the network of the cluster, no package can be had, so the image is built before.
chart-check: $(VENV)/dev.stamp ## install the Helm chart in a private Kubernetes and break it there; record that it passed
	scripts/install-tools kubernetes
	scripts/with-docker scripts/cluster-images .tools/kubernetes/images.tar
	scripts/with-kubernetes .tools/kubernetes/images.tar $(BIN)/pytest -m cluster --durations=0 tests/delivery/test_cluster.py
	$(BIN)/python scripts/chart_checked.py --record

stacks-check: $(VENV)/dev.stamp ## run the rules on what other collectors write; builds the OpenTelemetry Collector the first time
	scripts/install-tools otelcol
	CI=true $(BIN)/pytest -m stacks --durations=0 tests/alerting/test_monitoring_stacks.py

docs: $(VENV)/docs/stamp ## build the documentation as a site in site/; fail on a broken link
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict --clean

pins: $(VENV)/dev.stamp ## compile requirements/*.txt from pyproject.toml
	scripts/compile-pins

audit: $(VENV)/run.stamp ## look for known vulnerabilities of the pins, if the data can be fetched
	scripts/audit

.PHONY: tools
tools:
	scripts/install-tools

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.12, for example")'
	$(PYTHON) -m venv $(VENV) || { echo "make: python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(call pip,$(BIN)) --require-hashes -r requirements/run.txt
	$(call pip,$(BIN)) --no-deps --editable .
	touch $@

# As the image has it: copied, since what is editable is found by a finder, some milliseconds of a start.
$(VENV)/bench/stamp: requirements/landing.txt pyproject.toml $(shell find exporter -type f -not -name '*.pyc') | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/bench
	$(call pip,$(VENV)/bench/bin) --require-hashes -r requirements/landing.txt
	rm -rf build
	$(call pip,$(VENV)/bench/bin) --no-deps --force-reinstall .
	rm -rf build
	touch $@

$(VENV)/dist/stamp: requirements/dist.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/dist
	$(call pip,$(VENV)/dist/bin) --require-hashes -r requirements/dist.txt
	touch $@

$(VENV)/docs/stamp: requirements/docs.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/docs
	$(call pip,$(VENV)/docs/bin) --require-hashes -r requirements/docs.txt
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(call pip,$(BIN)) --require-hashes -r requirements/dev.txt
	touch $@
