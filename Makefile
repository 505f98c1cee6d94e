# Everything runs in .venv, which `make setup` makes; no target needs it activated.
PYTHON ?= python3
VENV := .venv
LINK := .ansible/collections/ansible_collections/bookface/platform
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
# Handed to ansible-playbook by demo and demo-down, such as ARGS="-e lab_http_port=8090",
# and to a bench, such as ARGS=--quick.
ARGS ?=
# Handed to apt-get for the packages of the tests.
APT_OPTIONS ?=
# What test-changed compares with: a branch or a commit.
BASE ?= main
# Modules of bench/ that measure; report.py is what they share.
BENCHES := switch docker_ce database image ansible swarm swarm_growth autoscale

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down test test-fast test-changed test-openstack test-postgresql test-haproxy test-rotation test-long test-vm killed lint docs test-packages clean bench $(BENCHES:%=bench-%)

help: ## list the targets
	@sed -n 's/^\([a-z%-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(VENV)/.made $(LINK) ## virtual environment, and this checkout as bookface.platform

# Debian splits venv off Python, and a container image may lack SSH's client.
$(VENV)/.made: requirements.lock
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null && command -v ssh-keygen > /dev/null \
	  || { $(AS_ROOT) apt-get update -q && $(AS_ROOT) apt-get install -qy --no-install-recommends python3-venv openssh-client; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement requirements.lock
	@touch $@

# Roles, modules and filters are always addressed by their full name, here as in an installed collection.
$(LINK):
	@mkdir -p $(dir $@)
	@ln -sfn ../../../.. $@

demo: setup ## the whole platform on this machine, and its traffic moved to containers
	$(VENV)/bin/python -m scripts.demo $(ARGS)

demo-down: setup ## remove all that the demo made
	ansible-playbook playbooks/lab.yml -e lab_state=absent -e lab_remove_images=true $(ARGS)

test: setup test-packages ## all checks and tests
	$(VENV)/bin/python tests/run.py

test-fast: setup ## linters and unit tests
	$(VENV)/bin/python tests/run.py --only lint,unit

test-changed: setup test-packages ## the steps that changes since BASE (default: main) can affect
	$(VENV)/bin/python tests/run.py --changed $(BASE)

test-openstack: setup ## provisioning, against a small OpenStack on the loopback
	$(VENV)/bin/python tests/run.py --only openstack

test-postgresql: setup test-packages ## indexes on PostgreSQL 10 to 18, which npm installs; VERSIONS="11 17" for some
	$(VENV)/bin/python -m tests.postgresql $(VERSIONS)

test-haproxy: setup test-packages ## the switch on HAProxy 3.0 to 3.4 from Debian's archive; RELEASES="sid" for some
	@command -v patchelf > /dev/null || $(AS_ROOT) apt-get install -qy --no-install-recommends patchelf
	$(VENV)/bin/python -m tests.haproxy $(RELEASES)

test-rotation: setup ## the database's password changes under load, on the lab of make demo, killed and continued
	BOOKFACE_INVENTORY=$(CURDIR)/inventories/lab $(VENV)/bin/python tests/run.py --only rotation

test-long: setup ## the longest tests of a whole platform, on the lab of make demo
	BOOKFACE_INVENTORY=$(CURDIR)/inventories/lab $(VENV)/bin/python tests/run.py --only long

test-vm: setup ## virtual machines with kernels of their own: first boot, power failures, routing mesh
	$(VENV)/bin/python tests/run.py --only vm

killed: setup ## runs of site.yml that are killed, and repaired by the next one; writes docs/killed.md
	$(VENV)/bin/python tests/run.py --only killed
	$(VENV)/bin/python -m tests.killed all $(ARGS)

lint: setup ## linters
	$(VENV)/bin/python tests/run.py --only lint

bench: $(BENCHES:%=bench-%) ## all measurements, see bench/README.md

$(BENCHES:%=bench-%): bench-%: setup test-packages
	$(VENV)/bin/python -m bench.$* $(ARGS)

bench-%: ## one of them, such as bench-switch
	$(error there is no bench $*; there are: $(BENCHES))

docs: setup ## tables of variables in the roles' READMEs
	$(VENV)/bin/python scripts/role_tables.py

# Real servers for the integration tests, started by the tests on ports of their own.
test-packages:
	@dpkg -s $$(cat tests/packages.txt) > /dev/null 2>&1 \
	  || { $(AS_ROOT) apt-get update -q && $(AS_ROOT) apt-get install -qy --no-install-recommends $(APT_OPTIONS) $$(cat tests/packages.txt); }

clean: ## remove what set-up and runs left in this directory
	rm -rf $(VENV) .ansible .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build logs
