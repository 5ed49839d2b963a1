"""All errors of this package. :class:`FaceMatchError` is the base of every one.

``REASONS`` maps each reason of the service to its class.
"""

from __future__ import annotations

from facematch import _reasons
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
from facematch._reasons import *  # noqa: F403
from facematch._reasons import CALL_REASONS, MATCH_REASONS

#: The class of each reason that this version knows.
REASONS: dict[str, type[FaceMatchError]] = {**CALL_REASONS, **MATCH_REASONS}

__all__ = [
    "REASONS",
    "CallCancelledError",
    "CallRefusedError",
    "ContractError",
    "DeadlineError",
    "FaceMatchError",
    "FieldViolation",
    "GaveUpError",
    "MatchCancelledError",
    "MatchFailedError",
    "NoVerdictError",
    "UsageError",
]
__all__ += _reasons.__all__
