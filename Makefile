# make run     the balancer on loopback with something to see
# make check   every check and every test: what CI runs
# make quick   the tests that need no other programs, for while you work
# make bench   the benchmark; writes docs/benchmarks.md
# make fuzz    every fuzz target for FUZZTIME each

GO       ?= go
FUZZTIME ?= 30s
BIN      := bin/carillon
FAST     := ./cmd/... ./internal/...

.PHONY: build run check quick bench fuzz fmt lint cross test race e2e deps clean

build:
	$(GO) build -trimpath -o $(BIN) ./cmd/carillon

run: build
	$(BIN) demo

# the fast ones first
check: fmt lint cross test deps race e2e

quick: fmt lint test

fmt:
	@bad=$$($$($(GO) env GOROOT)/bin/gofmt -l cmd internal bench e2e); \
	if [ -n "$$bad" ]; then echo "not gofmt-clean:"; echo "$$bad"; exit 1; fi

lint:
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# the commands that call the API are for other systems too
cross:
	for os in darwin windows; do GOOS=$$os CGO_ENABLED=0 $(GO) build -o /dev/null ./... || exit 1; done

test: build
	$(GO) test $(FAST)

# the real SIP programs, from the distribution
deps:
	bash e2e/install.sh

# what workers share, under the race detector
race:
	CGO_ENABLED=1 $(GO) test -race -short ./internal/aged ./internal/balance ./internal/engine ./internal/health ./internal/metric ./internal/proxy ./internal/transport

e2e: build
	$(GO) test -count=1 -timeout 20m ./e2e/...

bench: build
	bench/run

fuzz:
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' cmd internal | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | sed 's/func //'); do \
	    echo "$$p $$f"; $(GO) test ./$$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

clean:
	rm -rf bin .cache
