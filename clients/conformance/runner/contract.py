"""The contract's messages, as the Python library has them, and the repository's root."""

from pathlib import Path

from facematch.v1 import face_match_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]

SERVICE = "facematch.v1.FaceMatch"
METHODS = pb.DESCRIPTOR.services_by_name["FaceMatch"].methods_by_name


def request_class(method):
    return getattr(pb, METHODS[method].input_type.name)


def answer_class(method):
    return getattr(pb, METHODS[method].output_type.name)
