# Sets FACEMATCH_PYTHON to an interpreter that has gRPC. Sourced, in the repository's root.

# The versions of tests/python/requirements.txt.
readonly CONFORMANCE_PACKAGES="grpcio protobuf googleapis-common-protos"

if [ -z "${FACEMATCH_PYTHON:-}" ]; then
    FACEMATCH_PYTHON=target/test-tools/venv/bin/python
    if [ ! -x "$FACEMATCH_PYTHON" ]; then
        FACEMATCH_PYTHON=target/clients/conformance/bin/python
        if ! "$FACEMATCH_PYTHON" -c 'import grpc, google.rpc.status_pb2' 2>/dev/null; then
            rm -rf target/clients/conformance
            mkdir -p target/clients
            python3 -m venv target/clients/conformance
            for package in $CONFORMANCE_PACKAGES; do
                grep "^$package==" tests/python/requirements.txt
            done | "$FACEMATCH_PYTHON" -m pip install --quiet --disable-pip-version-check \
                --requirement /dev/stdin
        fi
    fi
fi
# gRPC asks the environment's proxy even for this machine.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
# Drivers run in other folders.
case $FACEMATCH_PYTHON in
/*) ;;
*) FACEMATCH_PYTHON=$PWD/$FACEMATCH_PYTHON ;;
esac
