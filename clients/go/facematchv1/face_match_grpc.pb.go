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

// Code generated by protoc-gen-go-grpc. DO NOT EDIT.
// versions:
// - protoc-gen-go-grpc v1.6.2
// - protoc             (unknown)
// source: facematch/v1/face_match.proto

package facematchv1

import (
	context "context"
	grpc "google.golang.org/grpc"
	codes "google.golang.org/grpc/codes"
	status "google.golang.org/grpc/status"
)

// This is a compile-time assertion to ensure that this generated file
// is compatible with the grpc package it is being compiled against.
// Requires gRPC-Go v1.64.0 or later.
const _ = grpc.SupportPackageIsVersion9

const (
	FaceMatch_RunMatch_FullMethodName     = "/facematch.v1.FaceMatch/RunMatch"
	FaceMatch_CreateMatch_FullMethodName  = "/facematch.v1.FaceMatch/CreateMatch"
	FaceMatch_GetMatch_FullMethodName     = "/facematch.v1.FaceMatch/GetMatch"
	FaceMatch_WaitMatch_FullMethodName    = "/facematch.v1.FaceMatch/WaitMatch"
	FaceMatch_WatchMatch_FullMethodName   = "/facematch.v1.FaceMatch/WatchMatch"
	FaceMatch_WatchMatches_FullMethodName = "/facematch.v1.FaceMatch/WatchMatches"
	FaceMatch_ListMatches_FullMethodName  = "/facematch.v1.FaceMatch/ListMatches"
	FaceMatch_CancelMatch_FullMethodName  = "/facematch.v1.FaceMatch/CancelMatch"
	FaceMatch_DeleteMatch_FullMethodName  = "/facematch.v1.FaceMatch/DeleteMatch"
)

// FaceMatchClient is the client API for FaceMatch service.
//
// For semantics around ctx use and closing/ending streaming RPCs, please refer to https://pkg.go.dev/google.golang.org/grpc/?tab=doc#ClientConn.NewStream.
//
// Runs biometric matches at Oz and reports their progress.
//
// A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
// that tenant only. On a server without authentication there is one tenant for all calls.
//
// It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
// CreateMatch only with a request_id.
// A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
// received, or with its token.
type FaceMatchClient interface {
	// Accepts a match and streams all of its updates. The last update carries the verdict.
	//
	// Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
	// A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
	// with the same request_id instead, since a server that crashes loses the photo.
	// A repeat streams from the first update. A refused call has no effect and doesn't use up its
	// request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
	// accepted, which a repeat finds out.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
	// ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
	// RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
	// never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
	RunMatch(ctx context.Context, in *MatchRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[MatchUpdate], error)
	// Accepts a match and returns once a crash of the server can't lose its photo any more.
	//
	// That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
	// The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
	// If the call's deadline passes first, the match continues: repeat the call with its request_id.
	// Errors: those of RunMatch, without UPDATES_UNREAD.
	CreateMatch(ctx context.Context, in *MatchRequest, opts ...grpc.CallOption) (*Match, error)
	// Returns a match in its present state, which is never older than an update delivered before.
	//
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
	GetMatch(ctx context.Context, in *GetMatchRequest, opts ...grpc.CallOption) (*Match, error)
	// Waits until a match has ended. For callers that can't stream.
	//
	// Returns the ended match. If the timeout passes first, returns the match in its present state,
	// also with OK.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
	WaitMatch(ctx context.Context, in *WaitMatchRequest, opts ...grpc.CallOption) (*Match, error)
	// Streams the updates of a match after after_sequence: first the stored ones, then live ones.
	//
	// Each durable update is sent once and in order. The stream ends with OK after the last update of
	// the match.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
	// erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
	// RESOURCE_EXHAUSTED (UPDATES_UNREAD).
	WatchMatch(ctx context.Context, in *WatchMatchRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[MatchUpdate], error)
	// Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
	// itself.
	//
	// The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
	// erased matches are skipped. The filter may change between resumes.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
	// RESOURCE_EXHAUSTED (UPDATES_UNREAD).
	WatchMatches(ctx context.Context, in *WatchMatchesRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[MatchUpdate], error)
	// Lists matches in pages, newest first.
	//
	// Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
	ListMatches(ctx context.Context, in *ListMatchesRequest, opts ...grpc.CallOption) (*ListMatchesResponse, error)
	// Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
	//
	// The server sends nothing more to Oz for the match, and undoes nothing there.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
	// FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
	CancelMatch(ctx context.Context, in *CancelMatchRequest, opts ...grpc.CallOption) (*Match, error)
	// Erases a match that has ended, immediately and permanently.
	//
	// Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
	// erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
	// treat that as success. If the request_id may belong to a new match by then, repeat with the
	// match_id: a repeat with the request_id would erase the new match.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
	// FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
	DeleteMatch(ctx context.Context, in *DeleteMatchRequest, opts ...grpc.CallOption) (*DeleteMatchResponse, error)
}

type faceMatchClient struct {
	cc grpc.ClientConnInterface
}

func NewFaceMatchClient(cc grpc.ClientConnInterface) FaceMatchClient {
	return &faceMatchClient{cc}
}

func (c *faceMatchClient) RunMatch(ctx context.Context, in *MatchRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[MatchUpdate], error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	stream, err := c.cc.NewStream(ctx, &FaceMatch_ServiceDesc.Streams[0], FaceMatch_RunMatch_FullMethodName, cOpts...)
	if err != nil {
		return nil, err
	}
	x := &grpc.GenericClientStream[MatchRequest, MatchUpdate]{ClientStream: stream}
	if err := x.ClientStream.SendMsg(in); err != nil {
		return nil, err
	}
	if err := x.ClientStream.CloseSend(); err != nil {
		return nil, err
	}
	return x, nil
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type FaceMatch_RunMatchClient = grpc.ServerStreamingClient[MatchUpdate]

func (c *faceMatchClient) CreateMatch(ctx context.Context, in *MatchRequest, opts ...grpc.CallOption) (*Match, error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	out := new(Match)
	err := c.cc.Invoke(ctx, FaceMatch_CreateMatch_FullMethodName, in, out, cOpts...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *faceMatchClient) GetMatch(ctx context.Context, in *GetMatchRequest, opts ...grpc.CallOption) (*Match, error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	out := new(Match)
	err := c.cc.Invoke(ctx, FaceMatch_GetMatch_FullMethodName, in, out, cOpts...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *faceMatchClient) WaitMatch(ctx context.Context, in *WaitMatchRequest, opts ...grpc.CallOption) (*Match, error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	out := new(Match)
	err := c.cc.Invoke(ctx, FaceMatch_WaitMatch_FullMethodName, in, out, cOpts...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *faceMatchClient) WatchMatch(ctx context.Context, in *WatchMatchRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[MatchUpdate], error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	stream, err := c.cc.NewStream(ctx, &FaceMatch_ServiceDesc.Streams[1], FaceMatch_WatchMatch_FullMethodName, cOpts...)
	if err != nil {
		return nil, err
	}
	x := &grpc.GenericClientStream[WatchMatchRequest, MatchUpdate]{ClientStream: stream}
	if err := x.ClientStream.SendMsg(in); err != nil {
		return nil, err
	}
	if err := x.ClientStream.CloseSend(); err != nil {
		return nil, err
	}
	return x, nil
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type FaceMatch_WatchMatchClient = grpc.ServerStreamingClient[MatchUpdate]

func (c *faceMatchClient) WatchMatches(ctx context.Context, in *WatchMatchesRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[MatchUpdate], error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	stream, err := c.cc.NewStream(ctx, &FaceMatch_ServiceDesc.Streams[2], FaceMatch_WatchMatches_FullMethodName, cOpts...)
	if err != nil {
		return nil, err
	}
	x := &grpc.GenericClientStream[WatchMatchesRequest, MatchUpdate]{ClientStream: stream}
	if err := x.ClientStream.SendMsg(in); err != nil {
		return nil, err
	}
	if err := x.ClientStream.CloseSend(); err != nil {
		return nil, err
	}
	return x, nil
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type FaceMatch_WatchMatchesClient = grpc.ServerStreamingClient[MatchUpdate]

func (c *faceMatchClient) ListMatches(ctx context.Context, in *ListMatchesRequest, opts ...grpc.CallOption) (*ListMatchesResponse, error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	out := new(ListMatchesResponse)
	err := c.cc.Invoke(ctx, FaceMatch_ListMatches_FullMethodName, in, out, cOpts...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *faceMatchClient) CancelMatch(ctx context.Context, in *CancelMatchRequest, opts ...grpc.CallOption) (*Match, error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	out := new(Match)
	err := c.cc.Invoke(ctx, FaceMatch_CancelMatch_FullMethodName, in, out, cOpts...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *faceMatchClient) DeleteMatch(ctx context.Context, in *DeleteMatchRequest, opts ...grpc.CallOption) (*DeleteMatchResponse, error) {
	cOpts := append([]grpc.CallOption{grpc.StaticMethod()}, opts...)
	out := new(DeleteMatchResponse)
	err := c.cc.Invoke(ctx, FaceMatch_DeleteMatch_FullMethodName, in, out, cOpts...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// FaceMatchServer is the server API for FaceMatch service.
// All implementations must embed UnimplementedFaceMatchServer
// for forward compatibility.
//
// Runs biometric matches at Oz and reports their progress.
//
// A call acts for one tenant, which its credential names: it reads, cancels and erases matches of
// that tenant only. On a server without authentication there is one tenant for all calls.
//
// It is safe to repeat a call after UNAVAILABLE, OVERLOADED and CALL_TIMED_OUT; RunMatch and
// CreateMatch only with a request_id.
// A stream that ends with UPDATES_UNREAD loses nothing: resume it after the last update that was
// received, or with its token.
type FaceMatchServer interface {
	// Accepts a match and streams all of its updates. The last update carries the verdict.
	//
	// Once the match has ended, the call ends with OK, even if the match is DECLINED or FAILED.
	// A broken call doesn't stop the match: resume with WatchMatch. Before UPLOADED, repeat RunMatch
	// with the same request_id instead, since a server that crashes loses the photo.
	// A repeat streams from the first update. A refused call has no effect and doesn't use up its
	// request_id; only after STORE_UNAVAILABLE, CALL_TIMED_OUT or INTERNAL the match may have been
	// accepted, which a repeat finds out.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID, PHOTO_UNREADABLE, PHOTO_TOO_LARGE),
	// ALREADY_EXISTS (REQUEST_ID_REUSED), UNIMPLEMENTED (NOT_AVAILABLE),
	// RESOURCE_EXHAUSTED (OVERLOADED: the match was not accepted; the repeat of an accepted match is
	// never refused for "unfinished-matches" or "photo-memory"; UPDATES_UNREAD: the match continues).
	RunMatch(*MatchRequest, grpc.ServerStreamingServer[MatchUpdate]) error
	// Accepts a match and returns once a crash of the server can't lose its photo any more.
	//
	// That is when the photo is at Oz, at once for a folder_media_id, or when the match has ended.
	// The returned match usually hasn't ended: follow it with WatchMatch, WaitMatch or GetMatch.
	// If the call's deadline passes first, the match continues: repeat the call with its request_id.
	// Errors: those of RunMatch, without UPDATES_UNREAD.
	CreateMatch(context.Context, *MatchRequest) (*Match, error)
	// Returns a match in its present state, which is never older than an update delivered before.
	//
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
	GetMatch(context.Context, *GetMatchRequest) (*Match, error)
	// Waits until a match has ended. For callers that can't stream.
	//
	// Returns the ended match. If the timeout passes first, returns the match in its present state,
	// also with OK.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND).
	WaitMatch(context.Context, *WaitMatchRequest) (*Match, error)
	// Streams the updates of a match after after_sequence: first the stored ones, then live ones.
	//
	// Each durable update is sent once and in order. The stream ends with OK after the last update of
	// the match.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND; also when the match is
	// erased while the stream is open), OUT_OF_RANGE (WATCH_AHEAD),
	// RESOURCE_EXHAUSTED (UPDATES_UNREAD).
	WatchMatch(*WatchMatchRequest, grpc.ServerStreamingServer[MatchUpdate]) error
	// Streams the updates of all matches, or of the matches that a filter selects. It doesn't end by
	// itself.
	//
	// The first message is a heartbeat with a token, sent at once. Progress updates are not sent, and
	// erased matches are skipped. The filter may change between resumes.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID), OUT_OF_RANGE (TOKEN_EXPIRED),
	// RESOURCE_EXHAUSTED (UPDATES_UNREAD).
	WatchMatches(*WatchMatchesRequest, grpc.ServerStreamingServer[MatchUpdate]) error
	// Lists matches in pages, newest first.
	//
	// Errors: INVALID_ARGUMENT (FIELD_INVALID, TOKEN_INVALID).
	ListMatches(context.Context, *ListMatchesRequest) (*ListMatchesResponse, error)
	// Ends a match as CANCELLED. Repeating the call is safe: a cancelled match is returned with OK.
	//
	// The server sends nothing more to Oz for the match, and undoes nothing there.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
	// FAILED_PRECONDITION (MATCH_ENDED) if the match has ended in another way.
	CancelMatch(context.Context, *CancelMatchRequest) (*Match, error)
	// Erases a match that has ended, immediately and permanently.
	//
	// Its request_id can be used again, and open streams of the match end with NOT_FOUND. Nothing is
	// erased at Oz. No trace of the match remains, so a repeat after a lost answer returns NOT_FOUND;
	// treat that as success. If the request_id may belong to a new match by then, repeat with the
	// match_id: a repeat with the request_id would erase the new match.
	// Errors: INVALID_ARGUMENT (FIELD_INVALID), NOT_FOUND (MATCH_NOT_FOUND),
	// FAILED_PRECONDITION (MATCH_RUNNING) while the match runs.
	DeleteMatch(context.Context, *DeleteMatchRequest) (*DeleteMatchResponse, error)
	mustEmbedUnimplementedFaceMatchServer()
}

// UnimplementedFaceMatchServer must be embedded to have
// forward compatible implementations.
//
// NOTE: this should be embedded by value instead of pointer to avoid a nil
// pointer dereference when methods are called.
type UnimplementedFaceMatchServer struct{}

func (UnimplementedFaceMatchServer) RunMatch(*MatchRequest, grpc.ServerStreamingServer[MatchUpdate]) error {
	return status.Error(codes.Unimplemented, "method RunMatch not implemented")
}
func (UnimplementedFaceMatchServer) CreateMatch(context.Context, *MatchRequest) (*Match, error) {
	return nil, status.Error(codes.Unimplemented, "method CreateMatch not implemented")
}
func (UnimplementedFaceMatchServer) GetMatch(context.Context, *GetMatchRequest) (*Match, error) {
	return nil, status.Error(codes.Unimplemented, "method GetMatch not implemented")
}
func (UnimplementedFaceMatchServer) WaitMatch(context.Context, *WaitMatchRequest) (*Match, error) {
	return nil, status.Error(codes.Unimplemented, "method WaitMatch not implemented")
}
func (UnimplementedFaceMatchServer) WatchMatch(*WatchMatchRequest, grpc.ServerStreamingServer[MatchUpdate]) error {
	return status.Error(codes.Unimplemented, "method WatchMatch not implemented")
}
func (UnimplementedFaceMatchServer) WatchMatches(*WatchMatchesRequest, grpc.ServerStreamingServer[MatchUpdate]) error {
	return status.Error(codes.Unimplemented, "method WatchMatches not implemented")
}
func (UnimplementedFaceMatchServer) ListMatches(context.Context, *ListMatchesRequest) (*ListMatchesResponse, error) {
	return nil, status.Error(codes.Unimplemented, "method ListMatches not implemented")
}
func (UnimplementedFaceMatchServer) CancelMatch(context.Context, *CancelMatchRequest) (*Match, error) {
	return nil, status.Error(codes.Unimplemented, "method CancelMatch not implemented")
}
func (UnimplementedFaceMatchServer) DeleteMatch(context.Context, *DeleteMatchRequest) (*DeleteMatchResponse, error) {
	return nil, status.Error(codes.Unimplemented, "method DeleteMatch not implemented")
}
func (UnimplementedFaceMatchServer) mustEmbedUnimplementedFaceMatchServer() {}
func (UnimplementedFaceMatchServer) testEmbeddedByValue()                   {}

// UnsafeFaceMatchServer may be embedded to opt out of forward compatibility for this service.
// Use of this interface is not recommended, as added methods to FaceMatchServer will
// result in compilation errors.
type UnsafeFaceMatchServer interface {
	mustEmbedUnimplementedFaceMatchServer()
}

func RegisterFaceMatchServer(s grpc.ServiceRegistrar, srv FaceMatchServer) {
	// If the following call panics, it indicates UnimplementedFaceMatchServer was
	// embedded by pointer and is nil.  This will cause panics if an
	// unimplemented method is ever invoked, so we test this at initialization
	// time to prevent it from happening at runtime later due to I/O.
	if t, ok := srv.(interface{ testEmbeddedByValue() }); ok {
		t.testEmbeddedByValue()
	}
	s.RegisterService(&FaceMatch_ServiceDesc, srv)
}

func _FaceMatch_RunMatch_Handler(srv interface{}, stream grpc.ServerStream) error {
	m := new(MatchRequest)
	if err := stream.RecvMsg(m); err != nil {
		return err
	}
	return srv.(FaceMatchServer).RunMatch(m, &grpc.GenericServerStream[MatchRequest, MatchUpdate]{ServerStream: stream})
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type FaceMatch_RunMatchServer = grpc.ServerStreamingServer[MatchUpdate]

func _FaceMatch_CreateMatch_Handler(srv interface{}, ctx context.Context, dec func(interface{}) error, interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(MatchRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return srv.(FaceMatchServer).CreateMatch(ctx, in)
	}
	info := &grpc.UnaryServerInfo{
		Server:     srv,
		FullMethod: FaceMatch_CreateMatch_FullMethodName,
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(FaceMatchServer).CreateMatch(ctx, req.(*MatchRequest))
	}
	return interceptor(ctx, in, info, handler)
}

func _FaceMatch_GetMatch_Handler(srv interface{}, ctx context.Context, dec func(interface{}) error, interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(GetMatchRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return srv.(FaceMatchServer).GetMatch(ctx, in)
	}
	info := &grpc.UnaryServerInfo{
		Server:     srv,
		FullMethod: FaceMatch_GetMatch_FullMethodName,
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(FaceMatchServer).GetMatch(ctx, req.(*GetMatchRequest))
	}
	return interceptor(ctx, in, info, handler)
}

func _FaceMatch_WaitMatch_Handler(srv interface{}, ctx context.Context, dec func(interface{}) error, interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(WaitMatchRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return srv.(FaceMatchServer).WaitMatch(ctx, in)
	}
	info := &grpc.UnaryServerInfo{
		Server:     srv,
		FullMethod: FaceMatch_WaitMatch_FullMethodName,
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(FaceMatchServer).WaitMatch(ctx, req.(*WaitMatchRequest))
	}
	return interceptor(ctx, in, info, handler)
}

func _FaceMatch_WatchMatch_Handler(srv interface{}, stream grpc.ServerStream) error {
	m := new(WatchMatchRequest)
	if err := stream.RecvMsg(m); err != nil {
		return err
	}
	return srv.(FaceMatchServer).WatchMatch(m, &grpc.GenericServerStream[WatchMatchRequest, MatchUpdate]{ServerStream: stream})
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type FaceMatch_WatchMatchServer = grpc.ServerStreamingServer[MatchUpdate]

func _FaceMatch_WatchMatches_Handler(srv interface{}, stream grpc.ServerStream) error {
	m := new(WatchMatchesRequest)
	if err := stream.RecvMsg(m); err != nil {
		return err
	}
	return srv.(FaceMatchServer).WatchMatches(m, &grpc.GenericServerStream[WatchMatchesRequest, MatchUpdate]{ServerStream: stream})
}

// This type alias is provided for backwards compatibility with existing code that references the prior non-generic stream type by name.
type FaceMatch_WatchMatchesServer = grpc.ServerStreamingServer[MatchUpdate]

func _FaceMatch_ListMatches_Handler(srv interface{}, ctx context.Context, dec func(interface{}) error, interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(ListMatchesRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return srv.(FaceMatchServer).ListMatches(ctx, in)
	}
	info := &grpc.UnaryServerInfo{
		Server:     srv,
		FullMethod: FaceMatch_ListMatches_FullMethodName,
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(FaceMatchServer).ListMatches(ctx, req.(*ListMatchesRequest))
	}
	return interceptor(ctx, in, info, handler)
}

func _FaceMatch_CancelMatch_Handler(srv interface{}, ctx context.Context, dec func(interface{}) error, interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(CancelMatchRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return srv.(FaceMatchServer).CancelMatch(ctx, in)
	}
	info := &grpc.UnaryServerInfo{
		Server:     srv,
		FullMethod: FaceMatch_CancelMatch_FullMethodName,
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(FaceMatchServer).CancelMatch(ctx, req.(*CancelMatchRequest))
	}
	return interceptor(ctx, in, info, handler)
}

func _FaceMatch_DeleteMatch_Handler(srv interface{}, ctx context.Context, dec func(interface{}) error, interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(DeleteMatchRequest)
	if err := dec(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return srv.(FaceMatchServer).DeleteMatch(ctx, in)
	}
	info := &grpc.UnaryServerInfo{
		Server:     srv,
		FullMethod: FaceMatch_DeleteMatch_FullMethodName,
	}
	handler := func(ctx context.Context, req interface{}) (interface{}, error) {
		return srv.(FaceMatchServer).DeleteMatch(ctx, req.(*DeleteMatchRequest))
	}
	return interceptor(ctx, in, info, handler)
}

// FaceMatch_ServiceDesc is the grpc.ServiceDesc for FaceMatch service.
// It's only intended for direct use with grpc.RegisterService,
// and not to be introspected or modified (even as a copy)
var FaceMatch_ServiceDesc = grpc.ServiceDesc{
	ServiceName: "facematch.v1.FaceMatch",
	HandlerType: (*FaceMatchServer)(nil),
	Methods: []grpc.MethodDesc{
		{
			MethodName: "CreateMatch",
			Handler:    _FaceMatch_CreateMatch_Handler,
		},
		{
			MethodName: "GetMatch",
			Handler:    _FaceMatch_GetMatch_Handler,
		},
		{
			MethodName: "WaitMatch",
			Handler:    _FaceMatch_WaitMatch_Handler,
		},
		{
			MethodName: "ListMatches",
			Handler:    _FaceMatch_ListMatches_Handler,
		},
		{
			MethodName: "CancelMatch",
			Handler:    _FaceMatch_CancelMatch_Handler,
		},
		{
			MethodName: "DeleteMatch",
			Handler:    _FaceMatch_DeleteMatch_Handler,
		},
	},
	Streams: []grpc.StreamDesc{
		{
			StreamName:    "RunMatch",
			Handler:       _FaceMatch_RunMatch_Handler,
			ServerStreams: true,
		},
		{
			StreamName:    "WatchMatch",
			Handler:       _FaceMatch_WatchMatch_Handler,
			ServerStreams: true,
		},
		{
			StreamName:    "WatchMatches",
			Handler:       _FaceMatch_WatchMatches_Handler,
			ServerStreams: true,
		},
	},
	Metadata: "facematch/v1/face_match.proto",
}
