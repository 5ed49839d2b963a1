# Waits for the end of its standard input, which comes with the end of the tests' process at the
# latest. Then kills the cluster in $DIRECTORY, and removes the directory.
# shellcheck shell=sh
trap '' HUP INT TERM
read -r _

# The cluster's processes, found as in processes.rs. The command lines of this shell and of grep
# don't contain what is searched for, so they don't match.
processes() {
    printf '%s\n' "$DIRECTORY/data" "postgres: ${DIRECTORY##*/}: " |
        grep -alsFf - /proc/[0-9]*/cmdline | cut -d / -f 3
}

while alive=$(processes) && [ -n "$alive" ]; do
    # shellcheck disable=SC2086 # a word for each
    kill -KILL $alive
done

# All that a killed postmaster leaves outside of its directory: a shared memory segment of 56 bytes.
# The system allows 4096 segments.
segment=$(sed -n '7s/.* //p' "$DIRECTORY/data/postmaster.pid")
[ -z "$segment" ] || ipcrm -m "$segment"
rm -rf "$DIRECTORY"
