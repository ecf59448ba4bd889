# `make` or `make help` lists the targets.

CARGO ?= cargo
# Features that are tested beside the default ones.
FEATURES ?=
export FEATURES
TEST_FLAGS = --locked $(if $(FEATURES),--features $(FEATURES))
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

# Compose as a plugin of docker, or the older program docker-compose.
COMPOSE ?= $(shell if docker compose version >/dev/null 2>&1; then echo docker compose; \
	elif command -v docker-compose >/dev/null 2>&1; then echo docker-compose; else echo no-compose; fi)
STACK = $(COMPOSE) --file zarf/compose/dev/docker-compose.yaml
# The bucket of the stack is reachable inside its network only, so seeding runs there.
IN_STACK = $(STACK) exec -T pipeline glimpse

.DEFAULT_GOAL := help
.PHONY: help demo run seed-images ingest-images search-image-text search-image search-image-qdrant search-image-weaviate eval \
	release dist install test check check-features crash test-api test-client test-servers test-peers test-onnxruntime test-ray test-observability test-image \
	test-charts nightly bench bench-peers bench-gpu load scale screenshot \
	up status logs stack-seed down compose

help:
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-24s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

##@ Use

demo: ## serve, upload 26 images, index and search them in one process; stays at http://127.0.0.1:8080
	$(CARGO) run --locked -- demo

run: ## run the service alone
	$(GLIMPSE) serve

seed-images: ## upload COUNT=100 demo images under PREFIX=images/ to the bucket
	$(GLIMPSE) seed --count "$$COUNT" --prefix "$$PREFIX"

ingest-images: ## index the images under PREFIX=images/ (the service must run); METADATA_KEY=table.csv adds metadata
	$(GLIMPSE) ingest --prefix "$$PREFIX" $${METADATA_KEY:+--metadata-key "$$METADATA_KEY"}

search-image-text: ## find images by QUERY="cat sitting"; PROVIDER=qdrant chooses the store
	$(GLIMPSE) search $${PROVIDER:+--provider "$$PROVIDER"} -- "$$QUERY"

search-image: ## find images like FILE=test.jpg
	$(GLIMPSE) search --file "$$FILE"

search-image-qdrant: ## find images like FILE=test.jpg in Qdrant
	$(GLIMPSE) search --provider qdrant --file "$$FILE"

search-image-weaviate: ## find images like FILE=test.jpg in Weaviate
	$(GLIMPSE) search --provider weaviate --file "$$FILE"

eval: ## measure recall and MRR for the known answers in QUERIES=demo/queries.json
	$(GLIMPSE) eval --queries "$$QUERIES"

release: ## build the optimised binary: target/release/glimpse
	$(CARGO) build --release --locked

dist: ## build a release into target/dist: a static binary, checksums, the list of crates (musl-tools; installs cargo-cyclonedx into target/tools)
	CARGO="$(CARGO)" zarf/dist/build.sh

install: ## build the optimised binary and copy it to ~/.cargo/bin
	$(CARGO) install --locked --path .

##@ Develop

test: ## run all tests; says what it installs before it does so, INSTALL=no installs nothing; REQUIRE=browser,nginx skips neither
	zarf/proxy/install.sh
	GLIMPSE_AXE="$$(zarf/browser/install.sh)" $(CARGO) test $(TEST_FLAGS) --workspace

# With `--examples`, although this workspace does not have any, `doc` uses the dependencies that clippy has checked: those with the features of tests.
check: $(DENY) ## check format, lints, documentation, dependencies, layers, language and the page's JavaScript (node)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --workspace --no-deps --lib --examples
	$(DENY) --locked --config zarf/deny.toml check bans licenses sources
	$(CARGO) test $(TEST_FLAGS) --test it -- layers:: language::
	zarf/page/check.sh

# The file's name does not contain the version, so a changed Makefile installs it again.
$(DENY): Makefile
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install cargo-deny --version $(CARGO_DENY_VERSION) --locked --debug --root target/tools
	@touch $@

crash: ## kill the service ROUNDS=100 times while jobs and events change the index, and compare it at the end
	ROUNDS="$${ROUNDS:-100}" $(CARGO) test --locked --test it -- --nocapture jobs::crash:: mirrors::crash:: generations::crash:: backup::crash::

test-api: ## test the running service against its OpenAPI document with schemathesis (python3; PyPI, under target/api)
	CARGO="$(CARGO)" zarf/api/test.sh

test-client: ## generate a Python client from the OpenAPI document, check its types and use it (python3; PyPI, 160 MB under target/client)
	CARGO="$(CARGO)" zarf/client/test.sh

test-servers: ## test against real servers, SERVERS="weaviate minio" (go builds them once, in the user's cache)
	CARGO="$(CARGO)" zarf/servers/test.sh

test-peers: ## test the embedding providers against infinity (python3; PyPI, 6 GB under target/peers)
	CARGO="$(CARGO)" zarf/peers/infinity.sh

test-onnxruntime: ## test the engine ONNX Runtime on the CPU (python3; PyPI, 170 MB under target/onnxruntime)
	CARGO="$(CARGO)" zarf/onnxruntime/test.sh

test-ray: ## test jobs on a real Ray cluster in a network of its own (root, python3; PyPI, in the user's cache)
	CARGO="$(CARGO)" zarf/ray/test.sh

test-observability: ## check the dashboard and the alert rules in a real Prometheus (python3; Debian's package, under target)
	CARGO="$(CARGO)" zarf/observability/test.sh

test-image: ## build the image from BINARY=target/debug/glimpse and run it read-only (root on Debian; installs buildah, podman, runc)
	@if [ -z "$$BINARY" ]; then $(CARGO) test $(TEST_FLAGS) --test it --no-run; fi
	zarf/image/check.sh "$${BINARY:-$${CARGO_TARGET_DIR:-target}/debug/glimpse}"

test-charts: ## check the Helm chart and the manifests against the schemas of Kubernetes (go builds helm once; python3, PyPI, under target)
	zarf/k8s/test.sh

# Each of them alone, because code that only one feature uses is a warning without it. The default features are checked by `check`.
check-features: ## check lints without default features, and with each feature alone
	@for features in "" heic avif jxl onnxruntime; do \
		echo "features: $${features:-none}"; \
		$(CARGO) clippy --locked --workspace --all-targets --no-default-features --features "$$features" -- -D warnings || exit 1; \
	done

nightly: crash check-features test-servers test-observability test-image test-charts ## all tests that are too slow for each change

bench: ## run all benchmarks
	$(CARGO) bench --locked

# The Python side comes from PyPI, into target/peers.
target/peers/bin/python:
	python3 -m venv target/peers
	target/peers/bin/pip install --quiet pillow pyvips pyvips-binary numpy torch transformers onnx onnxruntime tokenizers

target/peers/clip-b32: target/peers/bin/python
	target/peers/bin/python zarf/peers/clip_b32.py $@

target/peers/siglip2-b16-256: target/peers/bin/python
	target/peers/bin/python zarf/peers/siglip2_b16.py $@

bench-peers: target/peers/clip-b32 target/peers/siglip2-b16-256 ## compare with Pillow, libvips and ONNX Runtime on one core (python3; 9 GB under target/peers); FEATURES=onnxruntime
	$(CARGO) bench --locked $${FEATURES:+--features "$$FEATURES"} --bench decode_peer --bench embed_peer --no-run
	target/peers/bin/python zarf/peers/decode.py target/peers/files
	target/peers/bin/python zarf/peers/embed.py target/peers/clip-b32 target/peers/siglip2-b16-256

load: ## searches per second and latencies of 200 searchers beside a job, in a release build (python3; builds oha under target)
	CARGO="$(CARGO)" zarf/load/load.sh

bench-gpu: ## measure indexing on an NVIDIA GPU (driver, python3; 10 GB under target); DEVICE=cuda COUNT=10000 BATCH=256
	CARGO="$(CARGO)" zarf/gpu/bench.sh

scale: ## calculate time, size and money for 5 million to 1 billion images (python3); MODEL=siglip2-base-256
	@python3 zarf/scale/scale.py $${MODEL:+--model "$$MODEL"}

screenshot: ## make the screenshot of the README (chromium, chromium-driver)
	zarf/browser/install.sh >/dev/null
	$(CARGO) test --locked --test it page::browser::search::text
	cp target/screens/search.jpg zarf/browser/page.jpg

##@ Stack

compose:
	@if [ "$(COMPOSE)" = no-compose ]; then \
		echo "neither 'docker compose' nor docker-compose was found: install Docker with its compose plugin," >&2; \
		echo "or run everything in one process, without containers: make demo" >&2; exit 1; fi

up: compose ## start MinIO, Qdrant, Weaviate, CLIP and the service in containers, at http://127.0.0.1:8080
	$(STACK) build pipeline
	$(STACK) up --build --detach
	@echo "make status shows when all are healthy; the API key is in .env.local"

status: compose ## show the containers and their health
	$(STACK) ps

logs: compose ## follow the logs of the containers; SERVICE=pipeline for one of them
	$(STACK) logs --follow --tail 100 $$SERVICE

stack-seed: compose ## upload COUNT=100 demo images under PREFIX=images/ to the bucket of the stack
	$(IN_STACK) seed --count "$$COUNT" --prefix "$$PREFIX"

down: compose ## stop the containers; their data stays in volumes
	$(STACK) down --remove-orphans
