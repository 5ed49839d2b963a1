// FaceMatch: is the person in this photo the person in the liveness video of that Oz folder?
//
// A caller sends a reference photo and the id of the Oz folder that holds the liveness video.
// The server uploads the photo, starts a BIOMETRY analysis at Oz, polls it, and streams every
// state of the match. The verdict comes last.
//
// Errors
//
// The error of a refused call carries google.rpc.ErrorInfo with the domain "facematch" and one of
// these reasons:
//
//   reason              code                 when
//   FIELD_INVALID       INVALID_ARGUMENT     a field is missing, malformed, too long or unknown;
//                                            google.rpc.BadRequest names all such fields
//   PHOTO_UNREADABLE    INVALID_ARGUMENT     the photo isn't a complete JPEG or PNG, or its
//                                            dimensions are out of range
//   PHOTO_TOO_LARGE     INVALID_ARGUMENT     the photo is over 10 MiB
//   TOKEN_INVALID       INVALID_ARGUMENT     a token is damaged, comes from another store, or
//                                            belongs to other filters
//   MATCH_NOT_FOUND     NOT_FOUND            the match doesn't exist, or it was erased
//   REQUEST_ID_REUSED   ALREADY_EXISTS       the request_id belongs to a match with different
//                                            content; the metadata holds the first "field" that
//                                            differs, and the "match_id"
//   MATCH_ENDED         FAILED_PRECONDITION  the match has ended in another way and can't be
//                                            cancelled any more
//   MATCH_RUNNING       FAILED_PRECONDITION  the match is still running and can't be erased
//   WATCH_AHEAD         OUT_OF_RANGE         after_sequence is higher than the match's sequence;
//                                            the metadata holds the sequence that is "reached"
//   TOKEN_EXPIRED       OUT_OF_RANGE         the resume_token is older than the oldest retained
//                                            update
//   NOT_AVAILABLE       UNIMPLEMENTED        the tenant has no photo library
//   OVERLOADED          RESOURCE_EXHAUSTED   the server is at one of its limits, and the call had
//                                            no effect; "limit" in the metadata is one of
//                                            "unfinished-matches", "photo-memory",
//                                            "request-memory", "calls"
//   QUOTA_EXCEEDED      RESOURCE_EXHAUSTED   the tenant is at one of its own limits, and the call
//                                            had no effect; "limit" in the metadata is one of
//                                            "unfinished-matches", "photo-memory", "rate",
//                                            "streams"
//   UPDATES_UNREAD      RESOURCE_EXHAUSTED   the stream stalled: the caller didn't read its updates
//                                            for longer than --stream-stall (2 min by default);
//                                            the match continues
//   CREDENTIAL_MISSING  UNAUTHENTICATED      the server authenticates callers, and the call has
//                                            neither "authorization" nor a client certificate
//   CREDENTIAL_INVALID  UNAUTHENTICATED      the credential is malformed, wrong, unknown or
//                                            withdrawn
//   CREDENTIAL_EXPIRED  UNAUTHENTICATED      the credential has expired; a stream also ends with it
//                                            when its credential expires or is withdrawn
//   CALL_FORBIDDEN      PERMISSION_DENIED    the caller lacks the "permission" that the metadata
//                                            names
//   CALL_TIMED_OUT      DEADLINE_EXCEEDED    the call's own deadline passed at the server, or the
//                                            request did not arrive in time
//   STORE_UNAVAILABLE   UNAVAILABLE          the server's store is not available
//   AUDIT_UNAVAILABLE   UNAVAILABLE          the server can't write the call's audit record, and
//                                            the call had no effect
//   SERVER_DRAINING     UNAVAILABLE          the server is shutting down
//   INTERNAL            INTERNAL             a bug in the server
//
// Every call may end with FIELD_INVALID (for instance because the request is too large),
// OVERLOADED, QUOTA_EXCEEDED, CREDENTIAL_MISSING, CREDENTIAL_INVALID, CREDENTIAL_EXPIRED,
// CALL_FORBIDDEN, CALL_TIMED_OUT, STORE_UNAVAILABLE, AUDIT_UNAVAILABLE, SERVER_DRAINING or
// INTERNAL. The comment of each rpc names its other reasons.
//
// A match belongs to the tenant for which its caller acts, and to callers of other tenants it
// doesn't exist. Without authentication there is one tenant.
//
// If a retry may help, the error carries google.rpc.RetryInfo, and its trailers carry
// "grpc-retry-pushback-ms" with the same delay. The delay includes jitter, so that callers that
// were refused together don't return together.
//
// HTTP/2 and gRPC refuse some calls before the service sees them. Such errors are the transport's
// and have no ErrorInfo: an unknown method or grpc-encoding (UNIMPLEMENTED), a content-type that
// isn't gRPC's, headers that are too large, HTTP/1, and bytes that can't be decoded
// (INVALID_ARGUMENT).
//
// Requests and answers
//
// Requests may be compressed with gzip. All limits count the inflated bytes.
// Every answer has the server's version in its initial metadata, "facematch-version".
// Times are UTC, from the clock of the server that wrote them. Times and durations have a
// resolution of one microsecond; the rest is cut off.
//
// Compatibility
//
// Later versions may add fields, events of MatchUpdate, enum values, reasons, causes, words of
// "limit", and keys of metadata. Callers must tolerate all of these:
//   - An update whose event the caller doesn't know has an empty oneof; its "match" is still set.
//   - An unknown reason means the same as its gRPC code.
//   - An unknown resolution is not a success.
// A request with an enum value that the server doesn't know is refused as FIELD_INVALID.
//
// While replicas of two versions run side by side, an older replica may read values that only the
// newer one knows. It shows them as UNSPECIFIED, and an unknown reason or cause as UNKNOWN. This is
// the only exception to the words "never" and "always" below.

// @generated by protoc-gen-es v2.12.0 with parameter "target=ts,import_extension=js"
// @generated from file facematch/v1/face_match.proto (package facematch.v1, syntax proto3)
/* eslint-disable */

import type { GenEnum, GenFile, GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import { enumDesc, fileDesc, messageDesc, serviceDesc } from "@bufbuild/protobuf/codegenv2";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { file_google_protobuf_duration, file_google_protobuf_timestamp } from "@bufbuild/protobuf/wkt";
import type { Message } from "@bufbuild/protobuf";

/**
 * Describes the file facematch/v1/face_match.proto.
 */
export const file_facematch_v1_face_match: GenFile = /*@__PURE__*/
  fileDesc("Ch1mYWNlbWF0Y2gvdjEvZmFjZV9tYXRjaC5wcm90bxIMZmFjZW1hdGNoLnYxIuICCgxNYXRjaFJlcXVlc3QSEgoKcmVxdWVzdF9pZBgBIAEoCRIRCglmb2xkZXJfaWQYAiABKAkSKwoFcGhvdG8YAyABKAsyHC5mYWNlbWF0Y2gudjEuUmVmZXJlbmNlUGhvdG8SKgoHdGltZW91dBgEIAEoCzIZLmdvb2dsZS5wcm90b2J1Zi5EdXJhdGlvbhIaChJsaXZlbmVzc19tZWRpYV9pZHMYBSADKAkSNQoPbGl2ZW5lc3NfcG9saWN5GAYgASgOMhwuZmFjZW1hdGNoLnYxLkxpdmVuZXNzUG9saWN5EjYKBmxhYmVscxgHIAMoCzImLmZhY2VtYXRjaC52MS5NYXRjaFJlcXVlc3QuTGFiZWxzRW50cnkSGAoQaW5jbHVkZV9wcm9ncmVzcxgIIAEoCBotCgtMYWJlbHNFbnRyeRILCgNrZXkYASABKAkSDQoFdmFsdWUYAiABKAk6AjgBIpsBCg5SZWZlcmVuY2VQaG90bxIRCgdjb250ZW50GAEgASgMSAASFwoNcmVmZXJlbmNlX2tleRgCIAEoCUgAEhkKD2ZvbGRlcl9tZWRpYV9pZBgDIAEoCUgAEiUKBGtpbmQYBCABKA4yFy5mYWNlbWF0Y2gudjEuUGhvdG9LaW5kEhEKCWZpbGVfbmFtZRgFIAEoCUIICgZzb3VyY2UitQYKBU1hdGNoEhAKCG1hdGNoX2lkGAEgASgJEhIKCnJlcXVlc3RfaWQYAiABKAkSEQoJZm9sZGVyX2lkGAMgASgJEicKBXN0YXRlGAQgASgOMhguZmFjZW1hdGNoLnYxLk1hdGNoU3RhdGUSEAoIc2VxdWVuY2UYBSABKAQSFgoOcGhvdG9fbWVkaWFfaWQYBiABKAkSEwoLYW5hbHlzaXNfaWQYByABKAkSKQoGcmVzdWx0GAggASgLMhkuZmFjZW1hdGNoLnYxLk1hdGNoUmVzdWx0EicKBWVycm9yGAkgASgLMhguZmFjZW1hdGNoLnYxLk1hdGNoRXJyb3ISLwoGbGFiZWxzGAogAygLMh8uZmFjZW1hdGNoLnYxLk1hdGNoLkxhYmVsc0VudHJ5Ei8KC2NyZWF0ZV90aW1lGAsgASgLMhouZ29vZ2xlLnByb3RvYnVmLlRpbWVzdGFtcBIvCgt1cGRhdGVfdGltZRgMIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5UaW1lc3RhbXASLAoIZW5kX3RpbWUYDSABKAsyGi5nb29nbGUucHJvdG9idWYuVGltZXN0YW1wEi8KC2V4cGlyZV90aW1lGA4gASgLMhouZ29vZ2xlLnByb3RvYnVmLlRpbWVzdGFtcBIiCgJvehgPIAEoCzIWLmZhY2VtYXRjaC52MS5PelN0YXR1cxIsCghkZWFkbGluZRgQIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5UaW1lc3RhbXASJgoHdHJvdWJsZRgRIAEoCzIVLmZhY2VtYXRjaC52MS5Ucm91YmxlEjUKD2xpdmVuZXNzX3BvbGljeRgSIAEoDjIcLmZhY2VtYXRjaC52MS5MaXZlbmVzc1BvbGljeRIrCgpwaG90b19raW5kGBMgASgOMhcuZmFjZW1hdGNoLnYxLlBob3RvS2luZBIaChJsaXZlbmVzc19tZWRpYV9pZHMYFCADKAkSHAoUbGl2ZW5lc3NfYW5hbHlzaXNfaWQYFSABKAkaLQoLTGFiZWxzRW50cnkSCwoDa2V5GAEgASgJEg0KBXZhbHVlGAIgASgJOgI4ASLzAQoHVHJvdWJsZRINCgVjYXVzZRgBIAEoCRIPCgdtZXNzYWdlGAIgASgJEikKBXNpbmNlGAMgASgLMhouZ29vZ2xlLnByb3RvYnVmLlRpbWVzdGFtcBI1ChFuZXh0X2F0dGVtcHRfdGltZRgEIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5UaW1lc3RhbXASNQoIbWV0YWRhdGEYBSADKAsyIy5mYWNlbWF0Y2gudjEuVHJvdWJsZS5NZXRhZGF0YUVudHJ5Gi8KDU1ldGFkYXRhRW50cnkSCwoDa2V5GAEgASgJEg0KBXZhbHVlGAIgASgJOgI4ASLLAQoLTWF0Y2hSZXN1bHQSLAoKcmVzb2x1dGlvbhgBIAEoDjIYLmZhY2VtYXRjaC52MS5SZXNvbHV0aW9uEhsKDm1pbl9jb25maWRlbmNlGAIgASgBSACIAQESGwoObWF4X2NvbmZpZGVuY2UYAyABKAFIAYgBARIuCghsaXZlbmVzcxgEIAEoCzIcLmZhY2VtYXRjaC52MS5MaXZlbmVzc1Jlc3VsdEIRCg9fbWluX2NvbmZpZGVuY2VCEQoPX21heF9jb25maWRlbmNlIo0BCg5MaXZlbmVzc1Jlc3VsdBIsCgpyZXNvbHV0aW9uGAEgASgOMhguZmFjZW1hdGNoLnYxLlJlc29sdXRpb24SIAoTY29uZmlkZW5jZV9zcG9vZmluZxgCIAEoAUgAiAEBEhMKC2FuYWx5c2lzX2lkGAMgASgJQhYKFF9jb25maWRlbmNlX3Nwb29maW5nIrkBCgpNYXRjaEVycm9yEgwKBGNvZGUYASABKAUSDgoGcmVhc29uGAIgASgJEg8KB21lc3NhZ2UYAyABKAkSEQoJcmV0cnlhYmxlGAQgASgIEjgKCG1ldGFkYXRhGAUgAygLMiYuZmFjZW1hdGNoLnYxLk1hdGNoRXJyb3IuTWV0YWRhdGFFbnRyeRovCg1NZXRhZGF0YUVudHJ5EgsKA2tleRgBIAEoCRINCgV2YWx1ZRgCIAEoCToCOAEiiwEKCE96U3RhdHVzEg0KBXN0YXRlGAEgASgJEhIKCnJlc29sdXRpb24YAiABKAkSGQoRcmVzb2x1dGlvbl9zdGF0dXMYAyABKAkSDQoFcG9sbHMYBCABKAQSMgoObGFzdF9wb2xsX3RpbWUYBSABKAsyGi5nb29nbGUucHJvdG9idWYuVGltZXN0YW1wIkEKD0dldE1hdGNoUmVxdWVzdBISCghtYXRjaF9pZBgBIAEoCUgAEhQKCnJlcXVlc3RfaWQYAiABKAlIAEIECgJpZCJuChBXYWl0TWF0Y2hSZXF1ZXN0EhIKCG1hdGNoX2lkGAEgASgJSAASFAoKcmVxdWVzdF9pZBgCIAEoCUgAEioKB3RpbWVvdXQYAyABKAsyGS5nb29nbGUucHJvdG9idWYuRHVyYXRpb25CBAoCaWQidQoRV2F0Y2hNYXRjaFJlcXVlc3QSEgoIbWF0Y2hfaWQYASABKAlIABIUCgpyZXF1ZXN0X2lkGAIgASgJSAASFgoOYWZ0ZXJfc2VxdWVuY2UYAyABKAQSGAoQaW5jbHVkZV9wcm9ncmVzcxgEIAEoCEIECgJpZCKsAQoTV2F0Y2hNYXRjaGVzUmVxdWVzdBIUCgxyZXN1bWVfdG9rZW4YASABKAkSEQoJZm9sZGVyX2lkGAIgASgJEj0KBmxhYmVscxgDIAMoCzItLmZhY2VtYXRjaC52MS5XYXRjaE1hdGNoZXNSZXF1ZXN0LkxhYmVsc0VudHJ5Gi0KC0xhYmVsc0VudHJ5EgsKA2tleRgBIAEoCRINCgV2YWx1ZRgCIAEoCToCOAEizAIKEkxpc3RNYXRjaGVzUmVxdWVzdBIRCglwYWdlX3NpemUYASABKAUSEgoKcGFnZV90b2tlbhgCIAEoCRIRCglmb2xkZXJfaWQYAyABKAkSPAoGbGFiZWxzGAQgAygLMiwuZmFjZW1hdGNoLnYxLkxpc3RNYXRjaGVzUmVxdWVzdC5MYWJlbHNFbnRyeRIoCgZzdGF0ZXMYBSADKA4yGC5mYWNlbWF0Y2gudjEuTWF0Y2hTdGF0ZRIxCg1jcmVhdGVkX2FmdGVyGAYgASgLMhouZ29vZ2xlLnByb3RvYnVmLlRpbWVzdGFtcBIyCg5jcmVhdGVkX2JlZm9yZRgHIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5UaW1lc3RhbXAaLQoLTGFiZWxzRW50cnkSCwoDa2V5GAEgASgJEg0KBXZhbHVlGAIgASgJOgI4ASJUChNMaXN0TWF0Y2hlc1Jlc3BvbnNlEiQKB21hdGNoZXMYASADKAsyEy5mYWNlbWF0Y2gudjEuTWF0Y2gSFwoPbmV4dF9wYWdlX3Rva2VuGAIgASgJIkQKEkNhbmNlbE1hdGNoUmVxdWVzdBISCghtYXRjaF9pZBgBIAEoCUgAEhQKCnJlcXVlc3RfaWQYAiABKAlIAEIECgJpZCJEChJEZWxldGVNYXRjaFJlcXVlc3QSEgoIbWF0Y2hfaWQYASABKAlIABIUCgpyZXF1ZXN0X2lkGAIgASgJSABCBAoCaWQicAoTRGVsZXRlTWF0Y2hSZXNwb25zZRIQCghtYXRjaF9pZBgBIAEoCRIvCgtkZWxldGVfdGltZRgCIAEoCzIaLmdvb2dsZS5wcm90b2J1Zi5UaW1lc3RhbXASFgoOcGhvdG9fbWVkaWFfaWQYAyABKAkizwQKC01hdGNoVXBkYXRlEhAKCG1hdGNoX2lkGAEgASgJEhAKCHNlcXVlbmNlGAIgASgEEigKBHRpbWUYAyABKAsyGi5nb29nbGUucHJvdG9idWYuVGltZXN0YW1wEiIKBW1hdGNoGAQgASgLMhMuZmFjZW1hdGNoLnYxLk1hdGNoEhQKDHJlc3VtZV90b2tlbhgFIAEoCRIqCghhY2NlcHRlZBgGIAEoCzIWLmZhY2VtYXRjaC52MS5BY2NlcHRlZEgAEjUKDnBob3RvX3VwbG9hZGVkGAcgASgLMhsuZmFjZW1hdGNoLnYxLlBob3RvVXBsb2FkZWRIABI5ChBhbmFseXNpc19zdGFydGVkGAggASgLMh0uZmFjZW1hdGNoLnYxLkFuYWx5c2lzU3RhcnRlZEgAEjUKDmF0dGVtcHRfZmFpbGVkGAkgASgLMhsuZmFjZW1hdGNoLnYxLkF0dGVtcHRGYWlsZWRIABIqCghmaW5pc2hlZBgKIAEoCzIWLmZhY2VtYXRjaC52MS5GaW5pc2hlZEgAEiYKBmZhaWxlZBgLIAEoCzIULmZhY2VtYXRjaC52MS5GYWlsZWRIABIsCgljYW5jZWxsZWQYDCABKAsyFy5mYWNlbWF0Y2gudjEuQ2FuY2VsbGVkSAASKgoIcHJvZ3Jlc3MYDSABKAsyFi5mYWNlbWF0Y2gudjEuUHJvZ3Jlc3NIABIsCgloZWFydGJlYXQYDiABKAsyFy5mYWNlbWF0Y2gudjEuSGVhcnRiZWF0SABCBwoFZXZlbnQiOAoIQWNjZXB0ZWQSLAoIZGVhZGxpbmUYASABKAsyGi5nb29nbGUucHJvdG9idWYuVGltZXN0YW1wIkMKDVBob3RvVXBsb2FkZWQSFgoOcGhvdG9fbWVkaWFfaWQYASABKAkSGgoSbGl2ZW5lc3NfbWVkaWFfaWRzGAIgAygJIkQKD0FuYWx5c2lzU3RhcnRlZBITCgthbmFseXNpc19pZBgBIAEoCRIcChRsaXZlbmVzc19hbmFseXNpc19pZBgCIAEoCSLUAQoNQXR0ZW1wdEZhaWxlZBINCgVjYXVzZRgBIAEoCRIPCgdtZXNzYWdlGAIgASgJEjUKEW5leHRfYXR0ZW1wdF90aW1lGAMgASgLMhouZ29vZ2xlLnByb3RvYnVmLlRpbWVzdGFtcBI7CghtZXRhZGF0YRgEIAMoCzIpLmZhY2VtYXRjaC52MS5BdHRlbXB0RmFpbGVkLk1ldGFkYXRhRW50cnkaLwoNTWV0YWRhdGFFbnRyeRILCgNrZXkYASABKAkSDQoFdmFsdWUYAiABKAk6AjgBIjUKCEZpbmlzaGVkEikKBnJlc3VsdBgBIAEoCzIZLmZhY2VtYXRjaC52MS5NYXRjaFJlc3VsdCIxCgZGYWlsZWQSJwoFZXJyb3IYASABKAsyGC5mYWNlbWF0Y2gudjEuTWF0Y2hFcnJvciILCglDYW5jZWxsZWQihwEKCFByb2dyZXNzEhIKCmJ5dGVzX3NlbnQYASABKAQSEwoLYnl0ZXNfdG90YWwYAiABKAQSDQoFcG9sbHMYAyABKAQSFwoPZmFpbGVkX2F0dGVtcHRzGAQgASgEEioKB2VsYXBzZWQYBSABKAsyGS5nb29nbGUucHJvdG9idWYuRHVyYXRpb24iOAoJSGVhcnRiZWF0EisKCGludGVydmFsGAEgASgLMhkuZ29vZ2xlLnByb3RvYnVmLkR1cmF0aW9uKlcKCVBob3RvS2luZBIaChZQSE9UT19LSU5EX1VOU1BFQ0lGSUVEEAASFQoRUEhPVE9fS0lORF9TRUxGSUUQARIXChNQSE9UT19LSU5EX0lEX0ZST05UEAIqgwEKDkxpdmVuZXNzUG9saWN5Eh8KG0xJVkVORVNTX1BPTElDWV9VTlNQRUNJRklFRBAAEhoKFkxJVkVORVNTX1BPTElDWV9SRVBPUlQQARIbChdMSVZFTkVTU19QT0xJQ1lfUkVRVUlSRRACEhcKE0xJVkVORVNTX1BPTElDWV9SVU4QAyrGAQoKTWF0Y2hTdGF0ZRIbChdNQVRDSF9TVEFURV9VTlNQRUNJRklFRBAAEhgKFE1BVENIX1NUQVRFX0FDQ0VQVEVEEAESGAoUTUFUQ0hfU1RBVEVfVVBMT0FERUQQAhIaChZNQVRDSF9TVEFURV9QUk9DRVNTSU5HEAMSGAoUTUFUQ0hfU1RBVEVfRklOSVNIRUQQBBIWChJNQVRDSF9TVEFURV9GQUlMRUQQBRIZChVNQVRDSF9TVEFURV9DQU5DRUxMRUQQBip7CgpSZXNvbHV0aW9uEhoKFlJFU09MVVRJT05fVU5TUEVDSUZJRUQQABIWChJSRVNPTFVUSU9OX1NVQ0NFU1MQARIXChNSRVNPTFVUSU9OX0RFQ0xJTkVEEAISIAocUkVTT0xVVElPTl9PUEVSQVRPUl9SRVFVSVJFRBADMpwFCglGYWNlTWF0Y2gSQwoIUnVuTWF0Y2gSGi5mYWNlbWF0Y2gudjEuTWF0Y2hSZXF1ZXN0GhkuZmFjZW1hdGNoLnYxLk1hdGNoVXBkYXRlMAESPgoLQ3JlYXRlTWF0Y2gSGi5mYWNlbWF0Y2gudjEuTWF0Y2hSZXF1ZXN0GhMuZmFjZW1hdGNoLnYxLk1hdGNoEj4KCEdldE1hdGNoEh0uZmFjZW1hdGNoLnYxLkdldE1hdGNoUmVxdWVzdBoTLmZhY2VtYXRjaC52MS5NYXRjaBJACglXYWl0TWF0Y2gSHi5mYWNlbWF0Y2gudjEuV2FpdE1hdGNoUmVxdWVzdBoTLmZhY2VtYXRjaC52MS5NYXRjaBJKCgpXYXRjaE1hdGNoEh8uZmFjZW1hdGNoLnYxLldhdGNoTWF0Y2hSZXF1ZXN0GhkuZmFjZW1hdGNoLnYxLk1hdGNoVXBkYXRlMAESTgoMV2F0Y2hNYXRjaGVzEiEuZmFjZW1hdGNoLnYxLldhdGNoTWF0Y2hlc1JlcXVlc3QaGS5mYWNlbWF0Y2gudjEuTWF0Y2hVcGRhdGUwARJSCgtMaXN0TWF0Y2hlcxIgLmZhY2VtYXRjaC52MS5MaXN0TWF0Y2hlc1JlcXVlc3QaIS5mYWNlbWF0Y2gudjEuTGlzdE1hdGNoZXNSZXNwb25zZRJECgtDYW5jZWxNYXRjaBIgLmZhY2VtYXRjaC52MS5DYW5jZWxNYXRjaFJlcXVlc3QaEy5mYWNlbWF0Y2gudjEuTWF0Y2gSUgoLRGVsZXRlTWF0Y2gSIC5mYWNlbWF0Y2gudjEuRGVsZXRlTWF0Y2hSZXF1ZXN0GiEuZmFjZW1hdGNoLnYxLkRlbGV0ZU1hdGNoUmVzcG9uc2VCdgoQZGV2LmZhY2VtYXRjaC52MUIORmFjZU1hdGNoUHJvdG9QAVpBZ2l0aHViLmNvbS9mYWNlbWF0Y2gvZmFjZW1hdGNoL2NsaWVudHMvZ28vZmFjZW1hdGNodjE7ZmFjZW1hdGNodjGqAgxGYWNlTWF0Y2guVjFiBnByb3RvMw", [file_google_protobuf_duration, file_google_protobuf_timestamp]);

/**
 * What to match: a photo against the liveness media of an Oz folder.
 *
 * @generated from message facematch.v1.MatchRequest
 */
export type MatchRequest = Message<"facematch.v1.MatchRequest"> & {
  /**
   * The caller's own id of the match, which makes the call idempotent: the same id with the same
   * content is the same match, as long as that match exists. Optional, but strongly recommended;
   * 1 to 128 printable ASCII characters, including space.
   * The same id with different content is refused: ALREADY_EXISTS, REQUEST_ID_REUSED.
   *
   * @generated from field: string request_id = 1;
   */
  requestId: string;

  /**
   * The Oz folder that holds the person's liveness media. Required; a UUID.
   *
   * @generated from field: string folder_id = 2;
   */
  folderId: string;

  /**
   * The photo to compare with the liveness media. Required.
   *
   * @generated from field: facematch.v1.ReferencePhoto photo = 3;
   */
  photo?: ReferencePhoto | undefined;

  /**
   * How long the match may take in total, counted from its create_time. Optional; more than 0 and
   * at most 24 h. Unset: the server's --match-timeout, which is 20 min by default, since Oz may
   * take 16 min. When it passes, the match ends as FAILED with DEADLINE_EXCEEDED, MATCH_TIMED_OUT.
   * The deadline of the call is independent of it.
   *
   * @generated from field: google.protobuf.Duration timeout = 4;
   */
  timeout?: Duration | undefined;

  /**
   * The liveness media of the folder to compare the photo with. Optional; at most 8 UUIDs, whose
   * order and repetitions don't matter. Empty: the newest liveness media of the folder.
   *
   * @generated from field: repeated string liveness_media_ids = 5;
   */
  livenessMediaIds: string[];

  /**
   * How the match uses the folder's liveness (QUALITY) analysis. Optional; unset means
   * LIVENESS_POLICY_REPORT.
   *
   * @generated from field: facematch.v1.LivenessPolicy liveness_policy = 6;
   */
  livenessPolicy: LivenessPolicy;

  /**
   * The caller's own labels, by which ListMatches and WatchMatches select matches. Optional; at
   * most 16, with keys of 1 to 64 characters and values of up to 256, without control characters.
   * Never put personal data here: labels are stored as they are.
   *
   * @generated from field: map<string, string> labels = 7;
   */
  labels: { [key: string]: string };

  /**
   * Whether RunMatch also sends progress updates. Optional; CreateMatch ignores it. It isn't part
   * of the content that is compared when a request_id is repeated.
   *
   * @generated from field: bool include_progress = 8;
   */
  includeProgress: boolean;
};

/**
 * Describes the message facematch.v1.MatchRequest.
 * Use `create(MatchRequestSchema)` to create a new message.
 */
export const MatchRequestSchema: GenMessage<MatchRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 0);

/**
 * The photo of the person to look for, and its kind.
 *
 * @generated from message facematch.v1.ReferencePhoto
 */
export type ReferencePhoto = Message<"facematch.v1.ReferencePhoto"> & {
  /**
   * The source of the photo. Exactly one is required.
   *
   * @generated from oneof facematch.v1.ReferencePhoto.source
   */
  source: {
    /**
     * The photo itself: a complete JPEG or PNG of at most 10 MiB (10,485,760 bytes), with 1 to
     * 20,000 pixels per side and at most 100 million pixels in total. A photo that common decoders
     * accept is accepted, and uploaded unchanged. It is kept only in memory, until Oz has it.
     *
     * @generated from field: bytes content = 1;
     */
    value: Uint8Array;
    case: "content";
  } | {
    /**
     * The key of a photo in the operator's photo library: 1 to 512 bytes without control
     * characters. The server reads the photo there when it is due, and uploads it unchanged; the
     * same limits hold as for "content". Where the library is a folder or an object store, the key
     * is a path below it, without empty segments, "." and "..", and without "/" in front. In a
     * tenant without a library the call is refused: UNIMPLEMENTED, NOT_AVAILABLE. If the library
     * has no such photo, the match fails: REFERENCE_NOT_FOUND.
     *
     * @generated from field: string reference_key = 2;
     */
    value: string;
    case: "referenceKey";
  } | {
    /**
     * Oz's id of a photo that the folder already holds, such as an ID document captured by the SDK:
     * a UUID. Nothing is uploaded.
     *
     * @generated from field: string folder_media_id = 3;
     */
    value: string;
    case: "folderMediaId";
  } | { case: undefined; value?: undefined };

  /**
   * What the photo shows, which decides its tags at Oz. Optional; unset means PHOTO_KIND_SELFIE.
   *
   * @generated from field: facematch.v1.PhotoKind kind = 4;
   */
  kind: PhotoKind;

  /**
   * Accepted for the convenience of callers and dropped: it has no effect, and is never logged or
   * stored. Optional; at most 255 characters.
   *
   * @generated from field: string file_name = 5;
   */
  fileName: string;
};

/**
 * Describes the message facematch.v1.ReferencePhoto.
 * Use `create(ReferencePhotoSchema)` to create a new message.
 */
export const ReferencePhotoSchema: GenMessage<ReferencePhoto> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 1);

/**
 * A match, as of its last durable update.
 *
 * @generated from message facematch.v1.Match
 */
export type Match = Message<"facematch.v1.Match"> & {
  /**
   * The server's id of the match: a UUIDv7.
   *
   * @generated from field: string match_id = 1;
   */
  matchId: string;

  /**
   * The caller's own id of the match. Empty if the request had none.
   *
   * @generated from field: string request_id = 2;
   */
  requestId: string;

  /**
   * The id of the Oz folder: a UUID in lower case.
   *
   * @generated from field: string folder_id = 3;
   */
  folderId: string;

  /**
   * The state of the match.
   *
   * @generated from field: facematch.v1.MatchState state = 4;
   */
  state: MatchState;

  /**
   * The number of the last durable update: 1 or more.
   *
   * @generated from field: uint64 sequence = 5;
   */
  sequence: bigint;

  /**
   * Oz's id of the reference photo. Empty before UPLOADED.
   *
   * @generated from field: string photo_media_id = 6;
   */
  photoMediaId: string;

  /**
   * Oz's id of the BIOMETRY analysis. Empty before PROCESSING.
   *
   * @generated from field: string analysis_id = 7;
   */
  analysisId: string;

  /**
   * The verdict. Set only if FINISHED.
   *
   * @generated from field: facematch.v1.MatchResult result = 8;
   */
  result?: MatchResult | undefined;

  /**
   * The reason why there is no verdict. Set only if FAILED.
   *
   * @generated from field: facematch.v1.MatchError error = 9;
   */
  error?: MatchError | undefined;

  /**
   * The labels of the request.
   *
   * @generated from field: map<string, string> labels = 10;
   */
  labels: { [key: string]: string };

  /**
   * When the match was accepted.
   *
   * @generated from field: google.protobuf.Timestamp create_time = 11;
   */
  createTime?: Timestamp | undefined;

  /**
   * When the last update became durable.
   *
   * @generated from field: google.protobuf.Timestamp update_time = 12;
   */
  updateTime?: Timestamp | undefined;

  /**
   * When the match ended. Unset while it runs.
   *
   * @generated from field: google.protobuf.Timestamp end_time = 13;
   */
  endTime?: Timestamp | undefined;

  /**
   * When the match will be erased. Unset while it runs.
   *
   * @generated from field: google.protobuf.Timestamp expire_time = 14;
   */
  expireTime?: Timestamp | undefined;

  /**
   * Oz's own words about the analysis, as of the last durable update. Unset before PROCESSING.
   *
   * @generated from field: facematch.v1.OzStatus oz = 15;
   */
  oz?: OzStatus | undefined;

  /**
   * When the match ends as FAILED (MATCH_TIMED_OUT) unless it ends earlier. Unset once it has
   * ended.
   *
   * @generated from field: google.protobuf.Timestamp deadline = 16;
   */
  deadline?: Timestamp | undefined;

  /**
   * The present trouble at Oz. Set while the last durable update is attempt_failed, so that callers
   * that poll see the same as watchers. The match keeps trying until its deadline.
   *
   * @generated from field: facematch.v1.Trouble trouble = 17;
   */
  trouble?: Trouble | undefined;

  /**
   * The policy that applies; never unspecified.
   *
   * @generated from field: facematch.v1.LivenessPolicy liveness_policy = 18;
   */
  livenessPolicy: LivenessPolicy;

  /**
   * What the photo shows; never unspecified.
   *
   * @generated from field: facematch.v1.PhotoKind photo_kind = 19;
   */
  photoKind: PhotoKind;

  /**
   * Oz's ids of the liveness media that the photo is compared with. Set from the start if the
   * request named them, otherwise from UPLOADED on. Empty before.
   *
   * @generated from field: repeated string liveness_media_ids = 20;
   */
  livenessMediaIds: string[];

  /**
   * Oz's id of the QUALITY analysis of the match. With LIVENESS_POLICY_RUN, this is the analysis
   * that the match has started, set from PROCESSING on. With the other policies, it is the analysis
   * that the match has read, set from UPLOADED on. Empty before, and if there is none.
   *
   * @generated from field: string liveness_analysis_id = 21;
   */
  livenessAnalysisId: string;
};

/**
 * Describes the message facematch.v1.Match.
 * Use `create(MatchSchema)` to create a new message.
 */
export const MatchSchema: GenMessage<Match> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 2);

/**
 * Trouble at Oz that a match waits to pass.
 *
 * @generated from message facematch.v1.Trouble
 */
export type Trouble = Message<"facematch.v1.Trouble"> & {
  /**
   * A stable word for the cause, such as OZ_UNREACHABLE. docs/errors.md lists all causes.
   *
   * @generated from field: string cause = 1;
   */
  cause: string;

  /**
   * A sentence for people. It never holds personal data.
   *
   * @generated from field: string message = 2;
   */
  message: string;

  /**
   * When the trouble began: the time of the first attempt_failed update in the unbroken row of such
   * updates that ends with the present one.
   *
   * @generated from field: google.protobuf.Timestamp since = 3;
   */
  since?: Timestamp | undefined;

  /**
   * When the next attempt after the failed one was due. It may be in the past, since a further
   * failure with the same cause makes no new update.
   *
   * @generated from field: google.protobuf.Timestamp next_attempt_time = 4;
   */
  nextAttemptTime?: Timestamp | undefined;

  /**
   * Variable parts, such as oz.http_status.
   *
   * @generated from field: map<string, string> metadata = 5;
   */
  metadata: { [key: string]: string };
};

/**
 * Describes the message facematch.v1.Trouble.
 * Use `create(TroubleSchema)` to create a new message.
 */
export const TroubleSchema: GenMessage<Trouble> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 3);

/**
 * The verdict of a finished match.
 *
 * @generated from message facematch.v1.MatchResult
 */
export type MatchResult = Message<"facematch.v1.MatchResult"> & {
  /**
   * Oz's decision; never unspecified.
   *
   * @generated from field: facematch.v1.Resolution resolution = 1;
   */
  resolution: Resolution;

  /**
   * The similarity of the least similar pair, from 0 to 1. This number decides. Always set.
   *
   * @generated from field: optional double min_confidence = 2;
   */
  minConfidence?: number | undefined;

  /**
   * The similarity of the most similar pair, from 0 to 1. Unset if Oz gave none.
   *
   * @generated from field: optional double max_confidence = 3;
   */
  maxConfidence?: number | undefined;

  /**
   * The result of a QUALITY analysis of the liveness media. Unset if there is none to report.
   *
   * @generated from field: facematch.v1.LivenessResult liveness = 4;
   */
  liveness?: LivenessResult | undefined;
};

/**
 * Describes the message facematch.v1.MatchResult.
 * Use `create(MatchResultSchema)` to create a new message.
 */
export const MatchResultSchema: GenMessage<MatchResult> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 4);

/**
 * The result of a QUALITY (liveness) analysis.
 *
 * @generated from message facematch.v1.LivenessResult
 */
export type LivenessResult = Message<"facematch.v1.LivenessResult"> & {
  /**
   * SUCCESS: a living person. DECLINED: an attack. Unspecified: the analysis failed.
   *
   * @generated from field: facematch.v1.Resolution resolution = 1;
   */
  resolution: Resolution;

  /**
   * The likelihood of an attack, from 0 to 1; the highest one if there are several. Unset if Oz
   * gave none.
   *
   * @generated from field: optional double confidence_spoofing = 2;
   */
  confidenceSpoofing?: number | undefined;

  /**
   * Oz's id of the QUALITY analysis.
   *
   * @generated from field: string analysis_id = 3;
   */
  analysisId: string;
};

/**
 * Describes the message facematch.v1.LivenessResult.
 * Use `create(LivenessResultSchema)` to create a new message.
 */
export const LivenessResultSchema: GenMessage<LivenessResult> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 5);

/**
 * The reason why a match FAILED.
 *
 * @generated from message facematch.v1.MatchError
 */
export type MatchError = Message<"facematch.v1.MatchError"> & {
  /**
   * The number of a gRPC status code, for instance 4 for DEADLINE_EXCEEDED.
   *
   * @generated from field: int32 code = 1;
   */
  code: number;

  /**
   * A stable word, such as OZ_FOLDER_NOT_FOUND. docs/errors.md lists all reasons.
   *
   * @generated from field: string reason = 2;
   */
  reason: string;

  /**
   * A sentence for people. It never holds personal data.
   *
   * @generated from field: string message = 3;
   */
  message: string;

  /**
   * Whether a new match with a new request_id may succeed, without any other change.
   *
   * @generated from field: bool retryable = 4;
   */
  retryable: boolean;

  /**
   * Variable parts, such as oz.http_status, oz.error_code, oz.error_message and oz.state.
   *
   * @generated from field: map<string, string> metadata = 5;
   */
  metadata: { [key: string]: string };
};

/**
 * Describes the message facematch.v1.MatchError.
 * Use `create(MatchErrorSchema)` to create a new message.
 */
export const MatchErrorSchema: GenMessage<MatchError> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 6);

/**
 * Oz's own words about the BIOMETRY analysis, unchanged, as of the last durable update. A poll that
 * brings nothing new is not stored.
 *
 * @generated from message facematch.v1.OzStatus
 */
export type OzStatus = Message<"facematch.v1.OzStatus"> & {
  /**
   * Oz's `state`, for instance PROCESSING.
   *
   * @generated from field: string state = 1;
   */
  state: string;

  /**
   * Oz's `resolution`.
   *
   * @generated from field: string resolution = 2;
   */
  resolution: string;

  /**
   * Oz's `resolution_status`.
   *
   * @generated from field: string resolution_status = 3;
   */
  resolutionStatus: string;

  /**
   * How often the analysis had been polled. Polls by a server that has crashed since may be
   * missing.
   *
   * @generated from field: uint64 polls = 4;
   */
  polls: bigint;

  /**
   * When the analysis was last polled. Unset before the first poll.
   *
   * @generated from field: google.protobuf.Timestamp last_poll_time = 5;
   */
  lastPollTime?: Timestamp | undefined;
};

/**
 * Describes the message facematch.v1.OzStatus.
 * Use `create(OzStatusSchema)` to create a new message.
 */
export const OzStatusSchema: GenMessage<OzStatus> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 7);

/**
 * Names one match by either id.
 *
 * @generated from message facematch.v1.GetMatchRequest
 */
export type GetMatchRequest = Message<"facematch.v1.GetMatchRequest"> & {
  /**
   * The match. Exactly one id is required.
   *
   * @generated from oneof facematch.v1.GetMatchRequest.id
   */
  id: {
    /**
     * The server's id of the match: a UUID.
     *
     * @generated from field: string match_id = 1;
     */
    value: string;
    case: "matchId";
  } | {
    /**
     * The caller's own id of the match: 1 to 128 printable ASCII characters.
     *
     * @generated from field: string request_id = 2;
     */
    value: string;
    case: "requestId";
  } | { case: undefined; value?: undefined };
};

/**
 * Describes the message facematch.v1.GetMatchRequest.
 * Use `create(GetMatchRequestSchema)` to create a new message.
 */
export const GetMatchRequestSchema: GenMessage<GetMatchRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 8);

/**
 * Names one match, and how long to wait for its end.
 *
 * @generated from message facematch.v1.WaitMatchRequest
 */
export type WaitMatchRequest = Message<"facematch.v1.WaitMatchRequest"> & {
  /**
   * The match. Exactly one id is required.
   *
   * @generated from oneof facematch.v1.WaitMatchRequest.id
   */
  id: {
    /**
     * The server's id of the match: a UUID.
     *
     * @generated from field: string match_id = 1;
     */
    value: string;
    case: "matchId";
  } | {
    /**
     * The caller's own id of the match: 1 to 128 printable ASCII characters.
     *
     * @generated from field: string request_id = 2;
     */
    value: string;
    case: "requestId";
  } | { case: undefined; value?: undefined };

  /**
   * How long to wait. Unset: 30 s. 0 returns at once. More than 10 min, or less than 0, is refused.
   *
   * @generated from field: google.protobuf.Duration timeout = 3;
   */
  timeout?: Duration | undefined;
};

/**
 * Describes the message facematch.v1.WaitMatchRequest.
 * Use `create(WaitMatchRequestSchema)` to create a new message.
 */
export const WaitMatchRequestSchema: GenMessage<WaitMatchRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 9);

/**
 * Names one match, and the update after which its stream begins.
 *
 * @generated from message facematch.v1.WatchMatchRequest
 */
export type WatchMatchRequest = Message<"facematch.v1.WatchMatchRequest"> & {
  /**
   * The match. Exactly one id is required.
   *
   * @generated from oneof facematch.v1.WatchMatchRequest.id
   */
  id: {
    /**
     * The server's id of the match: a UUID.
     *
     * @generated from field: string match_id = 1;
     */
    value: string;
    case: "matchId";
  } | {
    /**
     * The caller's own id of the match: 1 to 128 printable ASCII characters.
     *
     * @generated from field: string request_id = 2;
     */
    value: string;
    case: "requestId";
  } | { case: undefined; value?: undefined };

  /**
   * The sequence of the last update that the caller has received; 0 streams all updates. A sequence
   * that the match hasn't reached is refused: OUT_OF_RANGE, WATCH_AHEAD.
   *
   * @generated from field: uint64 after_sequence = 3;
   */
  afterSequence: bigint;

  /**
   * Whether to send progress updates as well.
   *
   * @generated from field: bool include_progress = 4;
   */
  includeProgress: boolean;
};

/**
 * Describes the message facematch.v1.WatchMatchRequest.
 * Use `create(WatchMatchRequestSchema)` to create a new message.
 */
export const WatchMatchRequestSchema: GenMessage<WatchMatchRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 10);

/**
 * Selects matches, and the point from which their updates are streamed.
 *
 * @generated from message facematch.v1.WatchMatchesRequest
 */
export type WatchMatchesRequest = Message<"facematch.v1.WatchMatchesRequest"> & {
  /**
   * Empty: only updates from now on. "earliest": from the oldest retained update on. Otherwise the
   * resume_token of the last update or heartbeat that the caller has processed.
   *
   * @generated from field: string resume_token = 1;
   */
  resumeToken: string;

  /**
   * Only matches of this Oz folder. Optional; a UUID.
   *
   * @generated from field: string folder_id = 2;
   */
  folderId: string;

  /**
   * Only matches that have all of these labels. Optional; limits as in MatchRequest.
   *
   * @generated from field: map<string, string> labels = 3;
   */
  labels: { [key: string]: string };
};

/**
 * Describes the message facematch.v1.WatchMatchesRequest.
 * Use `create(WatchMatchesRequestSchema)` to create a new message.
 */
export const WatchMatchesRequestSchema: GenMessage<WatchMatchesRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 11);

/**
 * Selects matches for a page.
 *
 * @generated from message facematch.v1.ListMatchesRequest
 */
export type ListMatchesRequest = Message<"facematch.v1.ListMatchesRequest"> & {
  /**
   * The most matches on a page. 0 means 50; more than 1,000 means 1,000; a negative number is
   * refused. A page may have fewer matches, or none, and still have a token: only a page without a
   * token is the last. So a page never exceeds the default message limit of clients, and its cost
   * doesn't depend on the number of retained matches.
   *
   * @generated from field: int32 page_size = 1;
   */
  pageSize: number;

  /**
   * The next_page_token of the previous page; all filters must be the same. Empty: the first page.
   *
   * @generated from field: string page_token = 2;
   */
  pageToken: string;

  /**
   * Only matches of this Oz folder. Optional; a UUID.
   *
   * @generated from field: string folder_id = 3;
   */
  folderId: string;

  /**
   * Only matches that have all of these labels. Optional; limits as in MatchRequest.
   *
   * @generated from field: map<string, string> labels = 4;
   */
  labels: { [key: string]: string };

  /**
   * Only matches in one of these states. Optional; empty means any state.
   *
   * @generated from field: repeated facematch.v1.MatchState states = 5;
   */
  states: MatchState[];

  /**
   * Only matches accepted at this time or later. Optional.
   *
   * @generated from field: google.protobuf.Timestamp created_after = 6;
   */
  createdAfter?: Timestamp | undefined;

  /**
   * Only matches accepted before this time. Optional.
   *
   * @generated from field: google.protobuf.Timestamp created_before = 7;
   */
  createdBefore?: Timestamp | undefined;
};

/**
 * Describes the message facematch.v1.ListMatchesRequest.
 * Use `create(ListMatchesRequestSchema)` to create a new message.
 */
export const ListMatchesRequestSchema: GenMessage<ListMatchesRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 12);

/**
 * A page of matches.
 *
 * @generated from message facematch.v1.ListMatchesResponse
 */
export type ListMatchesResponse = Message<"facematch.v1.ListMatchesResponse"> & {
  /**
   * The matches, newest first. The list may be empty although there are further pages: a page ends
   * after the server has looked at enough matches, however few of them the filters select.
   *
   * @generated from field: repeated facematch.v1.Match matches = 1;
   */
  matches: Match[];

  /**
   * The token of the next page. Empty on the last page, and only there.
   *
   * @generated from field: string next_page_token = 2;
   */
  nextPageToken: string;
};

/**
 * Describes the message facematch.v1.ListMatchesResponse.
 * Use `create(ListMatchesResponseSchema)` to create a new message.
 */
export const ListMatchesResponseSchema: GenMessage<ListMatchesResponse> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 13);

/**
 * Names the match to cancel.
 *
 * @generated from message facematch.v1.CancelMatchRequest
 */
export type CancelMatchRequest = Message<"facematch.v1.CancelMatchRequest"> & {
  /**
   * The match. Exactly one id is required.
   *
   * @generated from oneof facematch.v1.CancelMatchRequest.id
   */
  id: {
    /**
     * The server's id of the match: a UUID.
     *
     * @generated from field: string match_id = 1;
     */
    value: string;
    case: "matchId";
  } | {
    /**
     * The caller's own id of the match: 1 to 128 printable ASCII characters.
     *
     * @generated from field: string request_id = 2;
     */
    value: string;
    case: "requestId";
  } | { case: undefined; value?: undefined };
};

/**
 * Describes the message facematch.v1.CancelMatchRequest.
 * Use `create(CancelMatchRequestSchema)` to create a new message.
 */
export const CancelMatchRequestSchema: GenMessage<CancelMatchRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 14);

/**
 * Names the match to erase.
 *
 * @generated from message facematch.v1.DeleteMatchRequest
 */
export type DeleteMatchRequest = Message<"facematch.v1.DeleteMatchRequest"> & {
  /**
   * The match. Exactly one id is required.
   *
   * @generated from oneof facematch.v1.DeleteMatchRequest.id
   */
  id: {
    /**
     * The server's id of the match: a UUID.
     *
     * @generated from field: string match_id = 1;
     */
    value: string;
    case: "matchId";
  } | {
    /**
     * The caller's own id of the match: 1 to 128 printable ASCII characters.
     *
     * @generated from field: string request_id = 2;
     */
    value: string;
    case: "requestId";
  } | { case: undefined; value?: undefined };
};

/**
 * Describes the message facematch.v1.DeleteMatchRequest.
 * Use `create(DeleteMatchRequestSchema)` to create a new message.
 */
export const DeleteMatchRequestSchema: GenMessage<DeleteMatchRequest> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 15);

/**
 * Confirms that a match was erased.
 *
 * @generated from message facematch.v1.DeleteMatchResponse
 */
export type DeleteMatchResponse = Message<"facematch.v1.DeleteMatchResponse"> & {
  /**
   * The server's id of the erased match.
   *
   * @generated from field: string match_id = 1;
   */
  matchId: string;

  /**
   * When the match was erased.
   *
   * @generated from field: google.protobuf.Timestamp delete_time = 2;
   */
  deleteTime?: Timestamp | undefined;

  /**
   * Oz's id of the match's reference photo, which stays at Oz. This answer is the last chance to
   * note the id. Empty if the match ended before the photo was at Oz.
   *
   * @generated from field: string photo_media_id = 3;
   */
  photoMediaId: string;
};

/**
 * Describes the message facematch.v1.DeleteMatchResponse.
 * Use `create(DeleteMatchResponseSchema)` to create a new message.
 */
export const DeleteMatchResponseSchema: GenMessage<DeleteMatchResponse> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 16);

/**
 * One update of one match, or a heartbeat.
 *
 * The first seven events are durable. A durable update is sent only after it is committed. The
 * durable updates of each match are numbered 1, 2, 3 … without a gap. When a stream is resumed,
 * they are repeated unchanged, except for the resume_token. Progress and heartbeat are not durable:
 * they carry the sequence of the last durable update. An update without an event is of a kind that
 * a later version added.
 *
 * @generated from message facematch.v1.MatchUpdate
 */
export type MatchUpdate = Message<"facematch.v1.MatchUpdate"> & {
  /**
   * The server's id of the match. Empty in a heartbeat of WatchMatches.
   *
   * @generated from field: string match_id = 1;
   */
  matchId: string;

  /**
   * The number of the update. 0 in a heartbeat of WatchMatches.
   *
   * @generated from field: uint64 sequence = 2;
   */
  sequence: bigint;

  /**
   * When the update became durable; for progress and heartbeats, when it was sent.
   *
   * @generated from field: google.protobuf.Timestamp time = 3;
   */
  time?: Timestamp | undefined;

  /**
   * The match after this update. Most callers need nothing else. Unset in a heartbeat of
   * WatchMatches.
   *
   * @generated from field: facematch.v1.Match match = 4;
   */
  match?: Match | undefined;

  /**
   * The token with which WatchMatches resumes after this update. Opaque. Set in every durable
   * update and in heartbeats of WatchMatches.
   *
   * @generated from field: string resume_token = 5;
   */
  resumeToken: string;

  /**
   * What has happened.
   *
   * @generated from oneof facematch.v1.MatchUpdate.event
   */
  event: {
    /**
     * The match is in the journal.
     *
     * @generated from field: facematch.v1.Accepted accepted = 6;
     */
    value: Accepted;
    case: "accepted";
  } | {
    /**
     * The photo is at Oz.
     *
     * @generated from field: facematch.v1.PhotoUploaded photo_uploaded = 7;
     */
    value: PhotoUploaded;
    case: "photoUploaded";
  } | {
    /**
     * The analysis runs at Oz.
     *
     * @generated from field: facematch.v1.AnalysisStarted analysis_started = 8;
     */
    value: AnalysisStarted;
    case: "analysisStarted";
  } | {
    /**
     * There is trouble at Oz. The match keeps trying until its deadline.
     *
     * @generated from field: facematch.v1.AttemptFailed attempt_failed = 9;
     */
    value: AttemptFailed;
    case: "attemptFailed";
  } | {
    /**
     * The match has a verdict. This is its last update.
     *
     * @generated from field: facematch.v1.Finished finished = 10;
     */
    value: Finished;
    case: "finished";
  } | {
    /**
     * The match has ended without a verdict. This is its last update.
     *
     * @generated from field: facematch.v1.Failed failed = 11;
     */
    value: Failed;
    case: "failed";
  } | {
    /**
     * A caller has cancelled the match. This is its last update.
     *
     * @generated from field: facematch.v1.Cancelled cancelled = 12;
     */
    value: Cancelled;
    case: "cancelled";
  } | {
    /**
     * The progress of the match, best effort. Sent only with include_progress.
     *
     * @generated from field: facematch.v1.Progress progress = 13;
     */
    value: Progress;
    case: "progress";
  } | {
    /**
     * The stream is alive, and nothing has happened for a while.
     *
     * @generated from field: facematch.v1.Heartbeat heartbeat = 14;
     */
    value: Heartbeat;
    case: "heartbeat";
  } | { case: undefined; value?: undefined };
};

/**
 * Describes the message facematch.v1.MatchUpdate.
 * Use `create(MatchUpdateSchema)` to create a new message.
 */
export const MatchUpdateSchema: GenMessage<MatchUpdate> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 17);

/**
 * The match was accepted.
 *
 * @generated from message facematch.v1.Accepted
 */
export type Accepted = Message<"facematch.v1.Accepted"> & {
  /**
   * When the match ends as FAILED (MATCH_TIMED_OUT) unless it ends earlier.
   *
   * @generated from field: google.protobuf.Timestamp deadline = 1;
   */
  deadline?: Timestamp | undefined;
};

/**
 * Describes the message facematch.v1.Accepted.
 * Use `create(AcceptedSchema)` to create a new message.
 */
export const AcceptedSchema: GenMessage<Accepted> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 18);

/**
 * The photo is at Oz, or was found there.
 *
 * @generated from message facematch.v1.PhotoUploaded
 */
export type PhotoUploaded = Message<"facematch.v1.PhotoUploaded"> & {
  /**
   * Oz's id of the photo.
   *
   * @generated from field: string photo_media_id = 1;
   */
  photoMediaId: string;

  /**
   * Oz's ids of the liveness media that the photo is compared with.
   *
   * @generated from field: repeated string liveness_media_ids = 2;
   */
  livenessMediaIds: string[];
};

/**
 * Describes the message facematch.v1.PhotoUploaded.
 * Use `create(PhotoUploadedSchema)` to create a new message.
 */
export const PhotoUploadedSchema: GenMessage<PhotoUploaded> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 19);

/**
 * The analysis runs at Oz.
 *
 * @generated from message facematch.v1.AnalysisStarted
 */
export type AnalysisStarted = Message<"facematch.v1.AnalysisStarted"> & {
  /**
   * Oz's id of the BIOMETRY analysis.
   *
   * @generated from field: string analysis_id = 1;
   */
  analysisId: string;

  /**
   * Oz's id of the QUALITY analysis. Set only with LIVENESS_POLICY_RUN.
   *
   * @generated from field: string liveness_analysis_id = 2;
   */
  livenessAnalysisId: string;
};

/**
 * Describes the message facematch.v1.AnalysisStarted.
 * Use `create(AnalysisStartedSchema)` to create a new message.
 */
export const AnalysisStartedSchema: GenMessage<AnalysisStarted> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 20);

/**
 * Trouble at Oz has begun, or its cause has changed.
 *
 * @generated from message facematch.v1.AttemptFailed
 */
export type AttemptFailed = Message<"facematch.v1.AttemptFailed"> & {
  /**
   * A stable word for the cause, such as OZ_UNREACHABLE. docs/errors.md lists all causes.
   *
   * @generated from field: string cause = 1;
   */
  cause: string;

  /**
   * A sentence for people. It never holds personal data.
   *
   * @generated from field: string message = 2;
   */
  message: string;

  /**
   * When the next attempt is due.
   *
   * @generated from field: google.protobuf.Timestamp next_attempt_time = 3;
   */
  nextAttemptTime?: Timestamp | undefined;

  /**
   * Variable parts, such as oz.http_status.
   *
   * @generated from field: map<string, string> metadata = 4;
   */
  metadata: { [key: string]: string };
};

/**
 * Describes the message facematch.v1.AttemptFailed.
 * Use `create(AttemptFailedSchema)` to create a new message.
 */
export const AttemptFailedSchema: GenMessage<AttemptFailed> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 21);

/**
 * The match has a verdict.
 *
 * @generated from message facematch.v1.Finished
 */
export type Finished = Message<"facematch.v1.Finished"> & {
  /**
   * The same as match.result.
   *
   * @generated from field: facematch.v1.MatchResult result = 1;
   */
  result?: MatchResult | undefined;
};

/**
 * Describes the message facematch.v1.Finished.
 * Use `create(FinishedSchema)` to create a new message.
 */
export const FinishedSchema: GenMessage<Finished> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 22);

/**
 * The match has ended without a verdict.
 *
 * @generated from message facematch.v1.Failed
 */
export type Failed = Message<"facematch.v1.Failed"> & {
  /**
   * The same as match.error.
   *
   * @generated from field: facematch.v1.MatchError error = 1;
   */
  error?: MatchError | undefined;
};

/**
 * Describes the message facematch.v1.Failed.
 * Use `create(FailedSchema)` to create a new message.
 */
export const FailedSchema: GenMessage<Failed> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 23);

/**
 * The match was cancelled.
 *
 * @generated from message facematch.v1.Cancelled
 */
export type Cancelled = Message<"facematch.v1.Cancelled"> & {
};

/**
 * Describes the message facematch.v1.Cancelled.
 * Use `create(CancelledSchema)` to create a new message.
 */
export const CancelledSchema: GenMessage<Cancelled> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 24);

/**
 * The progress of a match, as known to the replica that drives it.
 *
 * @generated from message facematch.v1.Progress
 */
export type Progress = Message<"facematch.v1.Progress"> & {
  /**
   * The bytes of the photo that the present attempt has sent to Oz.
   *
   * @generated from field: uint64 bytes_sent = 1;
   */
  bytesSent: bigint;

  /**
   * The size of the photo in bytes. 0 if there is no photo to send.
   *
   * @generated from field: uint64 bytes_total = 2;
   */
  bytesTotal: bigint;

  /**
   * How often the analysis has been polled.
   *
   * @generated from field: uint64 polls = 3;
   */
  polls: bigint;

  /**
   * How many requests to Oz have failed in a row. 0 if the last one succeeded.
   *
   * @generated from field: uint64 failed_attempts = 4;
   */
  failedAttempts: bigint;

  /**
   * The time since the match was accepted.
   *
   * @generated from field: google.protobuf.Duration elapsed = 5;
   */
  elapsed?: Duration | undefined;
};

/**
 * Describes the message facematch.v1.Progress.
 * Use `create(ProgressSchema)` to create a new message.
 */
export const ProgressSchema: GenMessage<Progress> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 25);

/**
 * Shows that a stream without news is alive. Sent after every interval of silence.
 *
 * @generated from message facematch.v1.Heartbeat
 */
export type Heartbeat = Message<"facematch.v1.Heartbeat"> & {
  /**
   * The longest normal silence of this stream: the server's --heartbeat, which is 20 s by default.
   * A stream that is silent for several intervals is dead: reopen it over a new connection.
   *
   * @generated from field: google.protobuf.Duration interval = 1;
   */
  interval?: Duration | undefined;
};

/**
 * Describes the message facematch.v1.Heartbeat.
 * Use `create(HeartbeatSchema)` to create a new message.
 */
export const HeartbeatSchema: GenMessage<Heartbeat> = /*@__PURE__*/
  messageDesc(file_facematch_v1_face_match, 26);

/**
 * What a reference photo shows.
 *
 * @generated from enum facematch.v1.PhotoKind
 */
export enum PhotoKind {
  /**
   * The same as PHOTO_KIND_SELFIE.
   *
   * @generated from enum value: PHOTO_KIND_UNSPECIFIED = 0;
   */
  UNSPECIFIED = 0,

  /**
   * A plain photo of a face. Its tag at Oz is photo_selfie.
   *
   * @generated from enum value: PHOTO_KIND_SELFIE = 1;
   */
  SELFIE = 1,

  /**
   * The front of an identity document. Its tags at Oz are photo_id and photo_id_front.
   *
   * @generated from enum value: PHOTO_KIND_ID_FRONT = 2;
   */
  ID_FRONT = 2,
}

/**
 * Describes the enum facematch.v1.PhotoKind.
 */
export const PhotoKindSchema: GenEnum<PhotoKind> = /*@__PURE__*/
  enumDesc(file_facematch_v1_face_match, 0);

/**
 * How a match uses the folder's QUALITY (liveness) analysis.
 *
 * A QUALITY analysis counts only if its source_media holds the liveness media that the match
 * compares.
 *
 * @generated from enum facematch.v1.LivenessPolicy
 */
export enum LivenessPolicy {
  /**
   * The same as LIVENESS_POLICY_REPORT.
   *
   * @generated from enum value: LIVENESS_POLICY_UNSPECIFIED = 0;
   */
  UNSPECIFIED = 0,

  /**
   * Report the result of the newest finished analysis, if there is one. It has no effect on the
   * match.
   *
   * @generated from enum value: LIVENESS_POLICY_REPORT = 1;
   */
  REPORT = 1,

  /**
   * Require that the newest analysis is SUCCESS with a score before the photo is sent. The match
   * waits for an analysis that is still PROCESSING. Otherwise the match ends as FAILED with
   * FAILED_PRECONDITION, LIVENESS_NOT_PASSED.
   *
   * @generated from enum value: LIVENESS_POLICY_REQUIRE = 2;
   */
  REQUIRE = 2,

  /**
   * Start a QUALITY analysis together with the BIOMETRY analysis. The match ends when both have
   * left PROCESSING. A failed QUALITY analysis is reported as unspecified and doesn't change the
   * verdict.
   *
   * @generated from enum value: LIVENESS_POLICY_RUN = 3;
   */
  RUN = 3,
}

/**
 * Describes the enum facematch.v1.LivenessPolicy.
 */
export const LivenessPolicySchema: GenEnum<LivenessPolicy> = /*@__PURE__*/
  enumDesc(file_facematch_v1_face_match, 1);

/**
 * The state of a match. Every state is durable.
 *
 * A match goes through ACCEPTED, UPLOADED and PROCESSING, in this order, and ends as FINISHED. From
 * any of these states it may end as FAILED or CANCELLED instead. An ended match never changes
 * again.
 *
 * @generated from enum facematch.v1.MatchState
 */
export enum MatchState {
  /**
   * Never sent by the server.
   *
   * @generated from enum value: MATCH_STATE_UNSPECIFIED = 0;
   */
  UNSPECIFIED = 0,

  /**
   * The match is in the journal. From here on it will end, even if servers crash.
   *
   * @generated from enum value: MATCH_STATE_ACCEPTED = 1;
   */
  ACCEPTED = 1,

  /**
   * The photo is at Oz. If the request named a folder_media_id, that photo was found in the folder.
   *
   * @generated from enum value: MATCH_STATE_UPLOADED = 2;
   */
  UPLOADED = 2,

  /**
   * Oz is working on the analysis.
   *
   * @generated from enum value: MATCH_STATE_PROCESSING = 3;
   */
  PROCESSING = 3,

  /**
   * Oz's analysis has ended with a resolution: see Match.result.
   *
   * @generated from enum value: MATCH_STATE_FINISHED = 4;
   */
  FINISHED = 4,

  /**
   * The match has ended without a verdict: see Match.error.
   *
   * @generated from enum value: MATCH_STATE_FAILED = 5;
   */
  FAILED = 5,

  /**
   * A caller has cancelled the match.
   *
   * @generated from enum value: MATCH_STATE_CANCELLED = 6;
   */
  CANCELLED = 6,
}

/**
 * Describes the enum facematch.v1.MatchState.
 */
export const MatchStateSchema: GenEnum<MatchState> = /*@__PURE__*/
  enumDesc(file_facematch_v1_face_match, 2);

/**
 * The decision of an analysis at Oz.
 *
 * @generated from enum facematch.v1.Resolution
 */
export enum Resolution {
  /**
   * There is no decision. It never means success.
   *
   * @generated from enum value: RESOLUTION_UNSPECIFIED = 0;
   */
  UNSPECIFIED = 0,

  /**
   * Biometry: the same person. Liveness: a living person.
   *
   * @generated from enum value: RESOLUTION_SUCCESS = 1;
   */
  SUCCESS = 1,

  /**
   * Biometry: another person. Liveness: an attack.
   *
   * @generated from enum value: RESOLUTION_DECLINED = 2;
   */
  DECLINED = 2,

  /**
   * Oz leaves the decision to an operator. The match ends here; it doesn't follow the operator's
   * later decision. Only biometry has this resolution.
   *
   * @generated from enum value: RESOLUTION_OPERATOR_REQUIRED = 3;
   */
  OPERATOR_REQUIRED = 3,
}

/**
 * Describes the enum facematch.v1.Resolution.
 */
export const ResolutionSchema: GenEnum<Resolution> = /*@__PURE__*/
  enumDesc(file_facematch_v1_face_match, 3);

/**
 * Runs biometric matches at Oz and reports their progress.
 *
 * A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
 * that tenant only. On a server without authentication there is one tenant for all calls.
 *
 * It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
 * CreateMatch only with a request_id.
 * A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
 * received, or with its token.
 *
 * @generated from service facematch.v1.FaceMatch
 */
export const FaceMatch: GenService<{
  /**
   * Accepts a match and streams all of its updates. The last update carries the verdict.
   *
   * Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
   * A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
   * with the same request_id instead, since a server that crashes loses the photo.
   * A repeat streams from the first update. A refused call has no effect and doesn't use up its
   * request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
   * accepted, which a repeat finds out.
   * Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
   * ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
   * RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
   * never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
   *
   * @generated from rpc facematch.v1.FaceMatch.RunMatch
   */
  runMatch: {
    methodKind: "server_streaming";
    input: typeof MatchRequestSchema;
    output: typeof MatchUpdateSchema;
  },
  /**
   * Accepts a match and returns once a crash of the server can't lose its photo any more.
   *
   * That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
   * The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
   * If the call's deadline passes first, the match continues: repeat the call with its request_id.
   * Errors: those of RunMatch, without UPDATES_UNREAD.
   *
   * @generated from rpc facematch.v1.FaceMatch.CreateMatch
   */
  createMatch: {
    methodKind: "unary";
    input: typeof MatchRequestSchema;
    output: typeof MatchSchema;
  },
  /**
   * Returns a match in its present state, which is never older than an update delivered before.
   *
   * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
   *
   * @generated from rpc facematch.v1.FaceMatch.GetMatch
   */
  getMatch: {
    methodKind: "unary";
    input: typeof GetMatchRequestSchema;
    output: typeof MatchSchema;
  },
  /**
   * Waits until a match has ended. For callers that can't stream.
   *
   * Returns the ended match. If the timeout passes first, returns the match in its present state,
   * also with OK.
   * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
   *
   * @generated from rpc facematch.v1.FaceMatch.WaitMatch
   */
  waitMatch: {
    methodKind: "unary";
    input: typeof WaitMatchRequestSchema;
    output: typeof MatchSchema;
  },
  /**
   * Streams the updates of a match after after_sequence: first the stored ones, then live ones.
   *
   * Each durable update is sent once and in order. The stream ends with OK after the last update of
   * the match.
   * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
   * erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
   * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
   *
   * @generated from rpc facematch.v1.FaceMatch.WatchMatch
   */
  watchMatch: {
    methodKind: "server_streaming";
    input: typeof WatchMatchRequestSchema;
    output: typeof MatchUpdateSchema;
  },
  /**
   * Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
   * itself.
   *
   * The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
   * erased matches are skipped. The filter may change between resumes.
   * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
   * RESOURCE_EXHAUSTED (UPDATES_UNREAD).
   *
   * @generated from rpc facematch.v1.FaceMatch.WatchMatches
   */
  watchMatches: {
    methodKind: "server_streaming";
    input: typeof WatchMatchesRequestSchema;
    output: typeof MatchUpdateSchema;
  },
  /**
   * Lists matches in pages, newest first.
   *
   * Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
   *
   * @generated from rpc facematch.v1.FaceMatch.ListMatches
   */
  listMatches: {
    methodKind: "unary";
    input: typeof ListMatchesRequestSchema;
    output: typeof ListMatchesResponseSchema;
  },
  /**
   * Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
   *
   * The server sends nothing more to Oz for the match, and undoes nothing there.
   * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
   * FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
   *
   * @generated from rpc facematch.v1.FaceMatch.CancelMatch
   */
  cancelMatch: {
    methodKind: "unary";
    input: typeof CancelMatchRequestSchema;
    output: typeof MatchSchema;
  },
  /**
   * Erases a match that has ended, immediately and permanently.
   *
   * Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
   * erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
   * treat that as success. If the request_id may belong to a new match by then, repeat with the
   * match_id: a repeat with the request_id would erase the new match.
   * Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
   * FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
   *
   * @generated from rpc facematch.v1.FaceMatch.DeleteMatch
   */
  deleteMatch: {
    methodKind: "unary";
    input: typeof DeleteMatchRequestSchema;
    output: typeof DeleteMatchResponseSchema;
  },
}> = /*@__PURE__*/
  serviceDesc(file_facematch_v1_face_match, 0);

