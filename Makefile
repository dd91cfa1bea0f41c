# `make test` installs what the tests need, then runs every check.

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: test setup format lint check documentation

test: setup format lint check documentation

# A browser, Node with the browser tests' packages, and Python with a WebSocket client.
setup: .venv/installed tests/browser/node_modules/.package-lock.json
	@command -v chromium >/dev/null || ($(SUDO) apt-get update && $(SUDO) apt-get install -y chromium)

.venv/installed:
	@python3 -c 'import ensurepip' 2>/dev/null || ($(SUDO) apt-get update && $(SUDO) apt-get install -y python3-venv)
	python3 -m venv .venv
	.venv/bin/pip install --quiet websockets==15.0.1
	@touch $@

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json
	@command -v npm >/dev/null || ($(SUDO) apt-get update && $(SUDO) apt-get install -y nodejs npm)
	cd tests/browser && npm ci --no-audit --no-fund
	@touch $@

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets -- -D warnings

check:
	FASTWS_REQUIRE_TOOLS=1 cargo test --workspace

documentation:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
