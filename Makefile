# Everything that is done to this tree, and what CI does: "make check".
#
# Nothing is installed outside of it: binaries go to bin/, the rest to .tmp/.
# Tools run at the versions named here, through the Go module cache.

BUF         := github.com/bufbuild/buf/cmd/buf@v1.75.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
GORELEASER  := github.com/goreleaser/goreleaser/v2@v2.15.1

# What "make deb" makes, and the most that the program may weigh, in bytes.
DEB     := $(CURDIR)/bin/hookswitch.deb
MAXSIZE := 30000000

# How long each fuzz target runs in "make fuzz": a number of inputs, as many as most
# do in three seconds. Of a time, go test now and then says "context deadline
# exceeded" when it is over, and fails.
FUZZTIME ?= 4000x

# What "hookswitch version" prints.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# Arguments of "make run": make run ARGS="--forward-to http://127.0.0.1:5000/webhooks"
ARGS ?=

# Telnyx's client for Node is installed here, for "make official".
OFFICIAL := $(CURDIR)/.tmp/official

# That client's types and the compiler that reads them, for "make drift".
DRIFT := $(CURDIR)/.tmp/drift

# A copy of examples/node and its packages, for "make node".
NODE := $(CURDIR)/.tmp/node

# The packages of the apps in Node, and a copy of the Express app, for "make apps".
NODE_APPS := $(CURDIR)/.tmp/apps

GO      ?= go
SIDECAR := github.com/hookswitch/hookswitch/sidecar

# Everything is compiled with the flags of what is shipped, so that a dependency
# is compiled once for the program, its tests, vet and the tools: that takes most
# of the time on a machine with an empty cache.
#
# Without grpcnotrace, gRPC links the pages of golang.org/x/net/trace, which
# nobody sees here: 300 kB. Code that is not in the way of events is compiled
# without inlining, which saves as much again. urfave_cli_no_template takes
# text/template out of the help of commands: "make size" says why.
COLD := github.com/urfave/... go.opentelemetry.io/... github.com/prometheus/... github.com/hashicorp/... golang.org/x/text/... \
	google.golang.org/grpc/... google.golang.org/protobuf/encoding/... encoding/xml encoding/gob net/rpc html/template text/template/... \
	crypto/tls crypto/x509/... encoding/asn1 compress/flate mime/... net/http/httputil net/http/pprof runtime/pprof golang.org/x/net/idna math/big \
	github.com/caarlos0/... github.com/cenkalti/... github.com/fsnotify/... github.com/grpc-ecosystem/... \
	$(SIDECAR)/cmd/... $(SIDECAR)/internal/config $(SIDECAR)/internal/adminapi $(SIDECAR)/internal/backup $(SIDECAR)/internal/pluginhost/catalog \
	$(SIDECAR)/internal/pluginhost/process $(SIDECAR)/internal/plugincheck $(SIDECAR)/internal/lint $(SIDECAR)/internal/appcheck $(SIDECAR)/internal/deliveryapi \
	$(SIDECAR)/internal/replay $(SIDECAR)/internal/retention $(SIDECAR)/internal/upkeep
export CGO_ENABLED := 0
export GOFLAGS := $(shell $(GO) env GOFLAGS)
ifeq ($(findstring grpcnotrace,$(GOFLAGS)),)
GOFLAGS += -trimpath -tags=grpcnotrace,urfave_cli_no_template $(foreach p,$(COLD),'-gcflags=$(p)=-l')
endif
GOBUILD := $(GO) build -ldflags "-s -w -X main.version=$(VERSION)"

# What "make program" makes.
PROGRAM := bin/hookswitch

# Targets run in the order written, whatever -j says, but for those that "check"
# runs beside each other (BESIDE=1): output in order can be read.
ifeq ($(BESIDE),)
.NOTPARALLEL:
endif

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# These run without settings, so "make run" starts them. The other bundled plugins
# need to be told what to run or where to publish: they wait in another folder
# until somebody copies them, with their settings, into a plugin folder.
DEV_PLUGINS := hookswitch-plugin-archive

.PHONY: build
build: ## build the sidecar and the bundled plugins into bin/: those that need settings to plugins-available
	@echo "build bin/hookswitch (minutes the first time, when every dependency is compiled; seconds after that)"
	@$(MAKE) --no-print-directory program
	@mkdir -p bin/plugins bin/plugins-available
	@set -e; for dir in plugins/hookswitch-plugin-*/; do \
		name=$$(basename "$$dir"); \
		case " $(DEV_PLUGINS) " in *" $$name "*) to=bin/plugins;; *) to=bin/plugins-available;; esac; \
		echo "build $$to/$$name"; \
		$(GOBUILD) -o "$$to/$$name" "./plugins/$$name"; \
	done

.PHONY: program
program:
	@$(GOBUILD) -o $(PROGRAM) ./sidecar/cmd/hookswitch

.PHONY: flags
flags:
	@printf '%s\n' "$$GOFLAGS"

.PHONY: run
run: build ## run the sidecar in development mode with the bundled plugins; ARGS=... adds to it
	bin/hookswitch dev --plugins bin/plugins $(ARGS)

# The tests wait most of the time, so more of them run than there are processors.
# Vet is a target of its own, with more checks than go test would make.
.PHONY: test
test: ## run every test that needs only Go
	$(GO) test -vet=off -p 4 -parallel 4 ./...

# The Go that comes next, which the go command fetches by itself. What it changes
# in the standard library shows here first; encoding/json is another one there.
NEWERGO ?= go1.27.3

# What both would find, one of them finds: so it is one run, not two.
.PHONY: newergo
newergo: ## vet, and run the tests with the race detector, with a newer Go (NEWERGO)
	CGO_ENABLED=1 GOTOOLCHAIN=$(NEWERGO) $(GO) vet $(RACE) ./...
	@GOTOOLCHAIN=$(NEWERGO) $(MAKE) --no-print-directory race

# Systems that nobody here has: another system, an int of 32 bits, another order
# of bytes. A machine of amd64 also runs programs of 386.
PORTS := windows/amd64 darwin/arm64 linux/arm64 linux/386 linux/s390x

# These start processes and wait for them, for minutes: nothing in that depends
# on the size of an int. Empty it to run all.
NOT386 ?= /(pluginhost|plugincheck|cmd/hookswitch)$$

# Compiled code that is not run needs no optimising, which takes a third of the time.
# With -short for the reason that "race" has.
.PHONY: ports
ports: ## vet and build for other systems, and run the tests for 386
	@set -e; for port in $(PORTS); do \
		echo "port $$port"; \
		export GOOS=$${port%/*} GOARCH=$${port#*/}; \
		fast=; [ $$port = linux/386 ] || fast="-gcflags=all=-N -l"; \
		$(GO) vet $${fast:+"$$fast"} ./...; \
		$(GO) build $${fast:+"$$fast"} -o /dev/null ./sidecar/cmd/hookswitch; \
	done
	@if [ "$$($(GO) env GOHOSTOS)/$$($(GO) env GOHOSTARCH)" = linux/amd64 ]; then set -x; \
		GOARCH=386 $(GO) test -vet=off -short -p 4 $$($(GO) list ./... | grep -vE '$(NOT386)'); fi

# Without the race detector: SQLite, which is C in the form of Go, and the standard
# library's arithmetic of signatures, which computes with numbers of its own. There is
# nothing to find there, and with it they would take two thirds of the time. What
# calls them is looked at, and so is fastverify with the library that it computes with:
# its tables are shared.
RACE := -race -gcflags='modernc.org/...=-race=false' -gcflags='crypto/internal/fips140/edwards25519/...=-race=false'

# One package of three waits most of the time. With -short, what tests compute in bulk
# is repeated a tenth as often (internal/testkit/repeat): "make test" has all of it.
.PHONY: race
race: ## run the tests with the race detector, but for those that kill
	CGO_ENABLED=1 $(GO) test $(RACE) -vet=off -short -p 3 ./...

.PHONY: fmt
fmt: ## fail if a Go file is not formatted
	@list=$$($(GO) list -f '{{.Dir}}' ./... | xargs gofmt -l); \
	if [ -n "$$list" ]; then echo "gofmt -w needed:"; echo "$$list"; exit 1; fi

.PHONY: vet
vet: ## run go vet
	$(GO) vet ./...

.PHONY: staticcheck
staticcheck: ## run staticcheck
	$(GO) run $(STATICCHECK) ./...

.PHONY: layers
layers: ## check the import graph against internal/layers
	$(GO) test -count=1 ./internal/layers

# Each target is run by itself, because go test fuzzes only one at a time.
.PHONY: fuzz
fuzz: ## fuzz each fuzz target for FUZZTIME (4000x, or a time: 1h)
	@grep -rE --include='*_test.go' --exclude-dir='.?*' --exclude-dir=testdata '^func Fuzz[A-Z0-9_][A-Za-z0-9_]*\(' . \
	| sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort \
	| while read -r dir name; do \
		echo "fuzz $$dir $$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$dir" </dev/null || exit 1; \
	done

.PHONY: generate
generate: protocol reference ## generate internal/pluginpb from plugins/proto, and the reference of the settings

.PHONY: protocol
protocol:
	$(GO) run $(BUF) generate plugins/proto --template plugins/proto/buf.gen.yaml

.PHONY: reference
reference: ## write the reference of the settings from sidecar.Config, and that of event types
	@mkdir -p .tmp && $(GO) build -o .tmp/hookswitch ./sidecar/cmd/hookswitch
	.tmp/hookswitch config docs --format md > sidecar/CONFIG.md
	.tmp/hookswitch config docs --format env > sidecar/hookswitch.env.example
	.tmp/hookswitch config docs --format jsonschema > sidecar/config.schema.json
	HOOKSWITCH_WRITE_REFERENCE=1 $(GO) test -count=1 -run '^TestReferenceIsCurrent$$' ./middleware/event

# Tests of what make test cannot have: see internal/testkit/edges. EDGES=short
# takes seconds where they would take minutes.
EDGES ?= 1

.PHONY: edges
edges: ## run the tests of small disks, namespaces, standbys, poolers; EDGES=short for fewer rounds
	@set -e; dirs=$$(grep -rlE --include='*_test.go' --exclude-dir='.?*' --exclude-dir=testdata '^func TestEdge' . | xargs -r -n1 dirname | sort -u); \
	for dir in $$dirs; do HOOKSWITCH_EDGES=$(EDGES) $(GO) test -count=1 -timeout 30m -run '^TestEdge' "$$dir"; done

.PHONY: edgesshort
edgesshort:
	@$(MAKE) --no-print-directory edges EDGES=short

# Compared with the files as they were, committed or not, so that it passes as
# soon as they are right.
.PHONY: checkgenerate
checkgenerate: ## fail if what is generated is not what the sources say
	@rm -rf .tmp/generated && mkdir -p .tmp && cp -R internal/pluginpb .tmp/generated
	@$(MAKE) --no-print-directory generate
	@diff -r -u .tmp/generated internal/pluginpb \
	|| { echo "internal/pluginpb was not up to date; it is now: review and commit it"; exit 1; }
	$(GO) run $(BUF) lint plugins/proto

# The protocol that plugins in the field speak. What is in it can only be added
# to, so it also has to have every addition: one that it lacks is not protected.
BASELINE := plugins/proto/baseline.txtpb

.PHONY: checkbreaking
checkbreaking: breaking ## fail if the plugin protocol breaks plugins that exist
	@$(GO) run $(BUF) breaking $(BASELINE) --against plugins/proto >/dev/null 2>&1 \
	|| { echo "$(BASELINE) lacks what was added to the protocol: run make baseline, review and commit it"; exit 1; }

.PHONY: breaking
breaking:
	$(GO) run $(BUF) breaking plugins/proto --against $(BASELINE)

# To break the protocol all the same, remove the file first.
.PHONY: baseline
baseline: $(if $(wildcard $(BASELINE)),breaking) ## protect what was added to the plugin protocol from now on
	$(GO) run $(BUF) build plugins/proto --as-file-descriptor-set --exclude-source-info -o $(BASELINE)

# The broker is a program to test with: it does not enter go.mod.
NATS_SERVER := $(CURDIR)/.tmp/nats-server-v2.15.2

.PHONY: nats
nats: $(NATS_SERVER) ## run the tests of the NATS plugin, with a real nats-server
	HOOKSWITCH_NATS_SERVER=$(NATS_SERVER) $(GO) test -count=1 -run 'NATS' ./sidecar/cmd/hookswitch
	HOOKSWITCH_NATS_SERVER=$(NATS_SERVER) $(GO) test -count=1 ./plugins/hookswitch-plugin-nats

$(NATS_SERVER):
	@mkdir -p .tmp/bin
	GOBIN=$(CURDIR)/.tmp/bin $(GO) install github.com/nats-io/nats-server/v2@$(patsubst nats-server-%,%,$(notdir $@))
	mv .tmp/bin/nats-server $@

# As above: a program to test with.
LITESTREAM := $(CURDIR)/.tmp/litestream-v0.5.18

.PHONY: litestream
litestream: $(LITESTREAM) ## run Litestream beside the sidecar, and restore what it has copied
	HOOKSWITCH_LITESTREAM=$(LITESTREAM) $(GO) test -count=1 -run '^TestLitestreamScripts$$' ./sidecar/cmd/hookswitch

$(LITESTREAM):
	@mkdir -p .tmp/bin
	GOBIN=$(CURDIR)/.tmp/bin $(GO) install github.com/benbjohnson/litestream/cmd/litestream@$(patsubst litestream-%,%,$(notdir $@))
	mv .tmp/bin/litestream $@

.PHONY: official
official: $(OFFICIAL)/node_modules/.package-lock.json ## run the tests that use Telnyx's own client for Node
	HOOKSWITCH_OFFICIAL=$(OFFICIAL) $(GO) test -count=1 -run 'Official|Client|CrossCheck|BadUse' $$(grep -rlE --include='*_test.go' --exclude-dir='.?*' \
		'/internal/testkit/official"|^package official$$' . | xargs -n 1 dirname | sort -u)

# npm writes .package-lock.json last.
$(OFFICIAL)/node_modules/.package-lock.json: internal/testkit/official/package.json internal/testkit/official/package-lock.json
	mkdir -p $(OFFICIAL)
	cp internal/testkit/official/package.json internal/testkit/official/package-lock.json $(OFFICIAL)
	cd $(OFFICIAL) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# The types of Telnyx's client for Node are compared with the catalogue: those of
# the newest client, so that a change is noticed, and in CI those of the one that
# the catalogue was last compared with, so that nothing gets lost.
.PHONY: drift
drift: ## compare the catalogue with the newest telnyx of npm, and fail with a table of what it lacks
	mkdir -p $(DRIFT)/newest
	cp internal/testkit/drift/package.json internal/testkit/drift/package-lock.json $(DRIFT)/newest
	cd $(DRIFT)/newest && npm install --ignore-scripts --no-audit --no-fund telnyx@latest
	HOOKSWITCH_DRIFT=$(DRIFT)/newest $(GO) test -count=1 -v ./internal/testkit/drift

.PHONY: driftpinned
driftpinned: $(DRIFT)/pinned/node_modules/.package-lock.json ## compare the catalogue with the telnyx that internal/testkit/drift names
	HOOKSWITCH_DRIFT=$(DRIFT)/pinned $(GO) test -count=1 -v ./internal/testkit/drift

$(DRIFT)/pinned/node_modules/.package-lock.json: internal/testkit/drift/package.json internal/testkit/drift/package-lock.json
	mkdir -p $(DRIFT)/pinned
	cp internal/testkit/drift/package.json internal/testkit/drift/package-lock.json $(DRIFT)/pinned
	cd $(DRIFT)/pinned && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: examples
examples: ## build the examples and run their tests
	@mkdir -p .tmp/examples
	$(GO) build -o .tmp/examples/ ./examples/...
	$(GO) test ./examples/...
	cd examples/routers && $(GO) vet ./... && $(GO) test ./...

# One installation serves the Express app and the recipes: a test compares the
# versions that the two folders name.
.PHONY: apps
apps: $(NODE_APPS)/node_modules/.package-lock.json ## run the Flask app, the Express app and the recipes behind the sidecar
	cp examples/express/app.mjs $(NODE_APPS)
	HOOKSWITCH_APPS=short HOOKSWITCH_NODE_APPS=$(NODE_APPS) $(GO) test -count=1 ./internal/testkit/apps

.PHONY: recipes
recipes: $(NODE_APPS)/node_modules/.package-lock.json ## run the recipes, and all wrong forms of them through "hookswitch doctor app"
	HOOKSWITCH_APPS=1 HOOKSWITCH_NODE_APPS=$(NODE_APPS) $(GO) test -count=1 -v -run 'Recipes|WrongForms' ./internal/testkit/apps

$(NODE_APPS)/node_modules/.package-lock.json: examples/recipes/package.json examples/recipes/package-lock.json
	mkdir -p $(NODE_APPS)
	cp examples/recipes/package.json examples/recipes/package-lock.json $(NODE_APPS)
	cd $(NODE_APPS) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: proxies
proxies: ## run the sidecar behind nginx, Caddy and HAProxy, and restart it under load
	HOOKSWITCH_PROXIES=$${HOOKSWITCH_PROXIES:-1} $(GO) test -count=1 ./internal/testkit/proxies

.PHONY: node
node: $(NODE)/node_modules/.package-lock.json ## run the plugin in Node through the protocol, and behind the sidecar
	cp examples/node/*.mjs plugins/proto/hookswitch/plugin/v1/plugin.proto $(NODE)
	HOOKSWITCH_NODE_PLUGIN=$(NODE) $(GO) test -count=1 -run '^TestNodeScripts$$' ./sidecar/cmd/hookswitch

$(NODE)/node_modules/.package-lock.json: examples/node/package.json examples/node/package-lock.json
	mkdir -p $(NODE)
	cp examples/node/package.json examples/node/package-lock.json $(NODE)
	cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: newcomer
newcomer: build ## time the way from an empty folder to the first event that a plugin of one's own handles
	.ci/newcomer bin/hookswitch

.PHONY: readme
readme: ## run the commands of the README in a clean clone, and time the way to the first event
	HOOKSWITCH_README=1 $(GO) test -count=1 -v ./internal/testkit/readme

.PHONY: size
size: build methods ## say what the stripped binary weighs, and fail if it is more than 30 MB
	@bytes=$$(wc -c <bin/hookswitch); echo "bin/hookswitch: $$bytes bytes of $(MAXSIZE)"; [ "$$bytes" -le $(MAXSIZE) ]

# The linker drops methods that nothing calls, unless the program can look one up by
# a name that is only known when it runs (reflect.Value.MethodByName, Method(i)):
# then it keeps every exported method of every type, which was 2.7 MB. text/template
# does that as soon as a template is executed. The linker says so with -dumpdep,
# and says nothing about a program that is there already.
METHODS := .tmp/methods

.PHONY: methods
methods: ## fail if the program keeps the methods that nothing calls: it looks one up by name
	@mkdir -p $(METHODS) && rm -f $(METHODS)/*
	@$(GO) build -ldflags "-s -w -dumpdep" -o $(METHODS)/ ./sidecar/cmd/hookswitch 2>$(METHODS)/deps || { tail -n 20 $(METHODS)/deps; exit 1; }
	@grep -q '<UsedInIface>' $(METHODS)/deps || { echo "make methods: this linker says nothing that it understands with -dumpdep"; exit 1; }
	@if grep -- ' -> .* <ReflectMethod>$$' $(METHODS)/deps >$(METHODS)/callers; then head -n 5 $(METHODS)/callers; \
		echo "make methods: what stands first looks up a method by its name, so the linker keeps every exported method:"; \
		echo "the binary grows by a tenth. Find another way: text/template must not be executed, see the Makefile"; exit 1; fi

.PHONY: completions
completions: ## write the scripts that complete commands into .tmp/completions, and the manual page into .tmp/man
	@mkdir -p .tmp/completions .tmp/man
	@$(GO) run -ldflags "-X main.version=$(VERSION)" ./sidecar/cmd/hookswitch man >.tmp/man/hookswitch.1
	@for shell in bash zsh fish; do $(GO) run ./sidecar/cmd/hookswitch completion $$shell >.tmp/completions/hookswitch.$$shell || exit 1; done

# The version of a package must sort: see the script.
.PHONY: deb
deb: build completions ## make bin/hookswitch.deb
	ARCH=$$($(GO) env GOARCH) VERSION=$$(.ci/package-version "$(VERSION)") \
		$(GO) run $(NFPM) package --config examples/systemd/nfpm.yaml --packager deb --target $(DEB)

# The schemas that Kubernetes publishes of its API come with its module, which only
# has to be fetched: the few files are copied.
KUBERNETES := k8s.io/kubernetes@v1.37.2
SCHEMAS    := $(CURDIR)/.tmp/$(subst /,-,$(KUBERNETES))

$(SCHEMAS):
	@mkdir -p .tmp
	dir=$$($(GO) mod download -json $(KUBERNETES) | sed -n 's/^\t"Dir": "\(.*\)",*$$/\1/p') && cp -R "$$dir/api/openapi-spec/v3" $@.new
	chmod -R u+w $@.new && mv $@.new $@

.PHONY: deploy
deploy: deb size $(SCHEMAS) ## check the unit, the image, the manifests, the compose file and the package, which root installs on a machine of its own
	cd internal/testkit/deploy && $(GO) vet ./... && HOOKSWITCH_DEB=$(DEB) HOOKSWITCH_KUBERNETES_SCHEMAS=$(SCHEMAS) $(GO) test -count=1 ./...
	HOOKSWITCH_DEB=$(DEB) $(GO) test -count=1 ./internal/testkit/machine

# Not a part of "check": to compile goreleaser takes longer than all of that.
.PHONY: releasecheck
releasecheck: ## check .goreleaser.yaml with goreleaser itself
	$(GO) run $(GORELEASER) check

# How many times the sidecar is killed in "make crash".
KILLS ?= 200

# Where the sidecar of "make crash" keeps its events: empty for SQLite.
STORE ?=

.PHONY: crash
crash: ## kill the sidecar KILLS (200) times under load and judge what became of the events; STORE=postgres
	HOOKSWITCH_CRASH=$(KILLS) HOOKSWITCH_CRASH_STORE=$(STORE) $(GO) test -count=1 -v -timeout 30m -run '^TestCrash$$' ./sidecar/cmd/hookswitch

.PHONY: replicas
replicas: ## kill one of three sidecars on one PostgreSQL KILLS (200) times, restart the database, judge
	HOOKSWITCH_REPLICAS=$(KILLS) $(GO) test -count=1 -v -timeout 60m -run '^TestReplicas$$' ./sidecar/cmd/hookswitch

# How long "make simulate" looks for a history that breaks a promise. With
# HOOKSWITCH_SIM_SEED it runs the history of that seed, and prints it.
SIMULATE ?= 10m

.PHONY: simulate
simulate: ## run store, dispatcher, disk, clock and targets in simulated time for SIMULATE (10m); HOOKSWITCH_SIM_SEED=N replays
	HOOKSWITCH_SIM=$(SIMULATE) $(GO) test -count=1 -v -timeout 0 -run '^TestSimulation$$' ./sidecar/internal/simulation

# How many times the plugin is restarted in "make pluginsoak".
RESTARTS ?= 1000

.PHONY: pluginsoak
pluginsoak: ## restart a plugin RESTARTS (1000) times and look for what is left behind
	HOOKSWITCH_PLUGIN_SOAK=$(RESTARTS) $(GO) test -count=1 -v -timeout 60m -run '^TestRestartsLeaveNothing$$' ./sidecar/internal/pluginhost

.PHONY: bench
bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

# The revision that "make bench-against" compares this tree with.
REV ?= HEAD

.PHONY: bench-against
bench-against: ## measure an event's way in SQLite in turns with that of another revision: REV=69969fb
	HOOKSWITCH_AGAINST=$(REV) $(GO) test -count=1 -v -timeout 120m -run '^TestAgainst$$' ./internal/testkit/benchagainst

# One round of few events, to see that it still can.
.PHONY: benchshort
benchshort:
	@HOOKSWITCH_AGAINST_ROUNDS=1 HOOKSWITCH_AGAINST_EVENTS=200 $(MAKE) --no-print-directory bench-against

# Tests come first, since they say most; what only computes runs beside them and
# gives way to them. Then the newer Go and the race detector, and beside it what
# has programs of others in it: both wait most of the time.
.PHONY: check
check: ## all that CI runs
	@$(MAKE) --no-print-directory -j2 --output-sync=target BESIDE=1 test chores
	@$(MAKE) --no-print-directory -j2 --output-sync=target BESIDE=1 newergo others

.PHONY: others
others:
	@$(MAKE) --no-print-directory BESIDE= checkgenerate checkbreaking nats litestream official driftpinned examples apps proxies node newcomer readme deploy benchshort crashshort edgesshort
	@nice $(MAKE) --no-print-directory BESIDE= ports

.PHONY: chores
chores:
	@nice $(MAKE) --no-print-directory BESIDE= build fmt vet staticcheck layers fuzz

.PHONY: crashshort
crashshort:
	@$(MAKE) --no-print-directory -j2 --output-sync=target BESIDE=1 crashsqlite crashpostgres

.PHONY: crashsqlite crashpostgres
crashsqlite:
	@$(MAKE) --no-print-directory BESIDE= crash KILLS=20
crashpostgres:
	@$(MAKE) --no-print-directory BESIDE= crash KILLS=20 STORE=postgres

.PHONY: clean
clean: ## remove what make made
	rm -rf bin .tmp coverage.out
