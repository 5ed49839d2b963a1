# Waits for the end of its standard input, which is that of the tests' process at the latest. Then
# ends the cluster in $DIRECTORY, and removes it.
# shellcheck shell=sh
trap '' HUP INT TERM
read -r _

# As processes.rs knows them. What is looked for isn't in the command line of who looks for it.
processes() {
    printf '%s\n' "$DIRECTORY/data" "postgres: ${DIRECTORY##*/}: " |
        grep -alsFf - /proc/[0-9]*/cmdline | cut -d / -f 3
}

while alive=$(processes) && [ -n "$alive" ]; do
    # shellcheck disable=SC2086 # a word for each
    kill -KILL $alive
done

# The one thing that a killed postmaster leaves outside of its directory: 56 bytes of shared memory,
# of which there may be 4096 pieces.
segment=$(sed -n '7s/.* //p' "$DIRECTORY/data/postmaster.pid")
[ -z "$segment" ] || ipcrm -m "$segment"
rm -rf "$DIRECTORY"
