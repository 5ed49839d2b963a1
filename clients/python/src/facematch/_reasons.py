"""The error class of each reason. `generate` makes it from clients/reasons.json."""

from facematch._error_types import CallRefusedError, MatchFailedError


class FieldInvalidError(CallRefusedError):
    """A field is missing, malformed or too long, or has an unknown value."""


class PhotoUnreadableError(CallRefusedError):
    """The photo is not a complete JPEG or PNG that decoders accept, or its dimensions are out of
    range; the message says which.
    """


class PhotoTooLargeError(CallRefusedError):
    """The photo is over 10 MiB."""


class TokenInvalidError(CallRefusedError):
    """A resume or page token was truncated or changed, comes from another store or from a time
    that a restore undid, or is a page token of other filters.
    """


class MatchNotFoundError(CallRefusedError):
    """No match has this id, or it was erased."""


class RequestIdReusedError(CallRefusedError):
    """The ``request_id`` names a match with other content; ``field`` in the metadata names the
    first field that differs.
    """


class MatchEndedError(CallRefusedError):
    """The match has ended as FINISHED or FAILED and can't be cancelled any more."""


class MatchRunningError(CallRefusedError):
    """The match is still running and can't be erased."""


class WatchAheadError(CallRefusedError):
    """``after_sequence`` is higher than the match's sequence, which is ``reached`` in the
    metadata.
    """


class TokenExpiredError(CallRefusedError):
    """Retention has erased updates that would come after the token."""


class NotAvailableError(CallRefusedError):
    """The tenant has no photo library (``reference_key``)."""


class OverloadedError(CallRefusedError):
    """The server is at one of its limits, and the call had no effect; ``limit`` in the metadata is
    one of ``unfinished-matches``, ``photo-memory``, ``request-memory``, ``calls``.
    """


class QuotaExceededError(CallRefusedError):
    """The tenant is at one of its own limits, and the call had no effect; ``limit`` in the
    metadata is one of ``unfinished-matches``, ``photo-memory``, ``rate``, ``streams``.
    """


class UpdatesUnreadError(CallRefusedError):
    """The caller didn't read the stream's updates for longer than ``--stream-stall``; the match
    continues.
    """


class CredentialMissingError(CallRefusedError):
    """The server authenticates callers, and the call has neither an ``authorization`` header nor a
    client certificate.
    """


class CredentialInvalidError(CallRefusedError):
    """The credential is malformed, wrong, unknown or withdrawn; one wording for all."""


class CredentialExpiredError(CallRefusedError):
    """The credential has expired; a stream also ends with it when its credential expires or is
    withdrawn.
    """


class CallForbiddenError(CallRefusedError):
    """The caller lacks a permission, which is the ``permission`` in the metadata: ``match``,
    ``read`` or ``erase``.
    """


class CallTimedOutError(CallRefusedError):
    """The call's own deadline passed at the server, or the request did not arrive in time; a match
    that was accepted continues.
    """


class StoreUnavailableError(CallRefusedError):
    """The server's store can't be read or written."""


class AuditUnavailableError(CallRefusedError):
    """The server can't write the call's audit record, and the call had no effect."""


class ServerDrainingError(CallRefusedError):
    """The server is shutting down."""


class InternalError(CallRefusedError):
    """A bug in FaceMatch."""


class OzAnalysisFailedError(MatchFailedError):
    """Oz's analysis ended as FAILED, or Oz refused to start it."""


class OzInconclusiveError(MatchFailedError):
    """Oz's analysis ended without a usable score, or its words contradict each other."""


class OzProtocolError(MatchFailedError):
    """Oz's answers lack required fields, or Oz doesn't know the analysis that it has started."""


class OzUnknownStatusError(MatchFailedError):
    """Oz used a status word that this version doesn't know."""


class OzFolderNotFoundError(MatchFailedError):
    """Oz has no such folder."""


class OzMediaNotFoundError(MatchFailedError):
    """The folder has no medium with that ``folder_media_id``, or that medium is not an image."""


class LivenessMediaNotFoundError(MatchFailedError):
    """The folder has no liveness media, or lacks a named one."""


class LivenessNotPassedError(MatchFailedError):
    """``LIVENESS_POLICY_REQUIRE``, and the liveness analysis is missing or doesn't say SUCCESS."""


class OzFolderFullError(MatchFailedError):
    """Oz refused the photo, and the folder holds 10 media or more."""


class OzRejectedPhotoError(MatchFailedError):
    """Oz refused the photo."""


class OzForbiddenError(MatchFailedError):
    """The Oz account lacks a permission."""


class OzLoginRefusedError(MatchFailedError):
    """Oz has refused this server's login for a minute."""


class MatchTimedOutError(MatchFailedError):
    """The match's time ran out; ``cause`` in the metadata is the last trouble, if there was one."""


class PhotoLostError(MatchFailedError):
    """The server died before Oz had the photo, and no caller sent it again in time."""


class ReferenceNotFoundError(MatchFailedError):
    """The photo library has no photo for the ``reference_key``."""


class ReferenceAmbiguousError(MatchFailedError):
    """The photo library has several photos for the ``reference_key``."""


class ReferenceUnreadableError(MatchFailedError):
    """The library's photo is not a complete JPEG or PNG, or its dimensions are out of range; the
    message says which.
    """


class ReferenceTooLargeError(MatchFailedError):
    """The library's photo is over 10 MiB."""


class LibraryForbiddenError(MatchFailedError):
    """The photo library refuses this server."""


class LibraryProtocolError(MatchFailedError):
    """The photo library answered with a redirect, with a length that isn't the photo's, or
    otherwise than its kind does.
    """


CALL_REASONS: dict[str, type[CallRefusedError]] = {
    "FIELD_INVALID": FieldInvalidError,
    "PHOTO_UNREADABLE": PhotoUnreadableError,
    "PHOTO_TOO_LARGE": PhotoTooLargeError,
    "TOKEN_INVALID": TokenInvalidError,
    "MATCH_NOT_FOUND": MatchNotFoundError,
    "REQUEST_ID_REUSED": RequestIdReusedError,
    "MATCH_ENDED": MatchEndedError,
    "MATCH_RUNNING": MatchRunningError,
    "WATCH_AHEAD": WatchAheadError,
    "TOKEN_EXPIRED": TokenExpiredError,
    "NOT_AVAILABLE": NotAvailableError,
    "OVERLOADED": OverloadedError,
    "QUOTA_EXCEEDED": QuotaExceededError,
    "UPDATES_UNREAD": UpdatesUnreadError,
    "CREDENTIAL_MISSING": CredentialMissingError,
    "CREDENTIAL_INVALID": CredentialInvalidError,
    "CREDENTIAL_EXPIRED": CredentialExpiredError,
    "CALL_FORBIDDEN": CallForbiddenError,
    "CALL_TIMED_OUT": CallTimedOutError,
    "STORE_UNAVAILABLE": StoreUnavailableError,
    "AUDIT_UNAVAILABLE": AuditUnavailableError,
    "SERVER_DRAINING": ServerDrainingError,
    "INTERNAL": InternalError,
}

MATCH_REASONS: dict[str, type[MatchFailedError]] = {
    "OZ_ANALYSIS_FAILED": OzAnalysisFailedError,
    "OZ_INCONCLUSIVE": OzInconclusiveError,
    "OZ_PROTOCOL": OzProtocolError,
    "OZ_UNKNOWN_STATUS": OzUnknownStatusError,
    "OZ_FOLDER_NOT_FOUND": OzFolderNotFoundError,
    "OZ_MEDIA_NOT_FOUND": OzMediaNotFoundError,
    "LIVENESS_MEDIA_NOT_FOUND": LivenessMediaNotFoundError,
    "LIVENESS_NOT_PASSED": LivenessNotPassedError,
    "OZ_FOLDER_FULL": OzFolderFullError,
    "OZ_REJECTED_PHOTO": OzRejectedPhotoError,
    "OZ_FORBIDDEN": OzForbiddenError,
    "OZ_LOGIN_REFUSED": OzLoginRefusedError,
    "MATCH_TIMED_OUT": MatchTimedOutError,
    "PHOTO_LOST": PhotoLostError,
    "REFERENCE_NOT_FOUND": ReferenceNotFoundError,
    "REFERENCE_AMBIGUOUS": ReferenceAmbiguousError,
    "REFERENCE_UNREADABLE": ReferenceUnreadableError,
    "REFERENCE_TOO_LARGE": ReferenceTooLargeError,
    "LIBRARY_FORBIDDEN": LibraryForbiddenError,
    "LIBRARY_PROTOCOL": LibraryProtocolError,
}

__all__ = [
    "AuditUnavailableError",
    "CallForbiddenError",
    "CallTimedOutError",
    "CredentialExpiredError",
    "CredentialInvalidError",
    "CredentialMissingError",
    "FieldInvalidError",
    "InternalError",
    "LibraryForbiddenError",
    "LibraryProtocolError",
    "LivenessMediaNotFoundError",
    "LivenessNotPassedError",
    "MatchEndedError",
    "MatchNotFoundError",
    "MatchRunningError",
    "MatchTimedOutError",
    "NotAvailableError",
    "OverloadedError",
    "OzAnalysisFailedError",
    "OzFolderFullError",
    "OzFolderNotFoundError",
    "OzForbiddenError",
    "OzInconclusiveError",
    "OzLoginRefusedError",
    "OzMediaNotFoundError",
    "OzProtocolError",
    "OzRejectedPhotoError",
    "OzUnknownStatusError",
    "PhotoLostError",
    "PhotoTooLargeError",
    "PhotoUnreadableError",
    "QuotaExceededError",
    "ReferenceAmbiguousError",
    "ReferenceNotFoundError",
    "ReferenceTooLargeError",
    "ReferenceUnreadableError",
    "RequestIdReusedError",
    "ServerDrainingError",
    "StoreUnavailableError",
    "TokenExpiredError",
    "TokenInvalidError",
    "UpdatesUnreadError",
    "WatchAheadError",
]
