# SPDX-License-Identifier: MIT OR Apache-2.0
# `make help` lists the targets.

DESTDIR =
PREFIX = /usr
# cargo's own variable, so that `make install` finds what `make build` made
TARGET = $(or $(CARGO_TARGET_DIR),target)
CARGO = cargo

GENERATORDIR = $(PREFIX)/lib/systemd/system-generators
LIBEXECDIR = $(PREFIX)/libexec/ct
UNITDIR = $(PREFIX)/lib/systemd/system

.PHONY: help build install uninstall deps lint test check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

build: ## compile the programs, optimised
	$(CARGO) build --release --locked

install: ## put programs and units below DESTDIR; `make build` comes first
	install -D -m 0755 $(TARGET)/release/ct-generator $(DESTDIR)$(GENERATORDIR)/ct-generator
	install -D -m 0755 $(TARGET)/release/ct-helper $(DESTDIR)$(LIBEXECDIR)/ct-helper
	install -d $(DESTDIR)$(UNITDIR)
	set -e; for unit in $(wildcard units/*.*); do install -m 0644 $$unit $(DESTDIR)$(UNITDIR)/; done

uninstall: ## remove what `make install` put there; configs and containers' data stay
	rm -f $(DESTDIR)$(GENERATORDIR)/ct-generator
	rm -rf $(DESTDIR)$(LIBEXECDIR)
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(wildcard units/*.*)))

deps: ## install what build and tests need, on Debian 12 or 13; nothing where it is there
	packaging/deps.sh

lint: ## formatting, clippy and rustdoc, warnings being errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet

test: build ## all tests, those on booted machines too (as root)
	tests/run.sh

check: deps build lint test ## everything that must hold before a commit

clean: ## remove what was built
	$(CARGO) clean
