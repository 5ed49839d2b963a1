"""Runs one match and prints its updates, across broken connections.

    run_match.py SERVER FOLDER_ID PHOTO

Needs grpcio, grpcio-status and the stubs that grpcio-tools makes: docs/clients.md has the commands.
"""

import random
import sys
import time
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from facematch.v1 import face_match_pb2 as pb
from facematch.v1 import face_match_pb2_grpc as rpc

# How client libraries report a broken connection: the server has said nothing.
BROKEN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
}
ENDS = {pb.MATCH_STATE_FINISHED, pb.MATCH_STATE_FAILED, pb.MATCH_STATE_CANCELLED}
# Unanswered pings reveal a dead connection, also while a stream is silent.
CHANNEL = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]


def pause(error, tries):
    """How long to wait before the next try; None if a repeat can't help."""
    reason, delay = None, None
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == "facematch":
            reason = info.reason
        elif detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    if reason:
        # The server answered: it sets a delay wherever a repeat may help.
        return delay
    return random.uniform(0, min(0.2 * 2**tries, 5)) if error.code() in BROKEN else None


def run_match(stub, request, limit=30 * 60, patience=5 * 60):
    """Yields each update once, across broken connections; the last one carries the verdict.

    It takes at most `limit` seconds, and gives up after `patience` seconds without an update.
    """
    start = news = time.monotonic()
    seen, uploaded, tries = 0, False, 0
    while True:
        left = start + limit - time.monotonic()
        try:
            if uploaded:
                # Oz has the photo: it isn't sent again.
                updates = stub.WatchMatch(
                    pb.WatchMatchRequest(request_id=request.request_id, after_sequence=seen),
                    timeout=left,
                )
            else:
                # The same request_id is the same match: its updates come again from the first.
                updates = stub.RunMatch(request, timeout=left)
            for update in updates:
                if update.sequence <= seen:
                    continue
                seen, tries, news = update.sequence, 0, time.monotonic()
                uploaded = bool(update.match.photo_media_id)
                yield update
                if update.match.state in ENDS:
                    return
            wait = 1  # The stream ended before the match did: a proxy has ended it.
        except grpc.RpcError as error:
            wait = pause(error, tries)
            now = time.monotonic()
            if wait is None or now + wait > min(start + limit, news + patience):
                raise
        tries += 1
        time.sleep(wait)


def main(server, folder_id, photo_path):
    with open(photo_path, "rb") as file:
        photo = pb.ReferencePhoto(content=file.read(), kind=pb.PHOTO_KIND_SELFIE)
    request = pb.MatchRequest(request_id=str(uuid.uuid4()), folder_id=folder_id, photo=photo)
    with grpc.insecure_channel(server, options=CHANNEL) as channel:
        for update in run_match(rpc.FaceMatchStub(channel), request):
            print(update.sequence, update.WhichOneof("event"), flush=True)
    match = update.match
    if match.state == pb.MATCH_STATE_FINISHED:
        print(pb.Resolution.Name(match.result.resolution), match.result.min_confidence)
    else:
        print(pb.MatchState.Name(match.state), match.error.reason, match.error.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
