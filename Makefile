# The one list of commands. `make` or `make help` prints it.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# The environment that up, down, clean-data, status and seed are about; its settings are in infra/Pulumi.$(ENV).yaml.
ENV ?= dev
# What `make seed` imports.
FILE ?= app/data/books.csv

# How long `make fuzz` tries each target.
FUZZTIME ?= 30s

BIN := .tools/bin
# The repository's own commands: standard library only, outside the workspace, so they run before anything is fetched.
RUN := GOWORK=off go run -C tools
DELIVER := $(BIN)/deliver
# Only an environment that verifies its images needs what verifies them, which takes minutes to build.
VERIFIER = $(if $(shell grep -sE '^ *bookshelf:verify: *(key|keyless) *$$' infra/Pulumi.$(ENV).yaml),cosign)
GATE := $(BIN)/gate
# What the tests of the scan take, unless MODULES leaves those tests out.
SCANNED = $(if $(if $(MODULES),$(filter conformance,$(MODULES)),all),trivy registry)

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z0-9-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\n  ENV=%s chooses the environment, FILE=%s what seed imports.\n' '$(ENV)' '$(FILE)'

# ---- the machine

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo 'go is missing: everything here is built with it; install Go from https://go.dev/dl/' >&2; exit 1; }

.PHONY: doctor
doctor: need-go ## say what this machine lacks, why it matters and how to mend it
	@$(RUN) ./doctor

.PHONY: quiet-doctor
quiet-doctor: need-go
	@$(RUN) ./doctor --quiet

# The port matters only to the environment that is about to start, and may be its own from the last time.
.PHONY: environment-doctor
environment-doctor: need-go known-env
	@port=$$(sed -n 's/^ *bookshelf:port: *"\{0,1\}\([0-9]*\)"\{0,1\} *$$/\1/p' infra/Pulumi.$(ENV).yaml); \
	$(RUN) ./doctor --quiet $${port:+--port 127.0.0.1:$$port --own-label delivery.environment=$(ENV)}

.PHONY: known-env
known-env:
	@[[ -f infra/Pulumi.$(ENV).yaml ]] || { echo 'there is no environment "$(ENV)": infra/Pulumi.$(ENV).yaml does not exist' >&2; exit 1; }

.PHONY: tools
tools: need-go ## build the pinned tools that environments need, once per machine
	@$(RUN) ./install pulumi pulumi-resource-docker $(VERIFIER)

.PHONY: bases
bases: need-go ## provide the base images: from a registry, or built from Debian packages
	@$(RUN) ./bases

# ---- the image

.PHONY: image
image: need-go bases ## build the app's image, tagged with the commit; print its ID and size
	@$(RUN) ./image

# Where the environment is watched, what watches it: minutes the first time, nothing later.
LEVEL = $(or $(shell sed -n 's/^ *bookshelf:observability: *"\{0,1\}\([a-z]*\)"\{0,1\} *$$/\1/p' infra/Pulumi.$(ENV).yaml 2>/dev/null),off)

.PHONY: observability-images
observability-images: need-go known-env ## provide the images of what watches ENV, from a registry or built
	@$(RUN) ./bases --observability $(LEVEL)

.PHONY: edge-image
edge-image: need-go bases ## build the edge's image, unless it is there; print its ID and size
	@$(RUN) ./image --support edge

.PHONY: postgres-image
postgres-image: need-go bases ## build the database's image, with its backup tool, unless it is there; print its ID and size
	@$(RUN) ./image --support postgres

# ---- an environment

.PHONY: deliver
deliver: need-go
	@go build -C infra -o ../$(DELIVER) ./cmd/deliver

.PHONY: up
up: environment-doctor ## bring up the environment, release what has changed, and print its URL; safe to repeat
	@$(MAKE) tools image edge-image postgres-image observability-images deliver
	@$(DELIVER) up -e $(ENV) --image "$$(<.tools/image-id)" --release

.PHONY: down
down: known-env deliver ## take the environment down; its data stays
	@$(DELIVER) destroy -e $(ENV)

.PHONY: clean-data
clean-data: known-env deliver ## take the environment down and delete its data, after a question
	@$(DELIVER) destroy -e $(ENV) --delete-data

.PHONY: status
status: known-env deliver ## say what runs in the environment
	@$(DELIVER) status -e $(ENV)

.PHONY: open
open: known-env deliver ## print the addresses of the service and of what watches it
	@$(DELIVER) open -e $(ENV)

.PHONY: seed
seed: known-env ## import books from FILE (CSV or JSON lines) into the environment
	@[[ -f '$(FILE)' && -r '$(FILE)' ]] || { echo 'there is no readable file "$(FILE)"; name one: make seed FILE=books.csv' >&2; exit 1; }
	@$(MAKE) deliver
	@$(DELIVER) exec -e $(ENV) -- import $(SEED_FLAGS) - < '$(FILE)'

# ---- proof

.PHONY: test
test: quiet-doctor ## run every test of every module against real services
	@$(MAKE) tools image edge-image postgres-image deliver load
	@$(if $(SCANNED),$(RUN) ./install $(SCANNED))
	@$(RUN) ./install pebble
	@$(RUN) ./stack compose
	@REQUIRE_PEBBLE=1 $(RUN) ./testrun $(MODULES)

# go test fuzzes one target of one package at a time. The seeds run with every test; this looks for more.
.PHONY: fuzz
fuzz: need-go ## look for input that breaks a decoder, FUZZTIME (30s) for each
	@git grep -E '^func Fuzz[A-Za-z]+\(' -- '*_test.go' | \
	sed -E 's|^([^/]+)/(.*)/[^/]*:func (Fuzz[A-Za-z]+).*|\1 \2 \3|' | \
	while read -r module package target; do \
		go test -C "$$module" -run='^$$' -fuzz="^$$target\$$" -fuzztime='$(FUZZTIME)' "./$$package"; \
	done

# Ratios only: see docs/performance.md.
.PHONY: bench
bench: need-go ## measure the service against what its parts allow, in BENCH_SECONDS (300); writes bench/latest.json and a picture
	@$(RUN) ./bench

.PHONY: bench-peer
bench-peer: need-go bases ## measure the service beside the same resource in Flask, SQLAlchemy and gunicorn, in BENCH_SECONDS
	@$(RUN) ./image --source '$(CURDIR)/tools/bench/peer' --version peer --tag bookshelf-peer:latest --id-file '$(CURDIR)/.tools/peer-image-id'
	@$(RUN) ./bench --peer "$$(<.tools/peer-image-id)"

.PHONY: pgo
pgo: need-go ## take a profile of a mixed load, by which the compiler optimises the service while it is there (docs/performance.md)
	@$(RUN) ./bench --profile '$(CURDIR)/app/cmd/bookd/default.pgo' get get list search create update

.PHONY: check
check: need-go ## format, vet, lint, tidy, scripts: everything that needs no service
	@$(RUN) ./check

.PHONY: fmt
fmt: need-go ## format the Go files
	@git ls-files -z --cached --others --exclude-standard --deduplicate '*.go' | xargs -0 -r gofmt -w

.PHONY: client
client: need-go ## write the Go client in app/client anew, from the API's description
	@$(RUN) ./install oapi-codegen
	@cd app/client && ../../$(BIN)/oapi-codegen -config oapi-codegen.yaml -o client.gen.go ../internal/httpapi/description/openapi.yaml

.PHONY: observability
observability: need-go ## write rules, dashboards and their pages anew, from the telemetry contracts and the alerts
	@GOWORK=off go run -C infra/observability/generate .

.PHONY: lint
lint: need-go ## run the linter alone
	@$(RUN) ./check lint

# ---- the gates of the pipeline, without its engine; what they find is left in reports/

# What is wrong with these is said before tools are built for them.
SIGN = --key '$(KEY)' --source-url '$(SOURCE_URL)' $(SIGN_FLAGS) '$(IMAGE)'
VERIFY = $(if $(KEY),--key '$(KEY)') $(SIGN_FLAGS) '$(IMAGE)'

.PHONY: gate
gate: need-go
	@GOWORK=off go build -C ci -o ../$(GATE) ./cmd/gate

.PHONY: scan
scan: gate ## scan image and repository: vulnerabilities, secrets, misconfiguration
	@$(RUN) ./install trivy
	@$(MAKE) image
	@$(GATE) scan $(if $(DATABASE),--database '$(DATABASE)') || { echo 'again: make scan$(if $(DATABASE), DATABASE=$(DATABASE))' >&2; exit 1; }

.PHONY: sbom
sbom: gate ## list what the image consists of, as CycloneDX and SPDX
	@$(RUN) ./install trivy
	@$(MAKE) image
	@$(GATE) sbom

.PHONY: vuln
vuln: gate ## search every module for known vulnerabilities that it calls
	@$(RUN) ./install govulncheck
	@$(GATE) vuln $(if $(DATABASE),--database '$(DATABASE)') || { echo 'again: make vuln$(if $(DATABASE), DATABASE=$(DATABASE))' >&2; exit 1; }

# The last release is the newest tag v…, else the commit before; BASELINE names another image, "none" before there is one.
.PHONY: perf
perf: gate ## measure the image beside the last release's (BASELINE=IMAGE for another); red when it is slower
	@$(MAKE) load $(if $(IMAGE),bases,image)
	@$(if $(BASELINE),,$(RUN) ./image --last)
	@$(GATE) perf $(if $(BASELINE),--baseline '$(BASELINE)') $(if $(IMAGE),--image '$(IMAGE)') || { echo 'again: make perf$(if $(BASELINE), BASELINE=$(BASELINE))$(if $(IMAGE), IMAGE=$(IMAGE))' >&2; exit 1; }

.PHONY: load
load: need-go
	@GOWORK=off go build -C tools -o ../$(BIN)/load ./load

.PHONY: sign
sign: gate ## sign a published IMAGE=NAME@sha256:… with KEY=FILE, SOURCE_URL=URL
	@$(GATE) sign --check $(SIGN)
	@$(RUN) ./install trivy cosign
	@$(GATE) sign $(SIGN)

.PHONY: verify
verify: gate ## verify signature and attestations of IMAGE with public KEY=FILE
	@$(GATE) verify --check $(VERIFY)
	@$(RUN) ./install cosign
	@$(GATE) verify $(VERIFY)

# One environment after the other: they share the processors, and latencies are compared.
RELEASES = E2E=full REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C conformance -count=1 -timeout=60m -parallel=1 -v

.PHONY: e2e
e2e: quiet-doctor ## release good and bad versions under load; prints what became of every request
	@$(MAKE) tools image edge-image postgres-image deliver
	@$(RUN) ./install pebble
	@$(RELEASES) -skip='Killed|Death' ./releases

.PHONY: e2e-kills
e2e-kills: quiet-doctor ## kill deliver, the edge, the database and replicas in the middle of releases; prints the same
	@$(MAKE) tools image edge-image postgres-image deliver
	@$(RELEASES) -run='Killed|Death' ./releases

.PHONY: e2e-secrets
e2e-secrets: quiet-doctor ## rotate under load, also killed, and move an environment; prints what became of every request
	@$(MAKE) tools image edge-image postgres-image deliver
	@E2E=full REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C infra -count=1 -timeout=30m -v -run='^TestPasswordsAreRotatedUnderLoad$$' ./cmd/deliver

.PHONY: e2e-data
e2e-data: quiet-doctor ## damage backups, kill restores, and measure how long it takes to get 10,000 and 1,000,000 books back
	@$(MAKE) tools image edge-image postgres-image deliver
	@E2E=full REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C infra -count=1 -timeout=25m -p=1 -v -run='Drill|DataIsBackedUp|Bucket|RecoveryIsMeasured' ./drill ./cmd/deliver

# One fault after the other, so that the figures are of one at a time.
.PHONY: e2e-faults
e2e-faults: quiet-doctor ## kill, pause, fill, slow and cut off the database under load; prints what clients saw
	@$(MAKE) image
	@E2E=full REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C conformance -count=1 -timeout=30m -parallel=1 -v ./faults

.PHONY: image-e2e
image-e2e: quiet-doctor ## start the image with a database and drive it over HTTP
	@$(MAKE) image
	@REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C conformance -count=1 -short -run='^TestImage' .

.PHONY: e2e-docs
e2e-docs: need-go ## open the page at /docs in Chromium, try an operation there, and leave a picture in .artifacts/
	@REQUIRE_BROWSER=1 BOOKSHELF_ARTEFACTS='$(CURDIR)/.artifacts' go test -C app -count=1 -v -run='^TestThePageWorksInABrowser$$' ./internal/httpapi

.PHONY: e2e-gates
e2e-gates: quiet-doctor ## try the gates for real, both ways, against a registry of their own
	@$(RUN) ./install trivy govulncheck cosign registry pulumi pulumi-resource-docker
	@$(MAKE) image
	@REQUIRE_GATES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C conformance -count=1 -timeout=25m ./gates
	@REQUIRE_GATES=1 REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C infra -count=1 -timeout=25m -run='RealRegistry|Policy' ./provenance ./cmd/deliver

.PHONY: e2e-perf
e2e-perf: quiet-doctor ## try the comparison with the last release: a slower image is red, the same one is not, time after time
	@$(MAKE) image load
	@E2E=full REQUIRE_SERVICES=1 BOOKSHELF_IMAGE="$$(<.tools/image-id)" go test -C conformance -count=1 -timeout=40m -parallel=1 -v -run='Slower|ComeUp' ./gates

# ---- the same stack without Pulumi

.PHONY: compose-up
compose-up: quiet-doctor ## start the stack of docker-compose.yml and print its URL
	@$(MAKE) image
	@BOOKSHELF_IMAGE="$$(<.tools/image-id)" $(RUN) ./stack up

.PHONY: compose-down
compose-down: need-go ## stop it; its data stays
	@$(RUN) ./stack down

# ---- leavings

.PHONY: clean
clean: ## forget built tools of this clone (the machine's cache stays)
	@rm -rf .tools
