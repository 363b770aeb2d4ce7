# SPDX-License-Identifier: MIT OR Apache-2.0
# `make help` lists the targets.

DESTDIR =
# cargo's own variable, so that `make install` finds what `make build` made
TARGET = $(or $(CARGO_TARGET_DIR),target)
CARGO = cargo
# In CI the versions are those of Cargo.lock; a developer's edit of a Cargo.toml may update it.
CARGO_FLAGS = $(if $(CI),--locked)

# Naming the target keeps the flags below from build scripts and procedural macros, which cannot be static.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# Static: the generator runs before anything is sure to be there and must never load a name service (NSS), and the
# helper is part of every start.
STATIC = -C target-feature=+crt-static

# What is installed: one line for each folder, MODE FOLDER FILES. The paths are those of the units, hence no PREFIX.
# Without `make build`, what a plain `cargo build --release` left.
PROGRAM = $(firstword $(wildcard $(TARGET)/$(HOST)/release) $(TARGET)/release)
define FOLDERS
$(call folder,0755,/usr/lib/systemd/system-generators,$(PROGRAM)/ct-generator)
$(call folder,0755,/usr/libexec/ct,$(PROGRAM)/ct-helper $(PROGRAM)/ct-lxc)
$(call folder,0755,/usr/bin,$(patsubst %/Cargo.toml,$(PROGRAM)/%,$(wildcard ctctl/Cargo.toml)))
$(call folder,0644,/usr/lib/systemd/system,$(wildcard units/*.*))
$(call folder,0644,/usr/lib/systemd/catalog,$(wildcard packaging/catalog/*.catalog))
$(call folder,0644,/usr/share/ct/polkit,$(wildcard packaging/polkit/*.rules))
$(call folder,0644,/usr/lib/sysusers.d,$(wildcard packaging/sysusers.d/*.conf))
$(call folder,0644,/usr/lib/tmpfiles.d,$(wildcard packaging/tmpfiles.d/*.conf))
$(call folder,0644,/usr/share/man/man1,$(wildcard packaging/man/*.1))
$(call folder,0644,/usr/share/man/man5,$(wildcard packaging/man/*.5))
$(call folder,0644,/usr/share/man/man7,$(wildcard packaging/man/*.7))
$(call folder,0644,/usr/share/man/man8,$(wildcard packaging/man/*.8))
$(call folder,0644,/usr/share/bash-completion/completions,$(wildcard packaging/completions/bash/ctctl))
$(call folder,0644,/usr/share/zsh/vendor-completions,$(wildcard packaging/completions/zsh/_ctctl))
$(call folder,0644,/usr/share/fish/vendor_completions.d,$(wildcard packaging/completions/fish/ctctl.fish))
endef

# Boot starts the containers that are configured so, without anything to enable first.
WANTS = /usr/lib/systemd/system/multi-user.target.wants

# journalctl reads a database made from the catalogs. Below DESTDIR that is the package's to do where it is installed.
UPDATE_CATALOG = $(if $(DESTDIR),,$(if $(shell command -v journalctl),journalctl --update-catalog))

.PHONY: help build install uninstall man deps demo lint test check-vm sweep bench check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

build: ## compile the programs, optimised
	RUSTFLAGS="$(RUSTFLAGS) $(STATIC)" $(CARGO) build $(CARGO_FLAGS) --release --target $(HOST) --workspace --exclude ct-tests --exclude ct-lxc
	$(CARGO) build $(CARGO_FLAGS) --release --target $(HOST) --package ct-lxc # loads a library, when it is run

install: folder = $(if $(3),install -d $(DESTDIR)$(2) && install -m $(1) $(3) $(DESTDIR)$(2)/)
install: ## put programs and units below DESTDIR; `make build` comes first
	$(FOLDERS)
	install -d $(DESTDIR)$(WANTS)
	ln -sfn ../ct.target $(DESTDIR)$(WANTS)/ct.target
	$(UPDATE_CATALOG)

uninstall: folder = $(if $(3),rm -f $(addprefix $(DESTDIR)$(2)/,$(notdir $(3))))
uninstall: ## remove what `make install` put there; configs and containers' data stay
	$(FOLDERS)
	rm -f $(DESTDIR)$(WANTS)/ct.target
	$(UPDATE_CATALOG)

# From the command line that ctctl has; a test fails where they are older.
man: ## write the manual pages of ctctl, and the completions, anew
	CT_GOLDEN_UPDATE=1 $(CARGO) test $(CARGO_FLAGS) --quiet --package ctctl --test documents

deps: ## install what build and tests need, on Debian 12 or 13; nothing where it is there
	packaging/deps.sh

demo: ## see ct at work on a real systemd, booted apart from this machine's own (as root)
	@[ "$$(id -u)" = 0 ] || { echo "demo: needs root, to boot a systemd in namespaces of its own" >&2; exit 1; }
	$(MAKE) deps
	$(MAKE) build
	$(CARGO) run $(CARGO_FLAGS) --quiet --package ct-tests --example demo </dev/null

lint: ## formatting, clippy and rustdoc, warnings being errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGO_FLAGS) --workspace --no-deps --document-private-items --quiet

test: build ## every test, those on booted machines too (as root), and their sum as the last line
	CARGO="$(CARGO)" CARGO_FLAGS="$(CARGO_FLAGS)" tests/run.sh

check-vm: build ## of these tests, those on a virtual machine: memory, tasks, negative oom scores, raised limits (as root)
	CARGO="$(CARGO)" CARGO_FLAGS="$(CARGO_FLAGS)" tests/run.sh --test virtual_machine

# `make sweep SWEEP="debian13 runc start every=10"` takes another root, one runtime, one command, every tenth fault.
sweep: build ## every system call of the helper killed or failed in turn, on booted machines (as root); see docs/reliability.md
	$(CARGO) run $(CARGO_FLAGS) --quiet --package ct-tests --example sweep -- $(SWEEP)

# `make bench BENCH="start reload"` measures these sections alone. See docs/performance.md.
bench: build ## start, memory, generators beside the bare runtime and Quadlet (as root); also in target/bench.md
	$(CARGO) run $(CARGO_FLAGS) --quiet --release --package ct-tests --example bench -- $(BENCH)

# One after the other, also under `make -j`: each costs a first failure less time than the next.
check: ## everything that must hold before a commit, from dependencies to the last test
	$(MAKE) deps
	$(MAKE) lint
	$(MAKE) test

clean: ## remove what was built
	$(CARGO) clean
