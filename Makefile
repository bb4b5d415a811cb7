# `make run` for a running system, `make test` for every test. Needs Rust, python3 with pip, and (for tests) PostgreSQL, which
# is installed with apt-get where it is missing, Docker's engine and chromium, installed alike, node 20.19 with npm, and Go.

PROFILE ?= dev
DATA_DIR ?= ./data
HTTP_ADDR ?= 127.0.0.1:8080
folder = target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: run build test shipped ui ui-if-possible web screenshots clients conformance bench chaos lint advisories fmt tools

run: tools ui-if-possible build ## Everything in one place; the address and the token are printed. PROFILE=release for speed
	STREAMSPACE_LOG_FORMAT=$${STREAMSPACE_LOG_FORMAT:-text} exec $(folder)/streamspace dev --data-dir $(DATA_DIR) --http-addr $(HTTP_ADDR)

ui: ## The web UI, into web/dist, from where the binary embeds it; needs node 20.19 with npm
	scripts/build-ui.sh

ui-if-possible:
	@scripts/build-ui.sh --if-possible

build:
	cargo build --locked --workspace --profile $(PROFILE)

test: tools ui ## Every test, on a real nats-server, SQLite and PostgreSQL; WITHOUT=small-disk,docker where a tmpfs cannot be mounted, or no engine run
	STREAMSPACE_TEST_WITHOUT=$(WITHOUT) scripts/with-docker.sh scripts/with-postgres.sh cargo test --locked --workspace --all-features
	$(MAKE) shipped
	$(MAKE) web
	$(MAKE) conformance
	$(MAKE) clients SEED=$(or $(SEED),2026)

shipped: build ## That what users run has no crash points
	scripts/check-shipped.sh $(folder)/streamspace

web: tools ## The tests of the web UI, in a real chromium against a running server
	scripts/check-web.sh

screenshots: tools ui build ## Pictures of every page, light, dark and narrow, in target/screenshots
	cd web && CHROMIUM=$$(../scripts/install-chromium.sh) node tests/e2e/screenshots.mjs ../target/screenshots

clients: tools ## Generated TypeScript and Python clients, and schemathesis, against a running server; SEED=1 repeats
	scripts/check-clients.sh

conformance: tools ## The suite for controllers in any language, against local, noop and the examples in Python and Go
	scripts/check-conformance.sh

bench: tools ## Measures; ARGS="--help" says what
	cargo build --locked --workspace --release
	scripts/check-shipped.sh target/release/streamspace
	scripts/with-postgres.sh target/release/bench $(ARGS)

chaos: tools ## Rounds of chaos on real processes, and an account: ROUNDS=200, SEED= for the same again, WITHOUT= as above, ARGS="--json FILE"
	cargo build --locked --workspace --all-features
	STREAMSPACE_TEST_WITHOUT=$(WITHOUT) scripts/with-postgres.sh target/debug/bench chaos --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: ## Every decoder on mutated inputs: SECONDS=60 each, SEED= for the same again; findings and new answers go into the corpora
	STREAMSPACE_FUZZ_SECONDS=$(or $(SECONDS),60) $(if $(SEED),STREAMSPACE_FUZZ_SEED=$(SEED)) STREAMSPACE_FUZZ_KEEP=1 \
		cargo test --locked --workspace --all-features fuzz -- --nocapture

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	scripts/validate-asyncapi.sh
	scripts/check-features.py
	deny=$$(scripts/install-cargo-deny.sh) && "$$deny" --locked check --hide-inclusion-graph licenses bans sources

advisories: ## Known holes in dependencies; needs the network, and changes without a change of ours
	deny=$$(scripts/install-cargo-deny.sh) && "$$deny" --locked check advisories

fmt:
	cargo fmt --all

tools: ## The pinned nats-server, in .tools
	scripts/install-nats-server.sh
