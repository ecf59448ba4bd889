# `make` or `make help` lists the targets.

CARGO ?= cargo
GLIMPSE = $(CARGO) run --quiet --locked --
CARGO_DENY_VERSION = 0.20.2
DENY = target/tools/bin/cargo-deny

COUNT ?= 100
PREFIX ?= images/
QUERY ?= cat sitting
FILE ?= test.jpg
QUERIES ?= demo/queries.json
PROVIDER ?=
METADATA_KEY ?=
SERVICE ?=
export COUNT PREFIX QUERY FILE QUERIES PROVIDER METADATA_KEY SERVICE

# Compose as a plugin of docker, or as the program that it was before.
COMPOSE ?= $(shell if docker compose version >/dev/null 2>&1; then echo docker compose; \
	elif command -v docker-compose >/dev/null 2>&1; then echo docker-compose; else echo no-compose; fi)
STACK = $(COMPOSE) --file zarf/compose/dev/docker-compose.yaml
# The stack's bucket and keys are inside its network: what seeds it runs there.
IN_STACK = $(STACK) exec -T pipeline glimpse

.DEFAULT_GOAL := help
.PHONY: help demo test screenshot crash test-peers test-servers test-ray test-api check bench bench-peers run release seed-images ingest-images \
	search-image-text search-image search-image-qdrant search-image-weaviate eval \
	up down status logs stack-seed compose

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## everything at once, in one process: seeds, ingests, searches, prints the hits, stays
	$(CARGO) run --locked -- demo

test: ## all tests, those of the documentation too; installs Chromium and nginx if it may
	zarf/proxy/install.sh
	GLIMPSE_AXE="$$(zarf/browser/install.sh)" $(CARGO) test --locked

screenshot: ## README's picture of the page, out of the demo's pictures (chromium, chromium-driver)
	zarf/browser/install.sh >/dev/null
	$(CARGO) test --locked --test it browser::search::text
	cp target/screens/search.jpg zarf/browser/page.jpg

crash: ## kill the service ROUNDS=100 times while it works, and compare what it ends up with
	ROUNDS="$${ROUNDS:-100}" $(CARGO) test --locked --test it -- --nocapture crash::

test-peers: ## the providers' contract against infinity from PyPI (python3; 6 GB under target/peers)
	CARGO="$(CARGO)" zarf/peers/infinity.sh

test-servers: ## stores and buckets against real servers, SERVERS="weaviate minio" (go builds them, once, into the user's cache)
	CARGO="$(CARGO)" zarf/servers/test.sh

test-ray: ## jobs on a real Ray cluster in a network of its own (root, python3; Ray goes into the user's cache)
	CARGO="$(CARGO)" zarf/ray/test.sh

test-api: ## the running service against its OpenAPI document, by schemathesis (python3; PyPI, into target/api)
	CARGO="$(CARGO)" zarf/api/test.sh

check: $(DENY) ## format, clippy, documentation, dependencies, layers, the page's JavaScript (node)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --no-deps
	$(DENY) --locked --config zarf/deny.toml check bans licenses sources
	$(CARGO) test --locked --test it layers::
	zarf/page/check.sh

# Older versions of it are replaced: the file's name alone would not tell.
$(DENY): Makefile
	$(CARGO) install cargo-deny --version $(CARGO_DENY_VERSION) --locked --debug --root target/tools
	@touch $@

bench: ## measure
	$(CARGO) bench --locked

# What its Python side needs comes from PyPI, into target/peers.
target/peers/bin/python:
	python3 -m venv target/peers
	target/peers/bin/pip install --quiet pillow pyvips pyvips-binary numpy torch transformers onnx onnxruntime tokenizers

target/peers/clip-b32: target/peers/bin/python
	target/peers/bin/python zarf/peers/clip_b32.py $@

bench-peers: target/peers/clip-b32 ## beside Pillow, libvips and ONNX Runtime, on one core (python3; 7 GB under target/peers)
	$(CARGO) bench --locked --bench decode_peer --bench embed_peer --no-run
	target/peers/bin/python zarf/peers/decode.py target/peers/files
	target/peers/bin/python zarf/peers/embed.py target/peers/clip-b32

compose:
	@if [ "$(COMPOSE)" = no-compose ]; then \
		echo "neither 'docker compose' nor docker-compose is here: install Docker with its compose plugin," >&2; \
		echo "or run everything in one process, without containers: make demo" >&2; exit 1; fi

up: compose ## the stack of containers: MinIO, Qdrant, Weaviate, CLIP and the service, at 127.0.0.1:8080
	$(STACK) build pipeline
	$(STACK) up --build --detach
	@echo "make status tells when all are healthy; the API key is in .env.local"

down: compose ## stop the stack; its data stays in volumes
	$(STACK) down --remove-orphans

status: compose ## the stack's containers and their health
	$(STACK) ps

logs: compose ## what the stack says, as it comes; SERVICE=pipeline for one of it
	$(STACK) logs --follow --tail 100 $$SERVICE

stack-seed: compose ## upload COUNT=100 pictures under PREFIX=images/ to the stack's bucket
	$(IN_STACK) seed --count "$$COUNT" --prefix "$$PREFIX"

run: ## the service alone
	$(GLIMPSE) serve

release: ## the binary that is worth deploying: target/release/glimpse
	$(CARGO) build --release --locked

seed-images: ## upload COUNT=100 pictures under PREFIX=images/
	$(GLIMPSE) seed --count "$$COUNT" --prefix "$$PREFIX"

ingest-images: ## index the pictures under PREFIX=images/ (needs a running service), with METADATA_KEY=table.csv if given
	$(GLIMPSE) ingest --prefix "$$PREFIX" $${METADATA_KEY:+--metadata-key "$$METADATA_KEY"}

search-image-text: ## find pictures by QUERY="cat sitting", in the store PROVIDER= if one is named
	$(GLIMPSE) search $${PROVIDER:+--provider "$$PROVIDER"} -- "$$QUERY"

search-image: ## find pictures like FILE=test.jpg
	$(GLIMPSE) search --file "$$FILE"

search-image-qdrant: ## the same, asked of Qdrant
	$(GLIMPSE) search --provider qdrant --file "$$FILE"

search-image-weaviate: ## the same, asked of Weaviate
	$(GLIMPSE) search --provider weaviate --file "$$FILE"

eval: ## how well pictures are found: recall and MRR for QUERIES=demo/queries.json
	$(GLIMPSE) eval --queries "$$QUERIES"
