# The tasks of this repository, with how long each takes on two cores. `just` lists them.
# Each is one command: copy it where `just` (https://just.systems) is not installed.

# (list the tasks)
default:
    @just --list --unsorted

# run the demo: the service, a simulated Oz, three matches (first build 3 min, then 5 s)
demo *arguments:
    cargo demo {{ arguments }}

# unit tests, or those whose names contain a word: `just t watch` (build 10 s, tests 1 to 60 s)
t *filter:
    cargo test --lib -- {{ filter }}

# integration tests, or some of them: `just it flow` (build 20 s, tests 1 to 180 s)
it *filter:
    cargo test --test it -- {{ filter }}

# all tests that need PostgreSQL, or some of them (build 20 s, tests 1 to 240 s)
pg *filter:
    cargo test --features postgres-tests -- {{ filter }}

# Python's tests of the built program, or some of them: `just py cancel` (150 s)
py *filter: build
    FACEMATCH_BIN=target/debug/facematch GRPCURL=target/test-tools/bin/grpcurl \
        FACEMATCH_NGINX=target/test-tools/nginx/usr/sbin/nginx \
        FACEMATCH_GO_CALLER=target/test-tools/bin/go-caller \
        FACEMATCH_PROMETHEUS=target/test-tools/prometheus/usr/bin/prometheus \
        FACEMATCH_PROMTOOL=target/test-tools/prometheus/usr/bin/promtool \
        target/test-tools/venv/bin/python -m pytest -c tests/python/pytest.ini tests/python {{ if filter == "" { "" } else { "-k '" + filter + "'" } }}

# the debug build (3 min from nothing, then 20 s)
build:
    cargo build --locked

# format, lints and documentation (3 min from nothing, then 40 s)
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked --features postgres-tests,mysql-tests -- -D warnings
    RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --locked

# every test, installing what they need (35 min from nothing)
test:
    tests/run

# what CI runs (60 min from nothing)
ci:
    .ci/run

# the published figures, all or one: `just long kills` (2 hours)
long *figure:
    tests/long {{ figure }}

# the benchmark (16 min; `just bench --quick` 4 min)
bench *arguments:
    cargo bench -- {{ arguments }}

# check a client library, such as `just client go` (1 to 2 min, after a build)
client language:
    clients/{{ language }}/check

# check the page for browsers (9 min, after a build)
page:
    web/check

# play the conformance suite with client libraries: `just conformance go` (30 s each, after a build)
conformance *languages:
    clients/conformance/run {{ languages }}

# compare instruction counts with the baseline (7 min from nothing, then 1 min)
instructions:
    cargo bench --locked --profile counted --bench instructions

# fuzz each decoder with so many inputs (3 min and more)
fuzz runs='100000':
    fuzz/run {{ runs }}

# install a git hook that checks format and the subject line of commits
hooks:
    printf '#!/bin/sh\ncargo fmt --check\n' > .git/hooks/pre-commit
    printf '#!/bin/sh\nhead -1 "$1" | grep -qE "^[a-z]+: [A-Z].{1,58}[^.]$" || { echo "subject: area: Imperative, at most 60 characters, no full stop"; exit 1; }\n' > .git/hooks/commit-msg
    chmod +x .git/hooks/pre-commit .git/hooks/commit-msg
