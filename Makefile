# Needs Python 3.11 or newer, make and git. Everything is installed below this folder, in .venv and web.
#
# make run PORT=8001        another port
# make test ARGS='-k tips'  some of the tests
# make PYTHON=python3.12    another Python than the first that will do

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

PYTHON ?=
ARGS ?=
UV ?= uv

ifneq ($(PORT),)
run: export COMPTOIR_PORT := $(PORT)
endif

.PHONY: help install web run test faults localstripe lint demo races bench-tip bench-ledger bench-webhooks bench-commerce schema lock format clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

install: export SCRIPT = $(INSTALL)
install: ## Make .venv with the locked dependencies, unless it is up to date.
	@sh -c "$$SCRIPT"

web: install ## Build the front ends, unless they are up to date.
	@.venv/bin/python web/build.py

run: install web ## Start PostgreSQL, migrate, seed and serve with a worker on 127.0.0.1:8000.
	@.venv/bin/comptoir migrate
	@.venv/bin/comptoir seed
	@exec .venv/bin/comptoir serve --with-worker

test: install web ## Run every test.
	@.venv/bin/python -m pytest $(ARGS)

faults: install web ## Run the tests of what goes wrong: processes killed, databases away, webhooks of every bad kind.
	@.venv/bin/python -m pytest tests/faults $(ARGS)

localstripe: export SETUP = $(LOCALSTRIPE)
localstripe: install ## Run the tests of the Stripe adapter against localstripe, installed apart from everything else.
	@sh -c "$$SETUP"
	@.venv/bin/python -m pytest tests/localstripe $(ARGS)

lint: install ## Check style, types, the direction of imports and that the printed schema is fresh.
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/comptoir schema --check

demo: install ## Play the way of one tip, from the payment to the books.
	@.venv/bin/comptoir demo

races: install ## Race buyers, creators and tabs for the same things over HTTP; ARGS='--repeat 10', or --url and --token.
	@.venv/bin/python -m races $(ARGS)

bench-tip: install ## Measure how many tips a second are given and settled.
	@.venv/bin/python -m benchmarks.tip $(ARGS)

bench-ledger: install ## Measure what a transfer costs in the books; GROWTH=1 adds ten million movements, ARGS=--quick hurries.
	@.venv/bin/python -m benchmarks.ledger $(ARGS)

bench-webhooks: install ## Measure what webhooks cost, from the receipt to the push; ARGS=--quick hurries.
	@.venv/bin/python -m benchmarks.webhooks $(ARGS)

bench-commerce: install ## Measure what a list of products and a checkout cost; ARGS=--quick hurries.
	@.venv/bin/python -m benchmarks.commerce $(ARGS)

schema: install ## Print the GraphQL schema into its file.
	@.venv/bin/comptoir schema --write

format: install ## Format the Python code and repair what ruff can repair.
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

lock: ## Write the lock files anew from pyproject.toml (ARGS=--upgrade moves every version).
	@command -v $(UV) >/dev/null || { echo 'make lock needs uv: pip install uv' >&2; exit 1; }
	@$(COMPILE) --extra embedded --extra dev --output-file requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock

clean: ## Remove what the other targets made; the data in var stays.
	@rm -rf .venv app/static web/node_modules dist
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One set of versions for every supported Python and system, held by hashes, without a registry's address.
COMPILE = $(UV) pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url --no-emit-find-links --annotation-style line $(ARGS)

# .venv/.installed says what .venv was made by and for: another Python or a moved folder makes it anew, other
# dependencies are installed into it.
define INSTALL
set -eu
say() { echo "$$*" >&2; }
candidates='$(or $(PYTHON),python3 python3.13 python3.12 python3.11)'

python=
for name in $$candidates; do
    # The file behind links and shims, and behind .venv itself where that is active.
    python=$$("$$name" -c 'if True:
        import os, sys
        assert sys.version_info >= (3, 11)
        print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))' 2>/dev/null) && break
done
if [ -z "$$python" ]; then
    say "Comptoir needs Python 3.11 or newer and found none ($$candidates): install it, or name it with make PYTHON=..."
    exit 1
fi

maker="$$python $$PWD"
needs=$$(cat requirements-dev.lock pyproject.toml | cksum)
made() { sed -n "$$1p" .venv/.installed 2>/dev/null || true; }
if [ "$$(made 1)" = "$$maker" ] && [ "$$(made 2)" = "$$needs" ]; then
    exit 0
fi

if [ "$$(made 1)" != "$$maker" ]; then
    if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "$$python has no venv module: install it (Debian and Ubuntu: apt-get install python3-venv) and try again."
        exit 1
    fi
    say 'Making .venv.'
    "$$python" -m venv --clear .venv
fi
rm -f .venv/.installed

say 'Installing the locked dependencies into .venv: a minute or two, once.'
pip() {
    .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$$@" >>.venv/install.log 2>&1 && return
    reason=$$(sed -n 's/^ERROR: //p' .venv/install.log | tail -n 1)
    say "The dependencies could not be installed: $${reason:-pip failed} (the whole log: .venv/install.log)"
    exit 1
}
export PIP_ROOT_USER_ACTION=ignore
: >.venv/install.log
pip install --require-hashes -r requirements-dev.lock
pip install --no-build-isolation --no-deps --editable .
printf '%s\n%s\n' "$$maker" "$$needs" >.venv/.installed
endef

# localstripe is another program, under another licence: a process of its own, from a virtual environment of its own.
define LOCALSTRIPE
set -eu
needs=tests/localstripe/requirements.txt
cmp -s "$$needs" .venv/localstripe/.installed && exit 0
echo 'Making .venv/localstripe.' >&2
export PIP_ROOT_USER_ACTION=ignore
.venv/bin/python -m venv --clear .venv/localstripe
.venv/localstripe/bin/python -m pip --quiet --disable-pip-version-check --no-input install --require-hashes -r "$$needs" || {
    echo 'localstripe could not be installed.' >&2
    exit 1
}
cp "$$needs" .venv/localstripe/.installed
endef
