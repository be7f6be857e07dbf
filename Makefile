# SPDX-License-Identifier: GPL-3.0-or-later
# Everything a developer runs. `make` alone lists the targets; CONTRIBUTING.md says when to use which.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Products need no C compiler; only the race detector does.
export CGO_ENABLED := 0
# The version is set below, so Go need not ask git, which fails where the checkout belongs to somebody else.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# Where tools/with-node puts Node.js if the system's is too old for the tools of the web app.
export PATH := $(CURDIR)/bin/node/bin:$(PATH)

GOTOOL := go tool -modfile=tools/tools.mod
VERSION := $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null | sed 's/^v//')
COMMIT := $(shell git describe --always --exclude '*' --dirty 2>/dev/null)
VERSION_FLAGS := $(if $(VERSION),-X flamenco.farm/internal/version.Version=$(VERSION)) \
	$(if $(COMMIT),-X flamenco.farm/internal/version.Commit=$(COMMIT))
BUILD := go build -trimpath -ldflags '-s -w $(VERSION_FLAGS)'

# Packages whose tests are quick and need neither Blender nor whole farms.
UNIT_PACKAGES = $(shell go list ./... | grep -v '^flamenco.farm/test/')
# More than this must be covered by a package's own tests.
COVERAGE := -min internal/flow=85 -min internal/sched=85 -min internal/store=85

##@ Run
.PHONY: demo
demo: demo-deps all ## Render an animation on a farm of one Manager and two Workers (DEMO_ARGS=--exit ends by itself)
	go build -o bin/demo ./tools/demo
	bin/demo $(DEMO_ARGS)

##@ Build
.PHONY: all flamenco-manager flamenco-worker flamenco webapp
all: webapp flamenco-manager flamenco-worker flamenco ## Build the three programs into bin/

flamenco-manager: ## Build the Manager
	$(BUILD) -o bin/ ./cmd/flamenco-manager

flamenco-worker: ## Build the Worker
	$(BUILD) -o bin/ ./cmd/flamenco-worker

flamenco: ## Build the command line
	$(BUILD) -o bin/ ./cmd/flamenco

webapp: web/app/node_modules/.stamp ## Build the web app, which is baked into the Manager
	@cd web/app && npm run --silent build -- --logLevel warn

web/app/node_modules/.stamp: web/app/package.json web/app/package-lock.json
	@tools/with-node
	@echo 'Packages of the web app'
	@cd web/app && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

##@ Test
.PHONY: test check web-check format-check vet lint spdx unit-tests cross-vet race-tests s3-tests soak bench fuzz
check: format-check vet spdx lint unit-tests web-check ## Quick checks before a commit: format, vet, lint, licence lines, unit tests

test: with-deps all format-check vet spdx lint cross-vet generate-check web-check race-tests s3-tests ## Everything, with the race detector and real renders

web-check: web/app/node_modules/.stamp ## The web app: format, lint, types, unit tests
	@echo 'Web app'
	@cd web/app && for step in format-check lint types test; do npm run --silent $$step; done

format-check:
	@echo 'Format'
	@files=$$($(GOTOOL) gofumpt -l .); test -z "$$files" || { echo "Not formatted (make format puts it right):"; echo "$$files"; exit 1; }

vet:
	@echo 'Vet'
	@go vet ./...

lint:
	@echo 'Lint (the first run builds the linter, which takes minutes)'
	@$(GOTOOL) golangci-lint run

spdx:
	@echo 'Licence lines'
	@go run ./tools/spdx

unit-tests:
	@echo 'Unit tests'
	@go test -short -json $(UNIT_PACKAGES) | go run ./tools/testsum -trim flamenco.farm/

cross-vet:
	@echo 'Vet for Windows and macOS'
	@for system in windows darwin; do for processor in amd64 arm64; do \
		GOOS=$$system GOARCH=$$processor go vet ./... || { echo "go vet for $$system/$$processor failed"; exit 1; }; done; done

race-tests:
	@echo 'All tests, with the race detector'
	@go build -o bin/testsum ./tools/testsum
	@CGO_ENABLED=1 go test -race -cover -count=1 -timeout 25m -json ./... | bin/testsum -trim flamenco.farm/ $(COVERAGE)

s3-tests: ## What keeps files on S3, against a real S3 server; a module of its own, as that server needs much
	@echo 'Tests on S3, with the race detector'
	@cd test/s3 && go vet ./... && go mod tidy -diff
	@go build -o bin/testsum ./tools/testsum
	@cd test/s3 && CGO_ENABLED=1 go test -race -count=1 -timeout 25m -json ./... | ../../bin/testsum -trim flamenco.farm/

SOAK ?= 30m
soak: with-deps ## Let everything go wrong for SOAK=30m: Managers, Workers, connections and databases (CHAOS_SEED=N throws the same dice again)
	@CGO_ENABLED=1 SOAK=$(SOAK) go test -race -count=1 -v -timeout 0 -run Chaos ./test/chaos

bench: flamenco-manager ## Measure: a farm under load, with targets and figures, then Go benchmarks (with BENCH_ARGS, as -quick, without these)
	go build -o bin/flamenco-bench ./test/load/cmd/flamenco-bench
	@failed=; bin/flamenco-bench suite -manager-program bin/flamenco-manager $(BENCH_ARGS) || failed=1; \
	if [ -z "$(if $(BENCH_ARGS),given)" ]; then \
		grep -rl --include='*_test.go' '^func Benchmark' cmd internal pkg test tools | xargs -n1 dirname | sort -u | sed 's,^,./,' | \
		xargs go test -run '^$$' -bench . -benchmem -timeout 10m || failed=1; fi; \
	echo "All of it took $$((SECONDS / 60)) min $$((SECONDS % 60)) s."; test -z "$$failed"

FUZZTIME ?= 1m
fuzz: ## Feed every parser of outside bytes with generated input, FUZZTIME=1m each
	@go test -list '^Fuzz' ./... | \
	awk '/^Fuzz/ { names[++n] = $$1 } /^(ok|\?)/ { for (i = 1; i <= n; i++) print $$2, names[i]; n = 0 }' | \
	while read -r package name; do \
		echo "== $$package $$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$package" </dev/null || exit 1; done

##@ Develop
.PHONY: generate generate-check format tidy clean
generate: web/app/node_modules/.stamp ## Erase and make again everything that is generated
	find pkg internal web/app/src -name '*.gen.*' -delete
	go generate ./pkg/api
	cd web/app && npm run --silent generate
	cd internal/store && go tool -modfile=../../tools/tools.mod sqlc generate
	cd internal/store && go tool -modfile=../../tools/tools.mod sqlc --file sqlc.sqlite.yaml compile
	go test ./internal/flow -run '^TestTheDocumentationSaysWhatTheTablesSay$$' -update
	go test ./internal/config -run '^Test(TheReferenceSays|TheWebAppKnows)WhatTheSettingsAre$$' -update
	go test ./tools/archtest -run '^TestTheLinterHasTheRulesOfTheArchitecturePage$$' -update

generate-check:
	@echo 'Generated files'
	@sums() { find pkg internal web/app/src docs/reference -name '*.gen.*' -type f -print0 -o -path 'docs/reference/*' -type f -print0 | sort -z | xargs -0 sha256sum; sha256sum .golangci.yml; }; \
	before=$$(sums); $(MAKE) --no-print-directory generate >/dev/null; after=$$(sums); \
	if [ "$$before" != "$$after" ]; then \
		echo 'These files differ from what is generated (they are made again now; commit them):'; \
		diff <(echo "$$before") <(echo "$$after") | sed -n 's/^[<>] [0-9a-f]*  //p' | sort -u; exit 1; \
	fi

format: web/app/node_modules/.stamp ## Format all code
	$(GOTOOL) gofumpt -w .
	cd web/app && npm run --silent format

tidy: ## Tidy the products' and the tools' module files
	go mod tidy
	cd test/s3 && go mod tidy
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cp tools/tools.mod "$$dir/go.mod"; cp tools/tools.sum "$$dir/go.sum"; \
	(cd "$$dir" && go mod tidy); cp "$$dir/go.mod" tools/tools.mod; cp "$$dir/go.sum" tools/tools.sum

clean: ## Remove what was built
	rm -rf bin web/app/node_modules
	find web/dist -mindepth 1 -not -name placeholder.html -delete

##@ Set up
.PHONY: with-deps demo-deps help
with-deps: ## Install what the tests need and is missing: a C compiler, PostgreSQL, HAProxy, nginx, Blender, FFmpeg, ip, mosquitto, Python programs, Node.js (Debian, Ubuntu)
	@tools/with-deps gcc blender ffmpeg python3 ip node mosquitto mosquitto_sub postgres haproxy nginx
	@tools/with-python
	@tools/with-node
	@$(MAKE) -s test/events/node_modules/.stamp

test/events/node_modules/.stamp: test/events/package.json test/events/package-lock.json
	@echo 'Socket.IO clients for the tests'
	@cd test/events && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo-deps:
	@tools/with-deps blender ffmpeg

help:
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
