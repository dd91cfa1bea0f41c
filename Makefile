# `make test` installs what the tests need, then runs every check.

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: test setup format lint check documentation bench bench-quick bench-slow bench-documents bench-setup bench-check conformance-quick conformance fuzz

test: setup format lint check documentation conformance-quick

# Folders with packages for Node: the browser's and the clients' tests, and the official generators that take our
# documents.
PACKAGES = tests/browser tests/clients tests/generators

# A browser, Node with the tests' packages, and Python with a WebSocket client.
setup: .venv/installed $(PACKAGES:%=%/node_modules/.package-lock.json)
	@command -v chromium >/dev/null || ($(SUDO) apt-get update && $(SUDO) apt-get install -y chromium)

.venv/installed:
	@python3 -c 'import ensurepip' 2>/dev/null || ($(SUDO) apt-get update && $(SUDO) apt-get install -y python3-venv)
	python3 -m venv .venv
	.venv/bin/pip install --quiet websockets==15.0.1 mypy==2.4.1
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	@command -v npm >/dev/null || ($(SUDO) apt-get update && $(SUDO) apt-get install -y nodejs npm)
	cd $* && npm ci --no-audit --no-fund
	@touch $@

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --exclude fastws-bench --all-targets -- -D warnings

check:
	FASTWS_REQUIRE_TOOLS=1 cargo test --workspace --exclude fastws-bench
	cargo test --package fastws-core --features shuttle --lib engine::inbox::model

documentation:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude fastws-bench --no-deps

# Compares fastws with its peers and writes bench/RESULTS.md; it wants a machine with two idle cores.
bench: bench-setup
	$(BENCH) run

# A part of it, in less than three minutes once everything is built; it only prints.
bench-quick: bench-setup
	$(BENCH) run --quick

# What clients that never read do to the others.
bench-slow: bench-setup
	$(BENCH) slow

BENCH = "$${CARGO_TARGET_DIR:-target}/measured/fastws-bench"
BUILD_BENCH = cargo build --profile measured --package fastws-bench
PEERS = axum fastwebsockets socketioxide yawc

# How long documents and clients of a service with 500 operations take.
bench-documents:
	cargo run --profile measured --package fastws-bench -- documents

# Whatever of the peers cannot be had is absent from the comparison, and named there.
bench-setup: bench/peers/.venv/installed bench/peers/node/node_modules/.package-lock.json
	-@ldconfig -p | grep -q libuv.so.1 || ($(SUDO) apt-get update && $(SUDO) apt-get install -y libuv1)
	$(BUILD_BENCH) --features peers || \
		($(BUILD_BENCH) && for peer in $(PEERS); do $(BUILD_BENCH) --features $$peer --bin peer_$$peer || true; done)

bench/peers/.venv/installed: bench/peers/requirements.txt
	-python3 -m venv bench/peers/.venv && bench/peers/.venv/bin/pip install --quiet --requirement $< && touch $@

bench/peers/node/node_modules/.package-lock.json: bench/peers/node/package-lock.json
	-cd bench/peers/node && npm ci --no-audit --no-fund && touch node_modules/.package-lock.json

bench-check:
	cargo clippy --package fastws-bench --all-features --all-targets -- -D warnings
	cargo test --package fastws-bench --all-features

# The Autobahn suite against examples/raw_echo: a smoke test of its compression groups, or all of it. Needs Python 2.7.
conformance-quick:
	python3 tests/conformance/run.py --quick

conformance:
	python3 tests/conformance/run.py

# A million inputs for each fuzz target, with libFuzzer. What they find that is new is kept in fuzz/corpus, which git ignores.
CARGO_FUZZ := fuzz/target/tools/bin/cargo-fuzz
FUZZ_TARGETS := frame message inflate
fuzz: $(FUZZ_TARGETS:%=fuzz-%)

fuzz-%: $(CARGO_FUZZ)
	mkdir -p fuzz/corpus/$*
	RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ) run -s none $* fuzz/corpus/$* fuzz/seeds/$* -- -runs=1000000 -max_len=4096

$(CARGO_FUZZ):
	cargo install --quiet --locked --root fuzz/target/tools cargo-fuzz@0.13.2
