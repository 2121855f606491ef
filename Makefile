# `make run` and `make test` need make and Python 3.11 or newer, and nothing else: everything goes into .venv.
# config/venv.sh makes it; the work is done by Python.

.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
# What lint and the locks need of the settings: nothing that leads anywhere.
NOWHERE := SECRET_KEY=not-used-by-checks-but-long-enough-to-look-like-a-real-one-0123456789 \
	DATABASE_URL=postgres://nobody:nothing@127.0.0.1:1/nowhere REDIS_URL=redis://:nothing@127.0.0.1:1 \
	DEBUG=0 DEMO=0 ALLOW_SANDBOX=1 ALLOWED_HOSTS=orders.example TRUSTED_PROXIES=192.0.2.1 \
	DATA_DIR=$(CURDIR)/.data/nowhere

.PHONY: help docker-check run engines backup restore cluster cluster-test cluster-kill cluster-freeze cluster-cut cluster-heal cluster-restart cluster-upgrade test bench chaos attack fuzz mutants client advisories lint check translations screenshots clean lock

help: ## List the commands
	@grep -hE '^[a-z -]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: ## Start everything, on http://localhost:8000 (PORT=, FLOWER_PORT=, HOST=, DATABASE_URL=, REDIS_URL=)
	@sh config/venv.sh requirements.txt
	@exec $(PY) -m launcher.run

engines: ## Start PostgreSQL and Valkey of `make run` alone
	@sh config/venv.sh requirements.txt
	@exec $(PY) -m launcher.alone

backup: ## Save the database to a file (FILE=, else below .data/backups), beside `make run` or without it
	@sh config/venv.sh requirements.txt
	@exec $(PY) -m launcher.backup save $(FILE)

restore: ## Restore a backup, with everything stopped (FILE=, REPLACE=1 drops what is there)
	@sh config/venv.sh requirements.txt
	@exec env REPLACE=$(REPLACE) $(PY) -m launcher.backup restore $(FILE)

cluster: ## Start three nodes, any of which may die, on http://localhost:8000 (NETWORK=namespaces as root, ARGS=--prove)
	@sh config/venv.sh requirements-cluster.txt
	@exec $(PY) -m cluster $(ARGS)

cluster-kill cluster-freeze cluster-cut cluster-heal: ## Inject a fault into a node, and undo it (NODE=2)
	@exec $(PY) -m cluster $(@:cluster-%=%) $(NODE)

cluster-restart: ## Restart its nodes one at a time, without a refused order (NODE=2: that one)
	@exec $(PY) -m cluster restart $(NODE)

cluster-upgrade: ## Upgrade to the release in another folder: migrations first, then one node at a time (CODE=)
	@exec $(PY) -m cluster upgrade $(if $(CODE),--code $(CODE))

test: ## Run the whole suite, on its own engines (ARGS= for pytest, e.g. one file or -n 0)
	@sh config/venv.sh requirements-dev.txt
	@exec env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest $(ARGS)

bench: ## Measure it beside the textbook (SCENARIO=, SECONDS=, ROUNDS=, ARGS=--profile)
	@sh config/venv.sh requirements-dev.txt
	@$(if $(filter cluster,$(SCENARIO)),sh config/venv.sh requirements-cluster.txt)
	@exec $(PY) -m bench $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

cluster-test: ## Run all rows of the fault matrix about nodes (as root: NETWORK=namespaces; FROM=older revision), or HOURS=2 SEED=7
	@sh config/venv.sh requirements-cluster.txt
	@exec $(PY) -m cluster $(if $(HOURS),--hours $(HOURS) $(if $(SEED),--seed $(SEED)),--rows all) $(if $(FROM),--from $(FROM))

chaos: ## Break the running system row by row, and check that nothing is lost (ROWS=F1,F7 or ROWS=N1,N4 SEED= ORDERS= HOURS= KILLS=)
	@sh config/venv.sh $(if $(filter N%,$(ROWS)),requirements-cluster.txt,requirements-dev.txt)
	@exec $(PY) -m $(if $(filter N%,$(ROWS)),cluster,chaos) $(if $(ROWS),--rows $(ROWS)) $(if $(SEED),--seed $(SEED)) $(if $(ORDERS),--orders $(ORDERS)) $(if $(HOURS),--hours $(HOURS)) $(if $(KILLS),--kills $(KILLS)) $(ARGS)

attack: ## Attack the running system, beside an honest user (ATTACKS=board,mails SECONDS=25 SEED=)
	@sh config/venv.sh requirements-dev.txt
	@exec $(PY) -m attacks $(if $(ATTACKS),--attacks $(ATTACKS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: ## Send requests generated from the API's description, as three kinds of users (REQUESTS=20000 SEED=1)
	@sh config/venv.sh requirements-dev.txt
	@FUZZ_REQUESTS=$(or $(REQUESTS),20000) FUZZ_SEED=$(or $(SEED),1) $(PY) -m pytest -q -s tests/security/test_generated_requests.py $(ARGS)

mutants: ## Break chosen modules one place at a time, and list what no test notices; for nights (TARGETS=stock,ledger SAMPLE=0.2 SEED=)
	@sh config/venv.sh requirements-dev.txt
	@sh config/venv.sh requirements-mutants.txt
	@exec $(PY) -m tests.mutants $(if $(TARGETS),--targets $(TARGETS)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

client: ## Build the Python client as a wheel in dist/, from the API's description
	@sh config/venv.sh requirements-dev.txt
	@$(NOWHERE) $(PY) -m clients.build dist

advisories: ## List known vulnerabilities of our dependencies (from the package index, or DATA=folder or zip of OSV records)
	@sh config/venv.sh requirements-dev.txt
	@$(if $(DATA),$(PY) -m config.advisories requirements.txt "$(DATA)",$(PY) -m pip_audit --disable-pip --require-hashes --strict -r requirements.txt)

lint: ## Check style, types, import contracts, wording, vulnerabilities, migrations, deploy check
	@sh config/venv.sh requirements-dev.txt
	@echo "ruff ..." && $(PY) -m ruff check . && $(PY) -m ruff format --check .
	@echo "mypy ..." && $(NOWHERE) $(PY) -m mypy
	@echo "import contracts ..." && $(NOWHERE) $(VENV)/bin/lint-imports --no-cache
	@echo "words ..." && $(PY) -m lint.words
	@echo "bandit ..." && $(PY) -m bandit -q -r -c pyproject.toml .
	@echo "migrations ..." && $(NOWHERE) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@echo "deploy check ..." && $(NOWHERE) $(PY) manage.py check --deploy --fail-level WARNING

translations: ## Compile the translations of customers' pages and mails
	@sh config/venv.sh requirements-dev.txt
	@$(VENV)/bin/pybabel compile -D django -d notifications/locale

docker-check: ## Run docker-compose.yml on a real Docker engine, on stand-in images where no registry is reachable (KEEP=1 leaves it up)
	@exec ops/docker-check

screenshots: ## Take the pictures of the README (needs Chromium)
	@sh config/venv.sh requirements-dev.txt
	@$(PY) -m tests.board.screenshots

check: ## Format the code and fix what ruff can fix
	@sh config/venv.sh requirements-dev.txt
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

lock: ## Compile the requirements from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade --no-emit-index-url \
		--no-header --no-annotate -q -o requirements.txt
	@uv pip compile pyproject.toml --extra dev --extra otel --extra sign-in -c requirements.txt --universal --python-version 3.11 --generate-hashes \
		--upgrade --no-emit-index-url --no-header --no-annotate -q -o requirements-dev.txt
	@uv pip compile pyproject.toml --extra anymail --extra otel --extra sign-in -c requirements-dev.txt --universal --python-version 3.11 --generate-hashes \
		--upgrade --no-emit-index-url --no-header --no-annotate -q -o requirements-image.txt
	@uv pip compile pyproject.toml --extra cluster -c requirements-dev.txt --universal --python-version 3.11 --generate-hashes \
		--upgrade --no-emit-index-url --no-header --no-annotate -q -o requirements-cluster.txt
	@uv pip compile pyproject.toml --extra mutants -c requirements-dev.txt --universal --python-version 3.11 --generate-hashes \
		--upgrade --no-emit-index-url --no-header --no-annotate -q -o requirements-mutants.txt

clean: ## Remove the virtual environment and all data
	@if [ -L .data/postgres ]; then rm -rf "$$(dirname "$$(readlink -f .data/postgres)")"; fi
	@rm -rf .data
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
