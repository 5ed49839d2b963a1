# Debian packages for the scripts of this repository, which source it from the repository's root.
# What can't be installed ends the script: nothing that it would have checked is skipped.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# apt_install WHY PACKAGE...
apt_install() {
    local why=$1 as_root=()
    shift
    say "installing $* by apt-get: $why"
    command -v apt-get >/dev/null || die "can't install $*: there is no apt-get here; install it yourself"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "can't install $*: neither root nor sudo; install it yourself"
        as_root=(sudo -n)
    fi
    "${as_root[@]}" apt-get update -qq || die "apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        die "apt-get couldn't install $*"
}
