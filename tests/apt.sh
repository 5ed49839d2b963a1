# Installs Debian packages for the scripts of this repository, which source this file from the root.
# If a package can't be installed, the script ends: no check is skipped.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# may_install PACKAGE...
may_install() {
    [ "${NO_INSTALL:-0}" != 1 ] || die "$* is missing, and --no-install is given: install it yourself"
    command -v apt-get >/dev/null || die "can't install $*: there is no apt-get here; install it yourself"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "can't install $*: neither root nor sudo; install it yourself"
}

# apt_install WHY PACKAGE...
apt_install() {
    local why=$1
    shift
    say "installing $* by apt-get: $why"
    may_install "$@"
    as_root apt-get update -qq || die "apt-get update failed"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        die "apt-get couldn't install $*"
}

# PostgreSQL's server programs, with which tests start their own clusters. By default the package
# would also create a cluster for the whole machine, and start it now and after each boot.
need_postgres() {
    local initdb settings=/etc/postgresql-common/createcluster.d
    for initdb in "$(command -v initdb)" /usr/lib/postgresql/*/bin/initdb; do
        [ -x "$initdb" ] && return
    done
    may_install postgresql
    as_root mkdir -p "$settings"
    as_root tee "$settings/facematch.conf" <<<'create_main_cluster = false' >/dev/null
    apt_install "the journal may be in PostgreSQL" postgresql
    as_root rm "$settings/facematch.conf"
}

# MariaDB's server program, with which tests start their own servers. This package starts none.
need_mariadb() {
    [ -x /usr/sbin/mariadbd ] ||
        apt_install "a photo library may be in MySQL or MariaDB" mariadb-server-core
}

# need_unpacked PACKAGE PROGRAM WHY LIBRARY...: only the program of a package, in target/test-tools.
# Installing the package would start a server, now and after each boot.
need_unpacked() {
    local package=$1 program=$2 why=$3 place="$PWD/target/test-tools/$1"
    shift 3
    if [ ! -x "$place/$program" ]; then
        apt_install "$why" "$@"
        rm -rf "$place"
        mkdir -p "$place"
        (cd "$place" && apt-get download -qq "$package" && dpkg-deb --extract "$package"_*.deb .) ||
            die "$package couldn't be downloaded"
    fi
    "$place/$program" -V >/dev/null 2>&1 || "$place/$program" --version >/dev/null 2>&1 || die "$package can't be run: $place/$program"
}

# PgBouncer, for the tests that put it in front of PostgreSQL.
need_pgbouncer() {
    [ -x /usr/sbin/pgbouncer ] && return
    need_unpacked pgbouncer usr/sbin/pgbouncer "PgBouncer is tested in front of PostgreSQL" \
        libc-ares2 libevent-2.1-7 libpam0g libssl3 libsystemd0
}
