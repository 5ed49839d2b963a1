"""The service's check of photos, compared with the decoders that will read the photos.

The check is reached through the port: a call with a wrong `timeout` is always refused, and the
refusal also lists the photo if that is wrong.
"""

import os
import random
import time
import uuid
from collections import Counter

import decoders
import disagreements
import grpc
import mutations
import pictures
import pytest
import support
from disagreements import Case
from google.protobuf.duration_pb2 import Duration

# How long to try mutated pictures, and the first seed. By default the pictures are always the same,
# so that a change that has nothing to do with photos never meets a new disagreement.
SECONDS = float(os.environ.get("FACEMATCH_PHOTO_SECONDS", "20"))
SEED = int(os.environ.get("FACEMATCH_PHOTO_SEED", "1"))

# A run with fewer agreements than this, on accepted or on refused pictures, proves too little.
FEWEST = 100

FIELD = support.ROOT / "fuzz/corpus/photo"


@pytest.fixture(scope="module")
def judge(simulator, stubs, tmp_path_factory):
    """Asks a dedicated server, whose log level is low because of the many calls."""
    folder = tmp_path_factory.mktemp("photos")
    server = support.Server(os.environ["FACEMATCH_BIN"], simulator, folder, log_level="error")
    with server.channel() as channel:
        call = stubs.rpc.FaceMatchStub(channel).CreateMatch

        def judge(photo):
            """The service's objection to a photo, or None if it accepts the photo."""
            request = stubs.pb.MatchRequest(
                folder_id=str(uuid.UUID(int=1)),
                photo=stubs.pb.ReferencePhoto(content=photo),
                timeout=Duration(seconds=-1),
            )
            with pytest.raises(grpc.RpcError) as caught:
                call(request, timeout=support.CALL_SECONDS)
            told = support.refusal(caught.value)
            assert "timeout" in told.violations, told
            return told.violations.get("photo.content")

        yield judge
    server.stop()


@pytest.fixture(scope="module")
def all_decoders():
    every = decoders.Decoders()
    yield every
    every.stop()


@pytest.fixture(scope="module")
def compare(judge, all_decoders):
    """Whether the service and the decoders agree; if not, the row that explains it."""

    def compare(photo):
        taken_by, sentence = all_decoders.takers(photo), judge(photo)
        case = Case(photo, taken_by, sentence, judge, all_decoders.takers)
        if bool(taken_by) == (sentence is None):
            return case, "agreed"
        return case, disagreements.explanation(case)

    return compare


def test_valid_pictures_of_every_kind_are_accepted(judge, all_decoders):
    for name, photo in {**pictures.jpegs(), **pictures.pngs()}.items():
        assert all_decoders.takers(photo), f"{name}: no decoder takes it"
        assert judge(photo) is None, name


def test_the_pictures_from_the_field_are_judged_as_decoders_do(compare):
    files = [file for ending in ("jpg", "png") for file in sorted(FIELD.glob(f"*.{ending}"))]
    assert len(files) >= 16
    for file in files:
        case, outcome = compare(file.read_bytes())
        assert outcome is not None, f"{file.name}: {case.taken_by} {case.sentence}"


def test_mutated_pictures_are_judged_as_decoders_do(compare, all_decoders):
    """FACEMATCH_PHOTO_SECONDS sets the duration, FACEMATCH_PHOTO_SEED the first seed."""
    sound = [("jpeg", photo) for photo in pictures.jpegs().values()]
    sound += [("png", photo) for photo in pictures.pngs().values()]
    others = [photo for _, photo in sound]
    outcomes, unexplained, seed = Counter(), [], SEED
    print(f"seeds from {SEED} on")
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        source = random.Random(seed)
        kind, photo = source.choice(sound)
        case, outcome = compare(mutations.mutated(source, kind, photo, others))
        outcomes["accepted" if case.sentence is None else "refused", outcome] += 1
        if outcome is None:
            unexplained.append(f"seed {seed}: {sorted(case.taken_by)} {case.sentence}")
        seed += 1
    for (judgement, outcome), count in sorted(outcomes.items(), key=str):
        print(f"{count:7} {judgement}: {outcome}")
    print({decoder.name: f"{decoder.crashes} crashes" for decoder in all_decoders.all})
    assert not unexplained, "\n".join(unexplained[:20])
    agreed = [outcomes[judgement, "agreed"] for judgement in ("accepted", "refused")]
    assert min(agreed) >= FEWEST, f"too few to prove anything: {outcomes}"
