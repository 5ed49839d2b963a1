"""FaceMatch: is the person in this photo the person in the liveness video of that Oz folder?

:class:`Client` has the verbs of the service, :class:`AsyncClient` the same for asyncio. All calls
resume by themselves.
"""

from __future__ import annotations

from facematch import _reasons, errors
from facematch._aio_client import AsyncClient
from facematch._aio_streams import AsyncAllMatchesStream, AsyncMatchStream
from facematch._client import Client
from facematch._error_types import (
    CallCancelledError,
    CallRefusedError,
    ContractError,
    DeadlineError,
    FaceMatchError,
    FieldViolation,
    GaveUpError,
    MatchCancelledError,
    MatchFailedError,
    NoVerdictError,
    UsageError,
)
from facematch._photo import PHOTO_BYTES_MAX, Photo, PhotoKind, PhotoLike
from facematch._reasons import *  # noqa: F403
from facematch._requests import new_request_id
from facematch._settings import Limits, Reconnect, Retry
from facematch._streams import AllMatchesStream, MatchStream
from facematch._verdict import Deleted, Liveness, Resolution, Verdict
from facematch._version import VERSION
from facematch.v1 import face_match_pb2 as pb

__version__ = VERSION

__all__ = [
    "PHOTO_BYTES_MAX",
    "AllMatchesStream",
    "AsyncAllMatchesStream",
    "AsyncClient",
    "AsyncMatchStream",
    "CallCancelledError",
    "CallRefusedError",
    "Client",
    "ContractError",
    "DeadlineError",
    "Deleted",
    "FaceMatchError",
    "FieldViolation",
    "GaveUpError",
    "Limits",
    "Liveness",
    "MatchCancelledError",
    "MatchFailedError",
    "MatchStream",
    "NoVerdictError",
    "Photo",
    "PhotoKind",
    "PhotoLike",
    "Reconnect",
    "Resolution",
    "Retry",
    "UsageError",
    "Verdict",
    "__version__",
    "errors",
    "new_request_id",
    "pb",
]
__all__ += _reasons.__all__
