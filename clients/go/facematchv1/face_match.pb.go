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

// Code generated by protoc-gen-go. DO NOT EDIT.
// versions:
// 	protoc-gen-go v1.36.12
// 	protoc        (unknown)
// source: facematch/v1/face_match.proto

package facematchv1

import (
	protoreflect "google.golang.org/protobuf/reflect/protoreflect"
	protoimpl "google.golang.org/protobuf/runtime/protoimpl"
	durationpb "google.golang.org/protobuf/types/known/durationpb"
	timestamppb "google.golang.org/protobuf/types/known/timestamppb"
	reflect "reflect"
	sync "sync"
	unsafe "unsafe"
)

const (
	// Verify that this generated code is sufficiently up-to-date.
	_ = protoimpl.EnforceVersion(20 - protoimpl.MinVersion)
	// Verify that runtime/protoimpl is sufficiently up-to-date.
	_ = protoimpl.EnforceVersion(protoimpl.MaxVersion - 20)
)

// What a reference photo shows.
type PhotoKind int32

const (
	// The same as PHOTO_KIND_SELFIE.
	PhotoKind_PHOTO_KIND_UNSPECIFIED PhotoKind = 0
	// A plain photo of a face. Its tag at Oz is photo_selfie.
	PhotoKind_PHOTO_KIND_SELFIE PhotoKind = 1
	// The front of an identity document. Its tags at Oz are photo_id and photo_id_front.
	PhotoKind_PHOTO_KIND_ID_FRONT PhotoKind = 2
)

// Enum value maps for PhotoKind.
var (
	PhotoKind_name = map[int32]string{
		0: "PHOTO_KIND_UNSPECIFIED",
		1: "PHOTO_KIND_SELFIE",
		2: "PHOTO_KIND_ID_FRONT",
	}
	PhotoKind_value = map[string]int32{
		"PHOTO_KIND_UNSPECIFIED": 0,
		"PHOTO_KIND_SELFIE":      1,
		"PHOTO_KIND_ID_FRONT":    2,
	}
)

func (x PhotoKind) Enum() *PhotoKind {
	p := new(PhotoKind)
	*p = x
	return p
}

func (x PhotoKind) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (PhotoKind) Descriptor() protoreflect.EnumDescriptor {
	return file_facematch_v1_face_match_proto_enumTypes[0].Descriptor()
}

func (PhotoKind) Type() protoreflect.EnumType {
	return &file_facematch_v1_face_match_proto_enumTypes[0]
}

func (x PhotoKind) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use PhotoKind.Descriptor instead.
func (PhotoKind) EnumDescriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{0}
}

// How a match uses the folder's QUALITY (liveness) analysis.
//
// A QUALITY analysis counts only if its source_media holds the liveness media that the match
// compares.
type LivenessPolicy int32

const (
	// The same as LIVENESS_POLICY_REPORT.
	LivenessPolicy_LIVENESS_POLICY_UNSPECIFIED LivenessPolicy = 0
	// Report the result of the newest finished analysis, if there is one. It has no effect on the
	// match.
	LivenessPolicy_LIVENESS_POLICY_REPORT LivenessPolicy = 1
	// Require that the newest analysis is SUCCESS with a score before the photo is sent. The match
	// waits for an analysis that is still PROCESSING. Otherwise the match ends as FAILED with
	// FAILED_PRECONDITION, LIVENESS_NOT_PASSED.
	LivenessPolicy_LIVENESS_POLICY_REQUIRE LivenessPolicy = 2
	// Start a QUALITY analysis together with the BIOMETRY analysis. The match ends when both have
	// left PROCESSING. A failed QUALITY analysis is reported as unspecified and doesn't change the
	// verdict.
	LivenessPolicy_LIVENESS_POLICY_RUN LivenessPolicy = 3
)

// Enum value maps for LivenessPolicy.
var (
	LivenessPolicy_name = map[int32]string{
		0: "LIVENESS_POLICY_UNSPECIFIED",
		1: "LIVENESS_POLICY_REPORT",
		2: "LIVENESS_POLICY_REQUIRE",
		3: "LIVENESS_POLICY_RUN",
	}
	LivenessPolicy_value = map[string]int32{
		"LIVENESS_POLICY_UNSPECIFIED": 0,
		"LIVENESS_POLICY_REPORT":      1,
		"LIVENESS_POLICY_REQUIRE":     2,
		"LIVENESS_POLICY_RUN":         3,
	}
)

func (x LivenessPolicy) Enum() *LivenessPolicy {
	p := new(LivenessPolicy)
	*p = x
	return p
}

func (x LivenessPolicy) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (LivenessPolicy) Descriptor() protoreflect.EnumDescriptor {
	return file_facematch_v1_face_match_proto_enumTypes[1].Descriptor()
}

func (LivenessPolicy) Type() protoreflect.EnumType {
	return &file_facematch_v1_face_match_proto_enumTypes[1]
}

func (x LivenessPolicy) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use LivenessPolicy.Descriptor instead.
func (LivenessPolicy) EnumDescriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{1}
}

// The state of a match. Every state is durable.
//
// A match goes through ACCEPTED, UPLOADED and PROCESSING, in this order, and ends as FINISHED. From
// any of these states it may end as FAILED or CANCELLED instead. An ended match never changes
// again.
type MatchState int32

const (
	// Never sent by the server.
	MatchState_MATCH_STATE_UNSPECIFIED MatchState = 0
	// The match is in the journal. From here on it will end, even if servers crash.
	MatchState_MATCH_STATE_ACCEPTED MatchState = 1
	// The photo is at Oz. If the request named a folder_media_id, that photo was found in the folder.
	MatchState_MATCH_STATE_UPLOADED MatchState = 2
	// Oz is working on the analysis.
	MatchState_MATCH_STATE_PROCESSING MatchState = 3
	// Oz's analysis has ended with a resolution: see Match.result.
	MatchState_MATCH_STATE_FINISHED MatchState = 4
	// The match has ended without a verdict: see Match.error.
	MatchState_MATCH_STATE_FAILED MatchState = 5
	// A caller has cancelled the match.
	MatchState_MATCH_STATE_CANCELLED MatchState = 6
)

// Enum value maps for MatchState.
var (
	MatchState_name = map[int32]string{
		0: "MATCH_STATE_UNSPECIFIED",
		1: "MATCH_STATE_ACCEPTED",
		2: "MATCH_STATE_UPLOADED",
		3: "MATCH_STATE_PROCESSING",
		4: "MATCH_STATE_FINISHED",
		5: "MATCH_STATE_FAILED",
		6: "MATCH_STATE_CANCELLED",
	}
	MatchState_value = map[string]int32{
		"MATCH_STATE_UNSPECIFIED": 0,
		"MATCH_STATE_ACCEPTED":    1,
		"MATCH_STATE_UPLOADED":    2,
		"MATCH_STATE_PROCESSING":  3,
		"MATCH_STATE_FINISHED":    4,
		"MATCH_STATE_FAILED":      5,
		"MATCH_STATE_CANCELLED":   6,
	}
)

func (x MatchState) Enum() *MatchState {
	p := new(MatchState)
	*p = x
	return p
}

func (x MatchState) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (MatchState) Descriptor() protoreflect.EnumDescriptor {
	return file_facematch_v1_face_match_proto_enumTypes[2].Descriptor()
}

func (MatchState) Type() protoreflect.EnumType {
	return &file_facematch_v1_face_match_proto_enumTypes[2]
}

func (x MatchState) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use MatchState.Descriptor instead.
func (MatchState) EnumDescriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{2}
}

// The decision of an analysis at Oz.
type Resolution int32

const (
	// There is no decision. It never means success.
	Resolution_RESOLUTION_UNSPECIFIED Resolution = 0
	// Biometry: the same person. Liveness: a living person.
	Resolution_RESOLUTION_SUCCESS Resolution = 1
	// Biometry: another person. Liveness: an attack.
	Resolution_RESOLUTION_DECLINED Resolution = 2
	// Oz leaves the decision to an operator. The match ends here; it doesn't follow the operator's
	// later decision. Only biometry has this resolution.
	Resolution_RESOLUTION_OPERATOR_REQUIRED Resolution = 3
)

// Enum value maps for Resolution.
var (
	Resolution_name = map[int32]string{
		0: "RESOLUTION_UNSPECIFIED",
		1: "RESOLUTION_SUCCESS",
		2: "RESOLUTION_DECLINED",
		3: "RESOLUTION_OPERATOR_REQUIRED",
	}
	Resolution_value = map[string]int32{
		"RESOLUTION_UNSPECIFIED":       0,
		"RESOLUTION_SUCCESS":           1,
		"RESOLUTION_DECLINED":          2,
		"RESOLUTION_OPERATOR_REQUIRED": 3,
	}
)

func (x Resolution) Enum() *Resolution {
	p := new(Resolution)
	*p = x
	return p
}

func (x Resolution) String() string {
	return protoimpl.X.EnumStringOf(x.Descriptor(), protoreflect.EnumNumber(x))
}

func (Resolution) Descriptor() protoreflect.EnumDescriptor {
	return file_facematch_v1_face_match_proto_enumTypes[3].Descriptor()
}

func (Resolution) Type() protoreflect.EnumType {
	return &file_facematch_v1_face_match_proto_enumTypes[3]
}

func (x Resolution) Number() protoreflect.EnumNumber {
	return protoreflect.EnumNumber(x)
}

// Deprecated: Use Resolution.Descriptor instead.
func (Resolution) EnumDescriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{3}
}

// What to match: a photo against the liveness media of an Oz folder.
type MatchRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The caller's own id of the match, which makes the call idempotent: the same id with the same
	// content is the same match, as long as that match exists. Optional, but strongly recommended;
	// 1 to 128 printable ASCII characters, including space.
	// The same id with different content is refused: ALREADY_EXISTS, REQUEST_ID_REUSED.
	RequestId string `protobuf:"bytes,1,opt,name=request_id,json=requestId,proto3" json:"request_id,omitempty"`
	// The Oz folder that holds the person's liveness media. Required; a UUID.
	FolderId string `protobuf:"bytes,2,opt,name=folder_id,json=folderId,proto3" json:"folder_id,omitempty"`
	// The photo to compare with the liveness media. Required.
	Photo *ReferencePhoto `protobuf:"bytes,3,opt,name=photo,proto3" json:"photo,omitempty"`
	// How long the match may take in total, counted from its create_time. Optional; more than 0 and
	// at most 24 h. Unset: the server's --match-timeout, which is 20 min by default, since Oz may
	// take 16 min. When it passes, the match ends as FAILED with DEADLINE_EXCEEDED, MATCH_TIMED_OUT.
	// The deadline of the call is independent of it.
	Timeout *durationpb.Duration `protobuf:"bytes,4,opt,name=timeout,proto3" json:"timeout,omitempty"`
	// The liveness media of the folder to compare the photo with. Optional; at most 8 UUIDs, whose
	// order and repetitions don't matter. Empty: the newest liveness media of the folder.
	LivenessMediaIds []string `protobuf:"bytes,5,rep,name=liveness_media_ids,json=livenessMediaIds,proto3" json:"liveness_media_ids,omitempty"`
	// How the match uses the folder's liveness (QUALITY) analysis. Optional; unset means
	// LIVENESS_POLICY_REPORT.
	LivenessPolicy LivenessPolicy `protobuf:"varint,6,opt,name=liveness_policy,json=livenessPolicy,proto3,enum=facematch.v1.LivenessPolicy" json:"liveness_policy,omitempty"`
	// The caller's own labels, by which ListMatches and WatchMatches select matches. Optional; at
	// most 16, with keys of 1 to 64 characters and values of up to 256, without control characters.
	// Never put personal data here: labels are stored as they are.
	Labels map[string]string `protobuf:"bytes,7,rep,name=labels,proto3" json:"labels,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	// Whether RunMatch also sends progress updates. Optional; CreateMatch ignores it. It isn't part
	// of the content that is compared when a request_id is repeated.
	IncludeProgress bool `protobuf:"varint,8,opt,name=include_progress,json=includeProgress,proto3" json:"include_progress,omitempty"`
	unknownFields   protoimpl.UnknownFields
	sizeCache       protoimpl.SizeCache
}

func (x *MatchRequest) Reset() {
	*x = MatchRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[0]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *MatchRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*MatchRequest) ProtoMessage() {}

func (x *MatchRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[0]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use MatchRequest.ProtoReflect.Descriptor instead.
func (*MatchRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{0}
}

func (x *MatchRequest) GetRequestId() string {
	if x != nil {
		return x.RequestId
	}
	return ""
}

func (x *MatchRequest) GetFolderId() string {
	if x != nil {
		return x.FolderId
	}
	return ""
}

func (x *MatchRequest) GetPhoto() *ReferencePhoto {
	if x != nil {
		return x.Photo
	}
	return nil
}

func (x *MatchRequest) GetTimeout() *durationpb.Duration {
	if x != nil {
		return x.Timeout
	}
	return nil
}

func (x *MatchRequest) GetLivenessMediaIds() []string {
	if x != nil {
		return x.LivenessMediaIds
	}
	return nil
}

func (x *MatchRequest) GetLivenessPolicy() LivenessPolicy {
	if x != nil {
		return x.LivenessPolicy
	}
	return LivenessPolicy_LIVENESS_POLICY_UNSPECIFIED
}

func (x *MatchRequest) GetLabels() map[string]string {
	if x != nil {
		return x.Labels
	}
	return nil
}

func (x *MatchRequest) GetIncludeProgress() bool {
	if x != nil {
		return x.IncludeProgress
	}
	return false
}

// The photo of the person to look for, and its kind.
type ReferencePhoto struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The source of the photo. Exactly one is required.
	//
	// Types that are valid to be assigned to Source:
	//
	//	*ReferencePhoto_Content
	//	*ReferencePhoto_ReferenceKey
	//	*ReferencePhoto_FolderMediaId
	Source isReferencePhoto_Source `protobuf_oneof:"source"`
	// What the photo shows, which decides its tags at Oz. Optional; unset means PHOTO_KIND_SELFIE.
	Kind PhotoKind `protobuf:"varint,4,opt,name=kind,proto3,enum=facematch.v1.PhotoKind" json:"kind,omitempty"`
	// Accepted for the convenience of callers and dropped: it has no effect, and is never logged or
	// stored. Optional; at most 255 characters.
	FileName      string `protobuf:"bytes,5,opt,name=file_name,json=fileName,proto3" json:"file_name,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *ReferencePhoto) Reset() {
	*x = ReferencePhoto{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[1]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *ReferencePhoto) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*ReferencePhoto) ProtoMessage() {}

func (x *ReferencePhoto) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[1]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use ReferencePhoto.ProtoReflect.Descriptor instead.
func (*ReferencePhoto) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{1}
}

func (x *ReferencePhoto) GetSource() isReferencePhoto_Source {
	if x != nil {
		return x.Source
	}
	return nil
}

func (x *ReferencePhoto) GetContent() []byte {
	if x != nil {
		if x, ok := x.Source.(*ReferencePhoto_Content); ok {
			return x.Content
		}
	}
	return nil
}

func (x *ReferencePhoto) GetReferenceKey() string {
	if x != nil {
		if x, ok := x.Source.(*ReferencePhoto_ReferenceKey); ok {
			return x.ReferenceKey
		}
	}
	return ""
}

func (x *ReferencePhoto) GetFolderMediaId() string {
	if x != nil {
		if x, ok := x.Source.(*ReferencePhoto_FolderMediaId); ok {
			return x.FolderMediaId
		}
	}
	return ""
}

func (x *ReferencePhoto) GetKind() PhotoKind {
	if x != nil {
		return x.Kind
	}
	return PhotoKind_PHOTO_KIND_UNSPECIFIED
}

func (x *ReferencePhoto) GetFileName() string {
	if x != nil {
		return x.FileName
	}
	return ""
}

type isReferencePhoto_Source interface {
	isReferencePhoto_Source()
}

type ReferencePhoto_Content struct {
	// The photo itself: a complete JPEG or PNG of at most 10 MiB (10,485,760 bytes), with 1 to
	// 20,000 pixels per side and at most 100 million pixels in total. A photo that common decoders
	// accept is accepted, and uploaded unchanged. It is kept only in memory, until Oz has it.
	Content []byte `protobuf:"bytes,1,opt,name=content,proto3,oneof"`
}

type ReferencePhoto_ReferenceKey struct {
	// The key of a photo in the operator's photo library: 1 to 512 bytes without control
	// characters. The server reads the photo there when it is due, and uploads it unchanged; the
	// same limits hold as for "content". Where the library is a folder or an object store, the key
	// is a path below it, without empty segments, "." and "..", and without "/" in front. In a
	// tenant without a library the call is refused: UNIMPLEMENTED, NOT_AVAILABLE. If the library
	// has no such photo, the match fails: REFERENCE_NOT_FOUND.
	ReferenceKey string `protobuf:"bytes,2,opt,name=reference_key,json=referenceKey,proto3,oneof"`
}

type ReferencePhoto_FolderMediaId struct {
	// Oz's id of a photo that the folder already holds, such as an ID document captured by the SDK:
	// a UUID. Nothing is uploaded.
	FolderMediaId string `protobuf:"bytes,3,opt,name=folder_media_id,json=folderMediaId,proto3,oneof"`
}

func (*ReferencePhoto_Content) isReferencePhoto_Source() {}

func (*ReferencePhoto_ReferenceKey) isReferencePhoto_Source() {}

func (*ReferencePhoto_FolderMediaId) isReferencePhoto_Source() {}

// A match, as of its last durable update.
type Match struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The server's id of the match: a UUIDv7.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3" json:"match_id,omitempty"`
	// The caller's own id of the match. Empty if the request had none.
	RequestId string `protobuf:"bytes,2,opt,name=request_id,json=requestId,proto3" json:"request_id,omitempty"`
	// The id of the Oz folder: a UUID in lower case.
	FolderId string `protobuf:"bytes,3,opt,name=folder_id,json=folderId,proto3" json:"folder_id,omitempty"`
	// The state of the match.
	State MatchState `protobuf:"varint,4,opt,name=state,proto3,enum=facematch.v1.MatchState" json:"state,omitempty"`
	// The number of the last durable update: 1 or more.
	Sequence uint64 `protobuf:"varint,5,opt,name=sequence,proto3" json:"sequence,omitempty"`
	// Oz's id of the reference photo. Empty before UPLOADED.
	PhotoMediaId string `protobuf:"bytes,6,opt,name=photo_media_id,json=photoMediaId,proto3" json:"photo_media_id,omitempty"`
	// Oz's id of the BIOMETRY analysis. Empty before PROCESSING.
	AnalysisId string `protobuf:"bytes,7,opt,name=analysis_id,json=analysisId,proto3" json:"analysis_id,omitempty"`
	// The verdict. Set only if FINISHED.
	Result *MatchResult `protobuf:"bytes,8,opt,name=result,proto3" json:"result,omitempty"`
	// The reason why there is no verdict. Set only if FAILED.
	Error *MatchError `protobuf:"bytes,9,opt,name=error,proto3" json:"error,omitempty"`
	// The labels of the request.
	Labels map[string]string `protobuf:"bytes,10,rep,name=labels,proto3" json:"labels,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	// When the match was accepted.
	CreateTime *timestamppb.Timestamp `protobuf:"bytes,11,opt,name=create_time,json=createTime,proto3" json:"create_time,omitempty"`
	// When the last update became durable.
	UpdateTime *timestamppb.Timestamp `protobuf:"bytes,12,opt,name=update_time,json=updateTime,proto3" json:"update_time,omitempty"`
	// When the match ended. Unset while it runs.
	EndTime *timestamppb.Timestamp `protobuf:"bytes,13,opt,name=end_time,json=endTime,proto3" json:"end_time,omitempty"`
	// When the match will be erased. Unset while it runs.
	ExpireTime *timestamppb.Timestamp `protobuf:"bytes,14,opt,name=expire_time,json=expireTime,proto3" json:"expire_time,omitempty"`
	// Oz's own words about the analysis, as of the last durable update. Unset before PROCESSING.
	Oz *OzStatus `protobuf:"bytes,15,opt,name=oz,proto3" json:"oz,omitempty"`
	// When the match ends as FAILED (MATCH_TIMED_OUT) unless it ends earlier. Unset once it has
	// ended.
	Deadline *timestamppb.Timestamp `protobuf:"bytes,16,opt,name=deadline,proto3" json:"deadline,omitempty"`
	// The present trouble at Oz. Set while the last durable update is attempt_failed, so that callers
	// that poll see the same as watchers. The match keeps trying until its deadline.
	Trouble *Trouble `protobuf:"bytes,17,opt,name=trouble,proto3" json:"trouble,omitempty"`
	// The policy that applies; never unspecified.
	LivenessPolicy LivenessPolicy `protobuf:"varint,18,opt,name=liveness_policy,json=livenessPolicy,proto3,enum=facematch.v1.LivenessPolicy" json:"liveness_policy,omitempty"`
	// What the photo shows; never unspecified.
	PhotoKind PhotoKind `protobuf:"varint,19,opt,name=photo_kind,json=photoKind,proto3,enum=facematch.v1.PhotoKind" json:"photo_kind,omitempty"`
	// Oz's ids of the liveness media that the photo is compared with. Set from the start if the
	// request named them, otherwise from UPLOADED on. Empty before.
	LivenessMediaIds []string `protobuf:"bytes,20,rep,name=liveness_media_ids,json=livenessMediaIds,proto3" json:"liveness_media_ids,omitempty"`
	// Oz's id of the QUALITY analysis of the match. With LIVENESS_POLICY_RUN, this is the analysis
	// that the match has started, set from PROCESSING on. With the other policies, it is the analysis
	// that the match has read, set from UPLOADED on. Empty before, and if there is none.
	LivenessAnalysisId string `protobuf:"bytes,21,opt,name=liveness_analysis_id,json=livenessAnalysisId,proto3" json:"liveness_analysis_id,omitempty"`
	unknownFields      protoimpl.UnknownFields
	sizeCache          protoimpl.SizeCache
}

func (x *Match) Reset() {
	*x = Match{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[2]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Match) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Match) ProtoMessage() {}

func (x *Match) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[2]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Match.ProtoReflect.Descriptor instead.
func (*Match) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{2}
}

func (x *Match) GetMatchId() string {
	if x != nil {
		return x.MatchId
	}
	return ""
}

func (x *Match) GetRequestId() string {
	if x != nil {
		return x.RequestId
	}
	return ""
}

func (x *Match) GetFolderId() string {
	if x != nil {
		return x.FolderId
	}
	return ""
}

func (x *Match) GetState() MatchState {
	if x != nil {
		return x.State
	}
	return MatchState_MATCH_STATE_UNSPECIFIED
}

func (x *Match) GetSequence() uint64 {
	if x != nil {
		return x.Sequence
	}
	return 0
}

func (x *Match) GetPhotoMediaId() string {
	if x != nil {
		return x.PhotoMediaId
	}
	return ""
}

func (x *Match) GetAnalysisId() string {
	if x != nil {
		return x.AnalysisId
	}
	return ""
}

func (x *Match) GetResult() *MatchResult {
	if x != nil {
		return x.Result
	}
	return nil
}

func (x *Match) GetError() *MatchError {
	if x != nil {
		return x.Error
	}
	return nil
}

func (x *Match) GetLabels() map[string]string {
	if x != nil {
		return x.Labels
	}
	return nil
}

func (x *Match) GetCreateTime() *timestamppb.Timestamp {
	if x != nil {
		return x.CreateTime
	}
	return nil
}

func (x *Match) GetUpdateTime() *timestamppb.Timestamp {
	if x != nil {
		return x.UpdateTime
	}
	return nil
}

func (x *Match) GetEndTime() *timestamppb.Timestamp {
	if x != nil {
		return x.EndTime
	}
	return nil
}

func (x *Match) GetExpireTime() *timestamppb.Timestamp {
	if x != nil {
		return x.ExpireTime
	}
	return nil
}

func (x *Match) GetOz() *OzStatus {
	if x != nil {
		return x.Oz
	}
	return nil
}

func (x *Match) GetDeadline() *timestamppb.Timestamp {
	if x != nil {
		return x.Deadline
	}
	return nil
}

func (x *Match) GetTrouble() *Trouble {
	if x != nil {
		return x.Trouble
	}
	return nil
}

func (x *Match) GetLivenessPolicy() LivenessPolicy {
	if x != nil {
		return x.LivenessPolicy
	}
	return LivenessPolicy_LIVENESS_POLICY_UNSPECIFIED
}

func (x *Match) GetPhotoKind() PhotoKind {
	if x != nil {
		return x.PhotoKind
	}
	return PhotoKind_PHOTO_KIND_UNSPECIFIED
}

func (x *Match) GetLivenessMediaIds() []string {
	if x != nil {
		return x.LivenessMediaIds
	}
	return nil
}

func (x *Match) GetLivenessAnalysisId() string {
	if x != nil {
		return x.LivenessAnalysisId
	}
	return ""
}

// Trouble at Oz that a match waits to pass.
type Trouble struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// A stable word for the cause, such as OZ_UNREACHABLE. docs/errors.md lists all causes.
	Cause string `protobuf:"bytes,1,opt,name=cause,proto3" json:"cause,omitempty"`
	// A sentence for people. It never holds personal data.
	Message string `protobuf:"bytes,2,opt,name=message,proto3" json:"message,omitempty"`
	// When the trouble began: the time of the first attempt_failed update in the unbroken row of such
	// updates that ends with the present one.
	Since *timestamppb.Timestamp `protobuf:"bytes,3,opt,name=since,proto3" json:"since,omitempty"`
	// When the next attempt after the failed one was due. It may be in the past, since a further
	// failure with the same cause makes no new update.
	NextAttemptTime *timestamppb.Timestamp `protobuf:"bytes,4,opt,name=next_attempt_time,json=nextAttemptTime,proto3" json:"next_attempt_time,omitempty"`
	// Variable parts, such as oz.http_status.
	Metadata      map[string]string `protobuf:"bytes,5,rep,name=metadata,proto3" json:"metadata,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Trouble) Reset() {
	*x = Trouble{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[3]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Trouble) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Trouble) ProtoMessage() {}

func (x *Trouble) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[3]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Trouble.ProtoReflect.Descriptor instead.
func (*Trouble) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{3}
}

func (x *Trouble) GetCause() string {
	if x != nil {
		return x.Cause
	}
	return ""
}

func (x *Trouble) GetMessage() string {
	if x != nil {
		return x.Message
	}
	return ""
}

func (x *Trouble) GetSince() *timestamppb.Timestamp {
	if x != nil {
		return x.Since
	}
	return nil
}

func (x *Trouble) GetNextAttemptTime() *timestamppb.Timestamp {
	if x != nil {
		return x.NextAttemptTime
	}
	return nil
}

func (x *Trouble) GetMetadata() map[string]string {
	if x != nil {
		return x.Metadata
	}
	return nil
}

// The verdict of a finished match.
type MatchResult struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Oz's decision; never unspecified.
	Resolution Resolution `protobuf:"varint,1,opt,name=resolution,proto3,enum=facematch.v1.Resolution" json:"resolution,omitempty"`
	// The similarity of the least similar pair, from 0 to 1. This number decides. Always set.
	MinConfidence *float64 `protobuf:"fixed64,2,opt,name=min_confidence,json=minConfidence,proto3,oneof" json:"min_confidence,omitempty"`
	// The similarity of the most similar pair, from 0 to 1. Unset if Oz gave none.
	MaxConfidence *float64 `protobuf:"fixed64,3,opt,name=max_confidence,json=maxConfidence,proto3,oneof" json:"max_confidence,omitempty"`
	// The result of a QUALITY analysis of the liveness media. Unset if there is none to report.
	Liveness      *LivenessResult `protobuf:"bytes,4,opt,name=liveness,proto3" json:"liveness,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *MatchResult) Reset() {
	*x = MatchResult{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[4]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *MatchResult) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*MatchResult) ProtoMessage() {}

func (x *MatchResult) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[4]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use MatchResult.ProtoReflect.Descriptor instead.
func (*MatchResult) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{4}
}

func (x *MatchResult) GetResolution() Resolution {
	if x != nil {
		return x.Resolution
	}
	return Resolution_RESOLUTION_UNSPECIFIED
}

func (x *MatchResult) GetMinConfidence() float64 {
	if x != nil && x.MinConfidence != nil {
		return *x.MinConfidence
	}
	return 0
}

func (x *MatchResult) GetMaxConfidence() float64 {
	if x != nil && x.MaxConfidence != nil {
		return *x.MaxConfidence
	}
	return 0
}

func (x *MatchResult) GetLiveness() *LivenessResult {
	if x != nil {
		return x.Liveness
	}
	return nil
}

// The result of a QUALITY (liveness) analysis.
type LivenessResult struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// SUCCESS: a living person. DECLINED: an attack. Unspecified: the analysis failed.
	Resolution Resolution `protobuf:"varint,1,opt,name=resolution,proto3,enum=facematch.v1.Resolution" json:"resolution,omitempty"`
	// The likelihood of an attack, from 0 to 1; the highest one if there are several. Unset if Oz
	// gave none.
	ConfidenceSpoofing *float64 `protobuf:"fixed64,2,opt,name=confidence_spoofing,json=confidenceSpoofing,proto3,oneof" json:"confidence_spoofing,omitempty"`
	// Oz's id of the QUALITY analysis.
	AnalysisId    string `protobuf:"bytes,3,opt,name=analysis_id,json=analysisId,proto3" json:"analysis_id,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *LivenessResult) Reset() {
	*x = LivenessResult{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[5]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *LivenessResult) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*LivenessResult) ProtoMessage() {}

func (x *LivenessResult) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[5]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use LivenessResult.ProtoReflect.Descriptor instead.
func (*LivenessResult) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{5}
}

func (x *LivenessResult) GetResolution() Resolution {
	if x != nil {
		return x.Resolution
	}
	return Resolution_RESOLUTION_UNSPECIFIED
}

func (x *LivenessResult) GetConfidenceSpoofing() float64 {
	if x != nil && x.ConfidenceSpoofing != nil {
		return *x.ConfidenceSpoofing
	}
	return 0
}

func (x *LivenessResult) GetAnalysisId() string {
	if x != nil {
		return x.AnalysisId
	}
	return ""
}

// The reason why a match FAILED.
type MatchError struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The number of a gRPC status code, for instance 4 for DEADLINE_EXCEEDED.
	Code int32 `protobuf:"varint,1,opt,name=code,proto3" json:"code,omitempty"`
	// A stable word, such as OZ_FOLDER_NOT_FOUND. docs/errors.md lists all reasons.
	Reason string `protobuf:"bytes,2,opt,name=reason,proto3" json:"reason,omitempty"`
	// A sentence for people. It never holds personal data.
	Message string `protobuf:"bytes,3,opt,name=message,proto3" json:"message,omitempty"`
	// Whether a new match with a new request_id may succeed, without any other change.
	Retryable bool `protobuf:"varint,4,opt,name=retryable,proto3" json:"retryable,omitempty"`
	// Variable parts, such as oz.http_status, oz.error_code, oz.error_message and oz.state.
	Metadata      map[string]string `protobuf:"bytes,5,rep,name=metadata,proto3" json:"metadata,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *MatchError) Reset() {
	*x = MatchError{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[6]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *MatchError) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*MatchError) ProtoMessage() {}

func (x *MatchError) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[6]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use MatchError.ProtoReflect.Descriptor instead.
func (*MatchError) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{6}
}

func (x *MatchError) GetCode() int32 {
	if x != nil {
		return x.Code
	}
	return 0
}

func (x *MatchError) GetReason() string {
	if x != nil {
		return x.Reason
	}
	return ""
}

func (x *MatchError) GetMessage() string {
	if x != nil {
		return x.Message
	}
	return ""
}

func (x *MatchError) GetRetryable() bool {
	if x != nil {
		return x.Retryable
	}
	return false
}

func (x *MatchError) GetMetadata() map[string]string {
	if x != nil {
		return x.Metadata
	}
	return nil
}

// Oz's own words about the BIOMETRY analysis, unchanged, as of the last durable update. A poll that
// brings nothing new is not stored.
type OzStatus struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Oz's `state`, for instance PROCESSING.
	State string `protobuf:"bytes,1,opt,name=state,proto3" json:"state,omitempty"`
	// Oz's `resolution`.
	Resolution string `protobuf:"bytes,2,opt,name=resolution,proto3" json:"resolution,omitempty"`
	// Oz's `resolution_status`.
	ResolutionStatus string `protobuf:"bytes,3,opt,name=resolution_status,json=resolutionStatus,proto3" json:"resolution_status,omitempty"`
	// How often the analysis had been polled. Polls by a server that has crashed since may be
	// missing.
	Polls uint64 `protobuf:"varint,4,opt,name=polls,proto3" json:"polls,omitempty"`
	// When the analysis was last polled. Unset before the first poll.
	LastPollTime  *timestamppb.Timestamp `protobuf:"bytes,5,opt,name=last_poll_time,json=lastPollTime,proto3" json:"last_poll_time,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *OzStatus) Reset() {
	*x = OzStatus{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[7]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *OzStatus) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*OzStatus) ProtoMessage() {}

func (x *OzStatus) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[7]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use OzStatus.ProtoReflect.Descriptor instead.
func (*OzStatus) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{7}
}

func (x *OzStatus) GetState() string {
	if x != nil {
		return x.State
	}
	return ""
}

func (x *OzStatus) GetResolution() string {
	if x != nil {
		return x.Resolution
	}
	return ""
}

func (x *OzStatus) GetResolutionStatus() string {
	if x != nil {
		return x.ResolutionStatus
	}
	return ""
}

func (x *OzStatus) GetPolls() uint64 {
	if x != nil {
		return x.Polls
	}
	return 0
}

func (x *OzStatus) GetLastPollTime() *timestamppb.Timestamp {
	if x != nil {
		return x.LastPollTime
	}
	return nil
}

// Names one match by either id.
type GetMatchRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The match. Exactly one id is required.
	//
	// Types that are valid to be assigned to Id:
	//
	//	*GetMatchRequest_MatchId
	//	*GetMatchRequest_RequestId
	Id            isGetMatchRequest_Id `protobuf_oneof:"id"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *GetMatchRequest) Reset() {
	*x = GetMatchRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[8]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *GetMatchRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*GetMatchRequest) ProtoMessage() {}

func (x *GetMatchRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[8]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use GetMatchRequest.ProtoReflect.Descriptor instead.
func (*GetMatchRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{8}
}

func (x *GetMatchRequest) GetId() isGetMatchRequest_Id {
	if x != nil {
		return x.Id
	}
	return nil
}

func (x *GetMatchRequest) GetMatchId() string {
	if x != nil {
		if x, ok := x.Id.(*GetMatchRequest_MatchId); ok {
			return x.MatchId
		}
	}
	return ""
}

func (x *GetMatchRequest) GetRequestId() string {
	if x != nil {
		if x, ok := x.Id.(*GetMatchRequest_RequestId); ok {
			return x.RequestId
		}
	}
	return ""
}

type isGetMatchRequest_Id interface {
	isGetMatchRequest_Id()
}

type GetMatchRequest_MatchId struct {
	// The server's id of the match: a UUID.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3,oneof"`
}

type GetMatchRequest_RequestId struct {
	// The caller's own id of the match: 1 to 128 printable ASCII characters.
	RequestId string `protobuf:"bytes,2,opt,name=request_id,json=requestId,proto3,oneof"`
}

func (*GetMatchRequest_MatchId) isGetMatchRequest_Id() {}

func (*GetMatchRequest_RequestId) isGetMatchRequest_Id() {}

// Names one match, and how long to wait for its end.
type WaitMatchRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The match. Exactly one id is required.
	//
	// Types that are valid to be assigned to Id:
	//
	//	*WaitMatchRequest_MatchId
	//	*WaitMatchRequest_RequestId
	Id isWaitMatchRequest_Id `protobuf_oneof:"id"`
	// How long to wait. Unset: 30 s. 0 returns at once. More than 10 min, or less than 0, is refused.
	Timeout       *durationpb.Duration `protobuf:"bytes,3,opt,name=timeout,proto3" json:"timeout,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *WaitMatchRequest) Reset() {
	*x = WaitMatchRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[9]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *WaitMatchRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*WaitMatchRequest) ProtoMessage() {}

func (x *WaitMatchRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[9]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use WaitMatchRequest.ProtoReflect.Descriptor instead.
func (*WaitMatchRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{9}
}

func (x *WaitMatchRequest) GetId() isWaitMatchRequest_Id {
	if x != nil {
		return x.Id
	}
	return nil
}

func (x *WaitMatchRequest) GetMatchId() string {
	if x != nil {
		if x, ok := x.Id.(*WaitMatchRequest_MatchId); ok {
			return x.MatchId
		}
	}
	return ""
}

func (x *WaitMatchRequest) GetRequestId() string {
	if x != nil {
		if x, ok := x.Id.(*WaitMatchRequest_RequestId); ok {
			return x.RequestId
		}
	}
	return ""
}

func (x *WaitMatchRequest) GetTimeout() *durationpb.Duration {
	if x != nil {
		return x.Timeout
	}
	return nil
}

type isWaitMatchRequest_Id interface {
	isWaitMatchRequest_Id()
}

type WaitMatchRequest_MatchId struct {
	// The server's id of the match: a UUID.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3,oneof"`
}

type WaitMatchRequest_RequestId struct {
	// The caller's own id of the match: 1 to 128 printable ASCII characters.
	RequestId string `protobuf:"bytes,2,opt,name=request_id,json=requestId,proto3,oneof"`
}

func (*WaitMatchRequest_MatchId) isWaitMatchRequest_Id() {}

func (*WaitMatchRequest_RequestId) isWaitMatchRequest_Id() {}

// Names one match, and the update after which its stream begins.
type WatchMatchRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The match. Exactly one id is required.
	//
	// Types that are valid to be assigned to Id:
	//
	//	*WatchMatchRequest_MatchId
	//	*WatchMatchRequest_RequestId
	Id isWatchMatchRequest_Id `protobuf_oneof:"id"`
	// The sequence of the last update that the caller has received; 0 streams all updates. A sequence
	// that the match hasn't reached is refused: OUT_OF_RANGE, WATCH_AHEAD.
	AfterSequence uint64 `protobuf:"varint,3,opt,name=after_sequence,json=afterSequence,proto3" json:"after_sequence,omitempty"`
	// Whether to send progress updates as well.
	IncludeProgress bool `protobuf:"varint,4,opt,name=include_progress,json=includeProgress,proto3" json:"include_progress,omitempty"`
	unknownFields   protoimpl.UnknownFields
	sizeCache       protoimpl.SizeCache
}

func (x *WatchMatchRequest) Reset() {
	*x = WatchMatchRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[10]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *WatchMatchRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*WatchMatchRequest) ProtoMessage() {}

func (x *WatchMatchRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[10]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use WatchMatchRequest.ProtoReflect.Descriptor instead.
func (*WatchMatchRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{10}
}

func (x *WatchMatchRequest) GetId() isWatchMatchRequest_Id {
	if x != nil {
		return x.Id
	}
	return nil
}

func (x *WatchMatchRequest) GetMatchId() string {
	if x != nil {
		if x, ok := x.Id.(*WatchMatchRequest_MatchId); ok {
			return x.MatchId
		}
	}
	return ""
}

func (x *WatchMatchRequest) GetRequestId() string {
	if x != nil {
		if x, ok := x.Id.(*WatchMatchRequest_RequestId); ok {
			return x.RequestId
		}
	}
	return ""
}

func (x *WatchMatchRequest) GetAfterSequence() uint64 {
	if x != nil {
		return x.AfterSequence
	}
	return 0
}

func (x *WatchMatchRequest) GetIncludeProgress() bool {
	if x != nil {
		return x.IncludeProgress
	}
	return false
}

type isWatchMatchRequest_Id interface {
	isWatchMatchRequest_Id()
}

type WatchMatchRequest_MatchId struct {
	// The server's id of the match: a UUID.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3,oneof"`
}

type WatchMatchRequest_RequestId struct {
	// The caller's own id of the match: 1 to 128 printable ASCII characters.
	RequestId string `protobuf:"bytes,2,opt,name=request_id,json=requestId,proto3,oneof"`
}

func (*WatchMatchRequest_MatchId) isWatchMatchRequest_Id() {}

func (*WatchMatchRequest_RequestId) isWatchMatchRequest_Id() {}

// Selects matches, and the point from which their updates are streamed.
type WatchMatchesRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Empty: only updates from now on. "earliest": from the oldest retained update on. Otherwise the
	// resume_token of the last update or heartbeat that the caller has processed.
	ResumeToken string `protobuf:"bytes,1,opt,name=resume_token,json=resumeToken,proto3" json:"resume_token,omitempty"`
	// Only matches of this Oz folder. Optional; a UUID.
	FolderId string `protobuf:"bytes,2,opt,name=folder_id,json=folderId,proto3" json:"folder_id,omitempty"`
	// Only matches that have all of these labels. Optional; limits as in MatchRequest.
	Labels        map[string]string `protobuf:"bytes,3,rep,name=labels,proto3" json:"labels,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *WatchMatchesRequest) Reset() {
	*x = WatchMatchesRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[11]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *WatchMatchesRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*WatchMatchesRequest) ProtoMessage() {}

func (x *WatchMatchesRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[11]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use WatchMatchesRequest.ProtoReflect.Descriptor instead.
func (*WatchMatchesRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{11}
}

func (x *WatchMatchesRequest) GetResumeToken() string {
	if x != nil {
		return x.ResumeToken
	}
	return ""
}

func (x *WatchMatchesRequest) GetFolderId() string {
	if x != nil {
		return x.FolderId
	}
	return ""
}

func (x *WatchMatchesRequest) GetLabels() map[string]string {
	if x != nil {
		return x.Labels
	}
	return nil
}

// Selects matches for a page.
type ListMatchesRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The most matches on a page. 0 means 50; more than 1,000 means 1,000; a negative number is
	// refused. A page may have fewer matches, or none, and still have a token: only a page without a
	// token is the last. So a page never exceeds the default message limit of clients, and its cost
	// doesn't depend on the number of retained matches.
	PageSize int32 `protobuf:"varint,1,opt,name=page_size,json=pageSize,proto3" json:"page_size,omitempty"`
	// The next_page_token of the previous page; all filters must be the same. Empty: the first page.
	PageToken string `protobuf:"bytes,2,opt,name=page_token,json=pageToken,proto3" json:"page_token,omitempty"`
	// Only matches of this Oz folder. Optional; a UUID.
	FolderId string `protobuf:"bytes,3,opt,name=folder_id,json=folderId,proto3" json:"folder_id,omitempty"`
	// Only matches that have all of these labels. Optional; limits as in MatchRequest.
	Labels map[string]string `protobuf:"bytes,4,rep,name=labels,proto3" json:"labels,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	// Only matches in one of these states. Optional; empty means any state.
	States []MatchState `protobuf:"varint,5,rep,packed,name=states,proto3,enum=facematch.v1.MatchState" json:"states,omitempty"`
	// Only matches accepted at this time or later. Optional.
	CreatedAfter *timestamppb.Timestamp `protobuf:"bytes,6,opt,name=created_after,json=createdAfter,proto3" json:"created_after,omitempty"`
	// Only matches accepted before this time. Optional.
	CreatedBefore *timestamppb.Timestamp `protobuf:"bytes,7,opt,name=created_before,json=createdBefore,proto3" json:"created_before,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *ListMatchesRequest) Reset() {
	*x = ListMatchesRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[12]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *ListMatchesRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*ListMatchesRequest) ProtoMessage() {}

func (x *ListMatchesRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[12]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use ListMatchesRequest.ProtoReflect.Descriptor instead.
func (*ListMatchesRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{12}
}

func (x *ListMatchesRequest) GetPageSize() int32 {
	if x != nil {
		return x.PageSize
	}
	return 0
}

func (x *ListMatchesRequest) GetPageToken() string {
	if x != nil {
		return x.PageToken
	}
	return ""
}

func (x *ListMatchesRequest) GetFolderId() string {
	if x != nil {
		return x.FolderId
	}
	return ""
}

func (x *ListMatchesRequest) GetLabels() map[string]string {
	if x != nil {
		return x.Labels
	}
	return nil
}

func (x *ListMatchesRequest) GetStates() []MatchState {
	if x != nil {
		return x.States
	}
	return nil
}

func (x *ListMatchesRequest) GetCreatedAfter() *timestamppb.Timestamp {
	if x != nil {
		return x.CreatedAfter
	}
	return nil
}

func (x *ListMatchesRequest) GetCreatedBefore() *timestamppb.Timestamp {
	if x != nil {
		return x.CreatedBefore
	}
	return nil
}

// A page of matches.
type ListMatchesResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The matches, newest first. The list may be empty although there are further pages: a page ends
	// after the server has looked at enough matches, however few of them the filters select.
	Matches []*Match `protobuf:"bytes,1,rep,name=matches,proto3" json:"matches,omitempty"`
	// The token of the next page. Empty on the last page, and only there.
	NextPageToken string `protobuf:"bytes,2,opt,name=next_page_token,json=nextPageToken,proto3" json:"next_page_token,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *ListMatchesResponse) Reset() {
	*x = ListMatchesResponse{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[13]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *ListMatchesResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*ListMatchesResponse) ProtoMessage() {}

func (x *ListMatchesResponse) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[13]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use ListMatchesResponse.ProtoReflect.Descriptor instead.
func (*ListMatchesResponse) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{13}
}

func (x *ListMatchesResponse) GetMatches() []*Match {
	if x != nil {
		return x.Matches
	}
	return nil
}

func (x *ListMatchesResponse) GetNextPageToken() string {
	if x != nil {
		return x.NextPageToken
	}
	return ""
}

// Names the match to cancel.
type CancelMatchRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The match. Exactly one id is required.
	//
	// Types that are valid to be assigned to Id:
	//
	//	*CancelMatchRequest_MatchId
	//	*CancelMatchRequest_RequestId
	Id            isCancelMatchRequest_Id `protobuf_oneof:"id"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *CancelMatchRequest) Reset() {
	*x = CancelMatchRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[14]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *CancelMatchRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*CancelMatchRequest) ProtoMessage() {}

func (x *CancelMatchRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[14]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use CancelMatchRequest.ProtoReflect.Descriptor instead.
func (*CancelMatchRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{14}
}

func (x *CancelMatchRequest) GetId() isCancelMatchRequest_Id {
	if x != nil {
		return x.Id
	}
	return nil
}

func (x *CancelMatchRequest) GetMatchId() string {
	if x != nil {
		if x, ok := x.Id.(*CancelMatchRequest_MatchId); ok {
			return x.MatchId
		}
	}
	return ""
}

func (x *CancelMatchRequest) GetRequestId() string {
	if x != nil {
		if x, ok := x.Id.(*CancelMatchRequest_RequestId); ok {
			return x.RequestId
		}
	}
	return ""
}

type isCancelMatchRequest_Id interface {
	isCancelMatchRequest_Id()
}

type CancelMatchRequest_MatchId struct {
	// The server's id of the match: a UUID.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3,oneof"`
}

type CancelMatchRequest_RequestId struct {
	// The caller's own id of the match: 1 to 128 printable ASCII characters.
	RequestId string `protobuf:"bytes,2,opt,name=request_id,json=requestId,proto3,oneof"`
}

func (*CancelMatchRequest_MatchId) isCancelMatchRequest_Id() {}

func (*CancelMatchRequest_RequestId) isCancelMatchRequest_Id() {}

// Names the match to erase.
type DeleteMatchRequest struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The match. Exactly one id is required.
	//
	// Types that are valid to be assigned to Id:
	//
	//	*DeleteMatchRequest_MatchId
	//	*DeleteMatchRequest_RequestId
	Id            isDeleteMatchRequest_Id `protobuf_oneof:"id"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *DeleteMatchRequest) Reset() {
	*x = DeleteMatchRequest{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[15]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *DeleteMatchRequest) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*DeleteMatchRequest) ProtoMessage() {}

func (x *DeleteMatchRequest) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[15]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use DeleteMatchRequest.ProtoReflect.Descriptor instead.
func (*DeleteMatchRequest) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{15}
}

func (x *DeleteMatchRequest) GetId() isDeleteMatchRequest_Id {
	if x != nil {
		return x.Id
	}
	return nil
}

func (x *DeleteMatchRequest) GetMatchId() string {
	if x != nil {
		if x, ok := x.Id.(*DeleteMatchRequest_MatchId); ok {
			return x.MatchId
		}
	}
	return ""
}

func (x *DeleteMatchRequest) GetRequestId() string {
	if x != nil {
		if x, ok := x.Id.(*DeleteMatchRequest_RequestId); ok {
			return x.RequestId
		}
	}
	return ""
}

type isDeleteMatchRequest_Id interface {
	isDeleteMatchRequest_Id()
}

type DeleteMatchRequest_MatchId struct {
	// The server's id of the match: a UUID.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3,oneof"`
}

type DeleteMatchRequest_RequestId struct {
	// The caller's own id of the match: 1 to 128 printable ASCII characters.
	RequestId string `protobuf:"bytes,2,opt,name=request_id,json=requestId,proto3,oneof"`
}

func (*DeleteMatchRequest_MatchId) isDeleteMatchRequest_Id() {}

func (*DeleteMatchRequest_RequestId) isDeleteMatchRequest_Id() {}

// Confirms that a match was erased.
type DeleteMatchResponse struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The server's id of the erased match.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3" json:"match_id,omitempty"`
	// When the match was erased.
	DeleteTime *timestamppb.Timestamp `protobuf:"bytes,2,opt,name=delete_time,json=deleteTime,proto3" json:"delete_time,omitempty"`
	// Oz's id of the match's reference photo, which stays at Oz. This answer is the last chance to
	// note the id. Empty if the match ended before the photo was at Oz.
	PhotoMediaId  string `protobuf:"bytes,3,opt,name=photo_media_id,json=photoMediaId,proto3" json:"photo_media_id,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *DeleteMatchResponse) Reset() {
	*x = DeleteMatchResponse{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[16]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *DeleteMatchResponse) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*DeleteMatchResponse) ProtoMessage() {}

func (x *DeleteMatchResponse) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[16]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use DeleteMatchResponse.ProtoReflect.Descriptor instead.
func (*DeleteMatchResponse) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{16}
}

func (x *DeleteMatchResponse) GetMatchId() string {
	if x != nil {
		return x.MatchId
	}
	return ""
}

func (x *DeleteMatchResponse) GetDeleteTime() *timestamppb.Timestamp {
	if x != nil {
		return x.DeleteTime
	}
	return nil
}

func (x *DeleteMatchResponse) GetPhotoMediaId() string {
	if x != nil {
		return x.PhotoMediaId
	}
	return ""
}

// One update of one match, or a heartbeat.
//
// The first seven events are durable. A durable update is sent only after it is committed. The
// durable updates of each match are numbered 1, 2, 3 … without a gap. When a stream is resumed,
// they are repeated unchanged, except for the resume_token. Progress and heartbeat are not durable:
// they carry the sequence of the last durable update. An update without an event is of a kind that
// a later version added.
type MatchUpdate struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The server's id of the match. Empty in a heartbeat of WatchMatches.
	MatchId string `protobuf:"bytes,1,opt,name=match_id,json=matchId,proto3" json:"match_id,omitempty"`
	// The number of the update. 0 in a heartbeat of WatchMatches.
	Sequence uint64 `protobuf:"varint,2,opt,name=sequence,proto3" json:"sequence,omitempty"`
	// When the update became durable; for progress and heartbeats, when it was sent.
	Time *timestamppb.Timestamp `protobuf:"bytes,3,opt,name=time,proto3" json:"time,omitempty"`
	// The match after this update. Most callers need nothing else. Unset in a heartbeat of
	// WatchMatches.
	Match *Match `protobuf:"bytes,4,opt,name=match,proto3" json:"match,omitempty"`
	// The token with which WatchMatches resumes after this update. Opaque. Set in every durable
	// update and in heartbeats of WatchMatches.
	ResumeToken string `protobuf:"bytes,5,opt,name=resume_token,json=resumeToken,proto3" json:"resume_token,omitempty"`
	// What has happened.
	//
	// Types that are valid to be assigned to Event:
	//
	//	*MatchUpdate_Accepted
	//	*MatchUpdate_PhotoUploaded
	//	*MatchUpdate_AnalysisStarted
	//	*MatchUpdate_AttemptFailed
	//	*MatchUpdate_Finished
	//	*MatchUpdate_Failed
	//	*MatchUpdate_Cancelled
	//	*MatchUpdate_Progress
	//	*MatchUpdate_Heartbeat
	Event         isMatchUpdate_Event `protobuf_oneof:"event"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *MatchUpdate) Reset() {
	*x = MatchUpdate{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[17]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *MatchUpdate) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*MatchUpdate) ProtoMessage() {}

func (x *MatchUpdate) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[17]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use MatchUpdate.ProtoReflect.Descriptor instead.
func (*MatchUpdate) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{17}
}

func (x *MatchUpdate) GetMatchId() string {
	if x != nil {
		return x.MatchId
	}
	return ""
}

func (x *MatchUpdate) GetSequence() uint64 {
	if x != nil {
		return x.Sequence
	}
	return 0
}

func (x *MatchUpdate) GetTime() *timestamppb.Timestamp {
	if x != nil {
		return x.Time
	}
	return nil
}

func (x *MatchUpdate) GetMatch() *Match {
	if x != nil {
		return x.Match
	}
	return nil
}

func (x *MatchUpdate) GetResumeToken() string {
	if x != nil {
		return x.ResumeToken
	}
	return ""
}

func (x *MatchUpdate) GetEvent() isMatchUpdate_Event {
	if x != nil {
		return x.Event
	}
	return nil
}

func (x *MatchUpdate) GetAccepted() *Accepted {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_Accepted); ok {
			return x.Accepted
		}
	}
	return nil
}

func (x *MatchUpdate) GetPhotoUploaded() *PhotoUploaded {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_PhotoUploaded); ok {
			return x.PhotoUploaded
		}
	}
	return nil
}

func (x *MatchUpdate) GetAnalysisStarted() *AnalysisStarted {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_AnalysisStarted); ok {
			return x.AnalysisStarted
		}
	}
	return nil
}

func (x *MatchUpdate) GetAttemptFailed() *AttemptFailed {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_AttemptFailed); ok {
			return x.AttemptFailed
		}
	}
	return nil
}

func (x *MatchUpdate) GetFinished() *Finished {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_Finished); ok {
			return x.Finished
		}
	}
	return nil
}

func (x *MatchUpdate) GetFailed() *Failed {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_Failed); ok {
			return x.Failed
		}
	}
	return nil
}

func (x *MatchUpdate) GetCancelled() *Cancelled {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_Cancelled); ok {
			return x.Cancelled
		}
	}
	return nil
}

func (x *MatchUpdate) GetProgress() *Progress {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_Progress); ok {
			return x.Progress
		}
	}
	return nil
}

func (x *MatchUpdate) GetHeartbeat() *Heartbeat {
	if x != nil {
		if x, ok := x.Event.(*MatchUpdate_Heartbeat); ok {
			return x.Heartbeat
		}
	}
	return nil
}

type isMatchUpdate_Event interface {
	isMatchUpdate_Event()
}

type MatchUpdate_Accepted struct {
	// The match is in the journal.
	Accepted *Accepted `protobuf:"bytes,6,opt,name=accepted,proto3,oneof"`
}

type MatchUpdate_PhotoUploaded struct {
	// The photo is at Oz.
	PhotoUploaded *PhotoUploaded `protobuf:"bytes,7,opt,name=photo_uploaded,json=photoUploaded,proto3,oneof"`
}

type MatchUpdate_AnalysisStarted struct {
	// The analysis runs at Oz.
	AnalysisStarted *AnalysisStarted `protobuf:"bytes,8,opt,name=analysis_started,json=analysisStarted,proto3,oneof"`
}

type MatchUpdate_AttemptFailed struct {
	// There is trouble at Oz. The match keeps trying until its deadline.
	AttemptFailed *AttemptFailed `protobuf:"bytes,9,opt,name=attempt_failed,json=attemptFailed,proto3,oneof"`
}

type MatchUpdate_Finished struct {
	// The match has a verdict. This is its last update.
	Finished *Finished `protobuf:"bytes,10,opt,name=finished,proto3,oneof"`
}

type MatchUpdate_Failed struct {
	// The match has ended without a verdict. This is its last update.
	Failed *Failed `protobuf:"bytes,11,opt,name=failed,proto3,oneof"`
}

type MatchUpdate_Cancelled struct {
	// A caller has cancelled the match. This is its last update.
	Cancelled *Cancelled `protobuf:"bytes,12,opt,name=cancelled,proto3,oneof"`
}

type MatchUpdate_Progress struct {
	// The progress of the match, best effort. Sent only with include_progress.
	Progress *Progress `protobuf:"bytes,13,opt,name=progress,proto3,oneof"`
}

type MatchUpdate_Heartbeat struct {
	// The stream is alive, and nothing has happened for a while.
	Heartbeat *Heartbeat `protobuf:"bytes,14,opt,name=heartbeat,proto3,oneof"`
}

func (*MatchUpdate_Accepted) isMatchUpdate_Event() {}

func (*MatchUpdate_PhotoUploaded) isMatchUpdate_Event() {}

func (*MatchUpdate_AnalysisStarted) isMatchUpdate_Event() {}

func (*MatchUpdate_AttemptFailed) isMatchUpdate_Event() {}

func (*MatchUpdate_Finished) isMatchUpdate_Event() {}

func (*MatchUpdate_Failed) isMatchUpdate_Event() {}

func (*MatchUpdate_Cancelled) isMatchUpdate_Event() {}

func (*MatchUpdate_Progress) isMatchUpdate_Event() {}

func (*MatchUpdate_Heartbeat) isMatchUpdate_Event() {}

// The match was accepted.
type Accepted struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// When the match ends as FAILED (MATCH_TIMED_OUT) unless it ends earlier.
	Deadline      *timestamppb.Timestamp `protobuf:"bytes,1,opt,name=deadline,proto3" json:"deadline,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Accepted) Reset() {
	*x = Accepted{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[18]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Accepted) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Accepted) ProtoMessage() {}

func (x *Accepted) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[18]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Accepted.ProtoReflect.Descriptor instead.
func (*Accepted) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{18}
}

func (x *Accepted) GetDeadline() *timestamppb.Timestamp {
	if x != nil {
		return x.Deadline
	}
	return nil
}

// The photo is at Oz, or was found there.
type PhotoUploaded struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Oz's id of the photo.
	PhotoMediaId string `protobuf:"bytes,1,opt,name=photo_media_id,json=photoMediaId,proto3" json:"photo_media_id,omitempty"`
	// Oz's ids of the liveness media that the photo is compared with.
	LivenessMediaIds []string `protobuf:"bytes,2,rep,name=liveness_media_ids,json=livenessMediaIds,proto3" json:"liveness_media_ids,omitempty"`
	unknownFields    protoimpl.UnknownFields
	sizeCache        protoimpl.SizeCache
}

func (x *PhotoUploaded) Reset() {
	*x = PhotoUploaded{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[19]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *PhotoUploaded) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*PhotoUploaded) ProtoMessage() {}

func (x *PhotoUploaded) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[19]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use PhotoUploaded.ProtoReflect.Descriptor instead.
func (*PhotoUploaded) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{19}
}

func (x *PhotoUploaded) GetPhotoMediaId() string {
	if x != nil {
		return x.PhotoMediaId
	}
	return ""
}

func (x *PhotoUploaded) GetLivenessMediaIds() []string {
	if x != nil {
		return x.LivenessMediaIds
	}
	return nil
}

// The analysis runs at Oz.
type AnalysisStarted struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// Oz's id of the BIOMETRY analysis.
	AnalysisId string `protobuf:"bytes,1,opt,name=analysis_id,json=analysisId,proto3" json:"analysis_id,omitempty"`
	// Oz's id of the QUALITY analysis. Set only with LIVENESS_POLICY_RUN.
	LivenessAnalysisId string `protobuf:"bytes,2,opt,name=liveness_analysis_id,json=livenessAnalysisId,proto3" json:"liveness_analysis_id,omitempty"`
	unknownFields      protoimpl.UnknownFields
	sizeCache          protoimpl.SizeCache
}

func (x *AnalysisStarted) Reset() {
	*x = AnalysisStarted{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[20]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *AnalysisStarted) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*AnalysisStarted) ProtoMessage() {}

func (x *AnalysisStarted) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[20]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use AnalysisStarted.ProtoReflect.Descriptor instead.
func (*AnalysisStarted) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{20}
}

func (x *AnalysisStarted) GetAnalysisId() string {
	if x != nil {
		return x.AnalysisId
	}
	return ""
}

func (x *AnalysisStarted) GetLivenessAnalysisId() string {
	if x != nil {
		return x.LivenessAnalysisId
	}
	return ""
}

// Trouble at Oz has begun, or its cause has changed.
type AttemptFailed struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// A stable word for the cause, such as OZ_UNREACHABLE. docs/errors.md lists all causes.
	Cause string `protobuf:"bytes,1,opt,name=cause,proto3" json:"cause,omitempty"`
	// A sentence for people. It never holds personal data.
	Message string `protobuf:"bytes,2,opt,name=message,proto3" json:"message,omitempty"`
	// When the next attempt is due.
	NextAttemptTime *timestamppb.Timestamp `protobuf:"bytes,3,opt,name=next_attempt_time,json=nextAttemptTime,proto3" json:"next_attempt_time,omitempty"`
	// Variable parts, such as oz.http_status.
	Metadata      map[string]string `protobuf:"bytes,4,rep,name=metadata,proto3" json:"metadata,omitempty" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *AttemptFailed) Reset() {
	*x = AttemptFailed{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[21]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *AttemptFailed) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*AttemptFailed) ProtoMessage() {}

func (x *AttemptFailed) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[21]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use AttemptFailed.ProtoReflect.Descriptor instead.
func (*AttemptFailed) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{21}
}

func (x *AttemptFailed) GetCause() string {
	if x != nil {
		return x.Cause
	}
	return ""
}

func (x *AttemptFailed) GetMessage() string {
	if x != nil {
		return x.Message
	}
	return ""
}

func (x *AttemptFailed) GetNextAttemptTime() *timestamppb.Timestamp {
	if x != nil {
		return x.NextAttemptTime
	}
	return nil
}

func (x *AttemptFailed) GetMetadata() map[string]string {
	if x != nil {
		return x.Metadata
	}
	return nil
}

// The match has a verdict.
type Finished struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The same as match.result.
	Result        *MatchResult `protobuf:"bytes,1,opt,name=result,proto3" json:"result,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Finished) Reset() {
	*x = Finished{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[22]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Finished) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Finished) ProtoMessage() {}

func (x *Finished) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[22]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Finished.ProtoReflect.Descriptor instead.
func (*Finished) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{22}
}

func (x *Finished) GetResult() *MatchResult {
	if x != nil {
		return x.Result
	}
	return nil
}

// The match has ended without a verdict.
type Failed struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The same as match.error.
	Error         *MatchError `protobuf:"bytes,1,opt,name=error,proto3" json:"error,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Failed) Reset() {
	*x = Failed{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[23]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Failed) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Failed) ProtoMessage() {}

func (x *Failed) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[23]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Failed.ProtoReflect.Descriptor instead.
func (*Failed) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{23}
}

func (x *Failed) GetError() *MatchError {
	if x != nil {
		return x.Error
	}
	return nil
}

// The match was cancelled.
type Cancelled struct {
	state         protoimpl.MessageState `protogen:"open.v1"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Cancelled) Reset() {
	*x = Cancelled{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[24]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Cancelled) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Cancelled) ProtoMessage() {}

func (x *Cancelled) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[24]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Cancelled.ProtoReflect.Descriptor instead.
func (*Cancelled) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{24}
}

// The progress of a match, as known to the replica that drives it.
type Progress struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The bytes of the photo that the present attempt has sent to Oz.
	BytesSent uint64 `protobuf:"varint,1,opt,name=bytes_sent,json=bytesSent,proto3" json:"bytes_sent,omitempty"`
	// The size of the photo in bytes. 0 if there is no photo to send.
	BytesTotal uint64 `protobuf:"varint,2,opt,name=bytes_total,json=bytesTotal,proto3" json:"bytes_total,omitempty"`
	// How often the analysis has been polled.
	Polls uint64 `protobuf:"varint,3,opt,name=polls,proto3" json:"polls,omitempty"`
	// How many requests to Oz have failed in a row. 0 if the last one succeeded.
	FailedAttempts uint64 `protobuf:"varint,4,opt,name=failed_attempts,json=failedAttempts,proto3" json:"failed_attempts,omitempty"`
	// The time since the match was accepted.
	Elapsed       *durationpb.Duration `protobuf:"bytes,5,opt,name=elapsed,proto3" json:"elapsed,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Progress) Reset() {
	*x = Progress{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[25]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Progress) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Progress) ProtoMessage() {}

func (x *Progress) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[25]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Progress.ProtoReflect.Descriptor instead.
func (*Progress) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{25}
}

func (x *Progress) GetBytesSent() uint64 {
	if x != nil {
		return x.BytesSent
	}
	return 0
}

func (x *Progress) GetBytesTotal() uint64 {
	if x != nil {
		return x.BytesTotal
	}
	return 0
}

func (x *Progress) GetPolls() uint64 {
	if x != nil {
		return x.Polls
	}
	return 0
}

func (x *Progress) GetFailedAttempts() uint64 {
	if x != nil {
		return x.FailedAttempts
	}
	return 0
}

func (x *Progress) GetElapsed() *durationpb.Duration {
	if x != nil {
		return x.Elapsed
	}
	return nil
}

// Shows that a stream without news is alive. Sent after every interval of silence.
type Heartbeat struct {
	state protoimpl.MessageState `protogen:"open.v1"`
	// The longest normal silence of this stream: the server's --heartbeat, which is 20 s by default.
	// A stream that is silent for several intervals is dead: reopen it over a new connection.
	Interval      *durationpb.Duration `protobuf:"bytes,1,opt,name=interval,proto3" json:"interval,omitempty"`
	unknownFields protoimpl.UnknownFields
	sizeCache     protoimpl.SizeCache
}

func (x *Heartbeat) Reset() {
	*x = Heartbeat{}
	mi := &file_facematch_v1_face_match_proto_msgTypes[26]
	ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
	ms.StoreMessageInfo(mi)
}

func (x *Heartbeat) String() string {
	return protoimpl.X.MessageStringOf(x)
}

func (*Heartbeat) ProtoMessage() {}

func (x *Heartbeat) ProtoReflect() protoreflect.Message {
	mi := &file_facematch_v1_face_match_proto_msgTypes[26]
	if x != nil {
		ms := protoimpl.X.MessageStateOf(protoimpl.Pointer(x))
		if ms.LoadMessageInfo() == nil {
			ms.StoreMessageInfo(mi)
		}
		return ms
	}
	return mi.MessageOf(x)
}

// Deprecated: Use Heartbeat.ProtoReflect.Descriptor instead.
func (*Heartbeat) Descriptor() ([]byte, []int) {
	return file_facematch_v1_face_match_proto_rawDescGZIP(), []int{26}
}

func (x *Heartbeat) GetInterval() *durationpb.Duration {
	if x != nil {
		return x.Interval
	}
	return nil
}

var File_facematch_v1_face_match_proto protoreflect.FileDescriptor

const file_facematch_v1_face_match_proto_rawDesc = "" +
	"\n" +
	"\x1dfacematch/v1/face_match.proto\x12\ffacematch.v1\x1a\x1egoogle/protobuf/duration.proto\x1a\x1fgoogle/protobuf/timestamp.proto\"\xce\x03\n" +
	"\fMatchRequest\x12\x1d\n" +
	"\n" +
	"request_id\x18\x01 \x01(\tR\trequestId\x12\x1b\n" +
	"\tfolder_id\x18\x02 \x01(\tR\bfolderId\x122\n" +
	"\x05photo\x18\x03 \x01(\v2\x1c.facematch.v1.ReferencePhotoR\x05photo\x123\n" +
	"\atimeout\x18\x04 \x01(\v2\x19.google.protobuf.DurationR\atimeout\x12,\n" +
	"\x12liveness_media_ids\x18\x05 \x03(\tR\x10livenessMediaIds\x12E\n" +
	"\x0fliveness_policy\x18\x06 \x01(\x0e2\x1c.facematch.v1.LivenessPolicyR\x0elivenessPolicy\x12>\n" +
	"\x06labels\x18\a \x03(\v2&.facematch.v1.MatchRequest.LabelsEntryR\x06labels\x12)\n" +
	"\x10include_progress\x18\b \x01(\bR\x0fincludeProgress\x1a9\n" +
	"\vLabelsEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"\xd1\x01\n" +
	"\x0eReferencePhoto\x12\x1a\n" +
	"\acontent\x18\x01 \x01(\fH\x00R\acontent\x12%\n" +
	"\rreference_key\x18\x02 \x01(\tH\x00R\freferenceKey\x12(\n" +
	"\x0ffolder_media_id\x18\x03 \x01(\tH\x00R\rfolderMediaId\x12+\n" +
	"\x04kind\x18\x04 \x01(\x0e2\x17.facematch.v1.PhotoKindR\x04kind\x12\x1b\n" +
	"\tfile_name\x18\x05 \x01(\tR\bfileNameB\b\n" +
	"\x06source\"\xa6\b\n" +
	"\x05Match\x12\x19\n" +
	"\bmatch_id\x18\x01 \x01(\tR\amatchId\x12\x1d\n" +
	"\n" +
	"request_id\x18\x02 \x01(\tR\trequestId\x12\x1b\n" +
	"\tfolder_id\x18\x03 \x01(\tR\bfolderId\x12.\n" +
	"\x05state\x18\x04 \x01(\x0e2\x18.facematch.v1.MatchStateR\x05state\x12\x1a\n" +
	"\bsequence\x18\x05 \x01(\x04R\bsequence\x12$\n" +
	"\x0ephoto_media_id\x18\x06 \x01(\tR\fphotoMediaId\x12\x1f\n" +
	"\vanalysis_id\x18\a \x01(\tR\n" +
	"analysisId\x121\n" +
	"\x06result\x18\b \x01(\v2\x19.facematch.v1.MatchResultR\x06result\x12.\n" +
	"\x05error\x18\t \x01(\v2\x18.facematch.v1.MatchErrorR\x05error\x127\n" +
	"\x06labels\x18\n" +
	" \x03(\v2\x1f.facematch.v1.Match.LabelsEntryR\x06labels\x12;\n" +
	"\vcreate_time\x18\v \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"createTime\x12;\n" +
	"\vupdate_time\x18\f \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"updateTime\x125\n" +
	"\bend_time\x18\r \x01(\v2\x1a.google.protobuf.TimestampR\aendTime\x12;\n" +
	"\vexpire_time\x18\x0e \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"expireTime\x12&\n" +
	"\x02oz\x18\x0f \x01(\v2\x16.facematch.v1.OzStatusR\x02oz\x126\n" +
	"\bdeadline\x18\x10 \x01(\v2\x1a.google.protobuf.TimestampR\bdeadline\x12/\n" +
	"\atrouble\x18\x11 \x01(\v2\x15.facematch.v1.TroubleR\atrouble\x12E\n" +
	"\x0fliveness_policy\x18\x12 \x01(\x0e2\x1c.facematch.v1.LivenessPolicyR\x0elivenessPolicy\x126\n" +
	"\n" +
	"photo_kind\x18\x13 \x01(\x0e2\x17.facematch.v1.PhotoKindR\tphotoKind\x12,\n" +
	"\x12liveness_media_ids\x18\x14 \x03(\tR\x10livenessMediaIds\x120\n" +
	"\x14liveness_analysis_id\x18\x15 \x01(\tR\x12livenessAnalysisId\x1a9\n" +
	"\vLabelsEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"\xb1\x02\n" +
	"\aTrouble\x12\x14\n" +
	"\x05cause\x18\x01 \x01(\tR\x05cause\x12\x18\n" +
	"\amessage\x18\x02 \x01(\tR\amessage\x120\n" +
	"\x05since\x18\x03 \x01(\v2\x1a.google.protobuf.TimestampR\x05since\x12F\n" +
	"\x11next_attempt_time\x18\x04 \x01(\v2\x1a.google.protobuf.TimestampR\x0fnextAttemptTime\x12?\n" +
	"\bmetadata\x18\x05 \x03(\v2#.facematch.v1.Trouble.MetadataEntryR\bmetadata\x1a;\n" +
	"\rMetadataEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"\xff\x01\n" +
	"\vMatchResult\x128\n" +
	"\n" +
	"resolution\x18\x01 \x01(\x0e2\x18.facematch.v1.ResolutionR\n" +
	"resolution\x12*\n" +
	"\x0emin_confidence\x18\x02 \x01(\x01H\x00R\rminConfidence\x88\x01\x01\x12*\n" +
	"\x0emax_confidence\x18\x03 \x01(\x01H\x01R\rmaxConfidence\x88\x01\x01\x128\n" +
	"\bliveness\x18\x04 \x01(\v2\x1c.facematch.v1.LivenessResultR\blivenessB\x11\n" +
	"\x0f_min_confidenceB\x11\n" +
	"\x0f_max_confidence\"\xb9\x01\n" +
	"\x0eLivenessResult\x128\n" +
	"\n" +
	"resolution\x18\x01 \x01(\x0e2\x18.facematch.v1.ResolutionR\n" +
	"resolution\x124\n" +
	"\x13confidence_spoofing\x18\x02 \x01(\x01H\x00R\x12confidenceSpoofing\x88\x01\x01\x12\x1f\n" +
	"\vanalysis_id\x18\x03 \x01(\tR\n" +
	"analysisIdB\x16\n" +
	"\x14_confidence_spoofing\"\xf1\x01\n" +
	"\n" +
	"MatchError\x12\x12\n" +
	"\x04code\x18\x01 \x01(\x05R\x04code\x12\x16\n" +
	"\x06reason\x18\x02 \x01(\tR\x06reason\x12\x18\n" +
	"\amessage\x18\x03 \x01(\tR\amessage\x12\x1c\n" +
	"\tretryable\x18\x04 \x01(\bR\tretryable\x12B\n" +
	"\bmetadata\x18\x05 \x03(\v2&.facematch.v1.MatchError.MetadataEntryR\bmetadata\x1a;\n" +
	"\rMetadataEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"\xc5\x01\n" +
	"\bOzStatus\x12\x14\n" +
	"\x05state\x18\x01 \x01(\tR\x05state\x12\x1e\n" +
	"\n" +
	"resolution\x18\x02 \x01(\tR\n" +
	"resolution\x12+\n" +
	"\x11resolution_status\x18\x03 \x01(\tR\x10resolutionStatus\x12\x14\n" +
	"\x05polls\x18\x04 \x01(\x04R\x05polls\x12@\n" +
	"\x0elast_poll_time\x18\x05 \x01(\v2\x1a.google.protobuf.TimestampR\flastPollTime\"U\n" +
	"\x0fGetMatchRequest\x12\x1b\n" +
	"\bmatch_id\x18\x01 \x01(\tH\x00R\amatchId\x12\x1f\n" +
	"\n" +
	"request_id\x18\x02 \x01(\tH\x00R\trequestIdB\x04\n" +
	"\x02id\"\x8b\x01\n" +
	"\x10WaitMatchRequest\x12\x1b\n" +
	"\bmatch_id\x18\x01 \x01(\tH\x00R\amatchId\x12\x1f\n" +
	"\n" +
	"request_id\x18\x02 \x01(\tH\x00R\trequestId\x123\n" +
	"\atimeout\x18\x03 \x01(\v2\x19.google.protobuf.DurationR\atimeoutB\x04\n" +
	"\x02id\"\xa9\x01\n" +
	"\x11WatchMatchRequest\x12\x1b\n" +
	"\bmatch_id\x18\x01 \x01(\tH\x00R\amatchId\x12\x1f\n" +
	"\n" +
	"request_id\x18\x02 \x01(\tH\x00R\trequestId\x12%\n" +
	"\x0eafter_sequence\x18\x03 \x01(\x04R\rafterSequence\x12)\n" +
	"\x10include_progress\x18\x04 \x01(\bR\x0fincludeProgressB\x04\n" +
	"\x02id\"\xd7\x01\n" +
	"\x13WatchMatchesRequest\x12!\n" +
	"\fresume_token\x18\x01 \x01(\tR\vresumeToken\x12\x1b\n" +
	"\tfolder_id\x18\x02 \x01(\tR\bfolderId\x12E\n" +
	"\x06labels\x18\x03 \x03(\v2-.facematch.v1.WatchMatchesRequest.LabelsEntryR\x06labels\x1a9\n" +
	"\vLabelsEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"\xa4\x03\n" +
	"\x12ListMatchesRequest\x12\x1b\n" +
	"\tpage_size\x18\x01 \x01(\x05R\bpageSize\x12\x1d\n" +
	"\n" +
	"page_token\x18\x02 \x01(\tR\tpageToken\x12\x1b\n" +
	"\tfolder_id\x18\x03 \x01(\tR\bfolderId\x12D\n" +
	"\x06labels\x18\x04 \x03(\v2,.facematch.v1.ListMatchesRequest.LabelsEntryR\x06labels\x120\n" +
	"\x06states\x18\x05 \x03(\x0e2\x18.facematch.v1.MatchStateR\x06states\x12?\n" +
	"\rcreated_after\x18\x06 \x01(\v2\x1a.google.protobuf.TimestampR\fcreatedAfter\x12A\n" +
	"\x0ecreated_before\x18\a \x01(\v2\x1a.google.protobuf.TimestampR\rcreatedBefore\x1a9\n" +
	"\vLabelsEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"l\n" +
	"\x13ListMatchesResponse\x12-\n" +
	"\amatches\x18\x01 \x03(\v2\x13.facematch.v1.MatchR\amatches\x12&\n" +
	"\x0fnext_page_token\x18\x02 \x01(\tR\rnextPageToken\"X\n" +
	"\x12CancelMatchRequest\x12\x1b\n" +
	"\bmatch_id\x18\x01 \x01(\tH\x00R\amatchId\x12\x1f\n" +
	"\n" +
	"request_id\x18\x02 \x01(\tH\x00R\trequestIdB\x04\n" +
	"\x02id\"X\n" +
	"\x12DeleteMatchRequest\x12\x1b\n" +
	"\bmatch_id\x18\x01 \x01(\tH\x00R\amatchId\x12\x1f\n" +
	"\n" +
	"request_id\x18\x02 \x01(\tH\x00R\trequestIdB\x04\n" +
	"\x02id\"\x93\x01\n" +
	"\x13DeleteMatchResponse\x12\x19\n" +
	"\bmatch_id\x18\x01 \x01(\tR\amatchId\x12;\n" +
	"\vdelete_time\x18\x02 \x01(\v2\x1a.google.protobuf.TimestampR\n" +
	"deleteTime\x12$\n" +
	"\x0ephoto_media_id\x18\x03 \x01(\tR\fphotoMediaId\"\xe7\x05\n" +
	"\vMatchUpdate\x12\x19\n" +
	"\bmatch_id\x18\x01 \x01(\tR\amatchId\x12\x1a\n" +
	"\bsequence\x18\x02 \x01(\x04R\bsequence\x12.\n" +
	"\x04time\x18\x03 \x01(\v2\x1a.google.protobuf.TimestampR\x04time\x12)\n" +
	"\x05match\x18\x04 \x01(\v2\x13.facematch.v1.MatchR\x05match\x12!\n" +
	"\fresume_token\x18\x05 \x01(\tR\vresumeToken\x124\n" +
	"\baccepted\x18\x06 \x01(\v2\x16.facematch.v1.AcceptedH\x00R\baccepted\x12D\n" +
	"\x0ephoto_uploaded\x18\a \x01(\v2\x1b.facematch.v1.PhotoUploadedH\x00R\rphotoUploaded\x12J\n" +
	"\x10analysis_started\x18\b \x01(\v2\x1d.facematch.v1.AnalysisStartedH\x00R\x0fanalysisStarted\x12D\n" +
	"\x0eattempt_failed\x18\t \x01(\v2\x1b.facematch.v1.AttemptFailedH\x00R\rattemptFailed\x124\n" +
	"\bfinished\x18\n" +
	" \x01(\v2\x16.facematch.v1.FinishedH\x00R\bfinished\x12.\n" +
	"\x06failed\x18\v \x01(\v2\x14.facematch.v1.FailedH\x00R\x06failed\x127\n" +
	"\tcancelled\x18\f \x01(\v2\x17.facematch.v1.CancelledH\x00R\tcancelled\x124\n" +
	"\bprogress\x18\r \x01(\v2\x16.facematch.v1.ProgressH\x00R\bprogress\x127\n" +
	"\theartbeat\x18\x0e \x01(\v2\x17.facematch.v1.HeartbeatH\x00R\theartbeatB\a\n" +
	"\x05event\"B\n" +
	"\bAccepted\x126\n" +
	"\bdeadline\x18\x01 \x01(\v2\x1a.google.protobuf.TimestampR\bdeadline\"c\n" +
	"\rPhotoUploaded\x12$\n" +
	"\x0ephoto_media_id\x18\x01 \x01(\tR\fphotoMediaId\x12,\n" +
	"\x12liveness_media_ids\x18\x02 \x03(\tR\x10livenessMediaIds\"d\n" +
	"\x0fAnalysisStarted\x12\x1f\n" +
	"\vanalysis_id\x18\x01 \x01(\tR\n" +
	"analysisId\x120\n" +
	"\x14liveness_analysis_id\x18\x02 \x01(\tR\x12livenessAnalysisId\"\x8b\x02\n" +
	"\rAttemptFailed\x12\x14\n" +
	"\x05cause\x18\x01 \x01(\tR\x05cause\x12\x18\n" +
	"\amessage\x18\x02 \x01(\tR\amessage\x12F\n" +
	"\x11next_attempt_time\x18\x03 \x01(\v2\x1a.google.protobuf.TimestampR\x0fnextAttemptTime\x12E\n" +
	"\bmetadata\x18\x04 \x03(\v2).facematch.v1.AttemptFailed.MetadataEntryR\bmetadata\x1a;\n" +
	"\rMetadataEntry\x12\x10\n" +
	"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n" +
	"\x05value\x18\x02 \x01(\tR\x05value:\x028\x01\"=\n" +
	"\bFinished\x121\n" +
	"\x06result\x18\x01 \x01(\v2\x19.facematch.v1.MatchResultR\x06result\"8\n" +
	"\x06Failed\x12.\n" +
	"\x05error\x18\x01 \x01(\v2\x18.facematch.v1.MatchErrorR\x05error\"\v\n" +
	"\tCancelled\"\xbe\x01\n" +
	"\bProgress\x12\x1d\n" +
	"\n" +
	"bytes_sent\x18\x01 \x01(\x04R\tbytesSent\x12\x1f\n" +
	"\vbytes_total\x18\x02 \x01(\x04R\n" +
	"bytesTotal\x12\x14\n" +
	"\x05polls\x18\x03 \x01(\x04R\x05polls\x12'\n" +
	"\x0ffailed_attempts\x18\x04 \x01(\x04R\x0efailedAttempts\x123\n" +
	"\aelapsed\x18\x05 \x01(\v2\x19.google.protobuf.DurationR\aelapsed\"B\n" +
	"\tHeartbeat\x125\n" +
	"\binterval\x18\x01 \x01(\v2\x19.google.protobuf.DurationR\binterval*W\n" +
	"\tPhotoKind\x12\x1a\n" +
	"\x16PHOTO_KIND_UNSPECIFIED\x10\x00\x12\x15\n" +
	"\x11PHOTO_KIND_SELFIE\x10\x01\x12\x17\n" +
	"\x13PHOTO_KIND_ID_FRONT\x10\x02*\x83\x01\n" +
	"\x0eLivenessPolicy\x12\x1f\n" +
	"\x1bLIVENESS_POLICY_UNSPECIFIED\x10\x00\x12\x1a\n" +
	"\x16LIVENESS_POLICY_REPORT\x10\x01\x12\x1b\n" +
	"\x17LIVENESS_POLICY_REQUIRE\x10\x02\x12\x17\n" +
	"\x13LIVENESS_POLICY_RUN\x10\x03*\xc6\x01\n" +
	"\n" +
	"MatchState\x12\x1b\n" +
	"\x17MATCH_STATE_UNSPECIFIED\x10\x00\x12\x18\n" +
	"\x14MATCH_STATE_ACCEPTED\x10\x01\x12\x18\n" +
	"\x14MATCH_STATE_UPLOADED\x10\x02\x12\x1a\n" +
	"\x16MATCH_STATE_PROCESSING\x10\x03\x12\x18\n" +
	"\x14MATCH_STATE_FINISHED\x10\x04\x12\x16\n" +
	"\x12MATCH_STATE_FAILED\x10\x05\x12\x19\n" +
	"\x15MATCH_STATE_CANCELLED\x10\x06*{\n" +
	"\n" +
	"Resolution\x12\x1a\n" +
	"\x16RESOLUTION_UNSPECIFIED\x10\x00\x12\x16\n" +
	"\x12RESOLUTION_SUCCESS\x10\x01\x12\x17\n" +
	"\x13RESOLUTION_DECLINED\x10\x02\x12 \n" +
	"\x1cRESOLUTION_OPERATOR_REQUIRED\x10\x032\x9c\x05\n" +
	"\tFaceMatch\x12C\n" +
	"\bRunMatch\x12\x1a.facematch.v1.MatchRequest\x1a\x19.facematch.v1.MatchUpdate0\x01\x12>\n" +
	"\vCreateMatch\x12\x1a.facematch.v1.MatchRequest\x1a\x13.facematch.v1.Match\x12>\n" +
	"\bGetMatch\x12\x1d.facematch.v1.GetMatchRequest\x1a\x13.facematch.v1.Match\x12@\n" +
	"\tWaitMatch\x12\x1e.facematch.v1.WaitMatchRequest\x1a\x13.facematch.v1.Match\x12J\n" +
	"\n" +
	"WatchMatch\x12\x1f.facematch.v1.WatchMatchRequest\x1a\x19.facematch.v1.MatchUpdate0\x01\x12N\n" +
	"\fWatchMatches\x12!.facematch.v1.WatchMatchesRequest\x1a\x19.facematch.v1.MatchUpdate0\x01\x12R\n" +
	"\vListMatches\x12 .facematch.v1.ListMatchesRequest\x1a!.facematch.v1.ListMatchesResponse\x12D\n" +
	"\vCancelMatch\x12 .facematch.v1.CancelMatchRequest\x1a\x13.facematch.v1.Match\x12R\n" +
	"\vDeleteMatch\x12 .facematch.v1.DeleteMatchRequest\x1a!.facematch.v1.DeleteMatchResponseBv\n" +
	"\x10dev.facematch.v1B\x0eFaceMatchProtoP\x01ZAgithub.com/facematch/facematch/clients/go/facematchv1;facematchv1\xaa\x02\fFaceMatch.V1b\x06proto3"

var (
	file_facematch_v1_face_match_proto_rawDescOnce sync.Once
	file_facematch_v1_face_match_proto_rawDescData []byte
)

func file_facematch_v1_face_match_proto_rawDescGZIP() []byte {
	file_facematch_v1_face_match_proto_rawDescOnce.Do(func() {
		file_facematch_v1_face_match_proto_rawDescData = protoimpl.X.CompressGZIP(unsafe.Slice(unsafe.StringData(file_facematch_v1_face_match_proto_rawDesc), len(file_facematch_v1_face_match_proto_rawDesc)))
	})
	return file_facematch_v1_face_match_proto_rawDescData
}

var file_facematch_v1_face_match_proto_enumTypes = make([]protoimpl.EnumInfo, 4)
var file_facematch_v1_face_match_proto_msgTypes = make([]protoimpl.MessageInfo, 34)
var file_facematch_v1_face_match_proto_goTypes = []any{
	(PhotoKind)(0),                // 0: facematch.v1.PhotoKind
	(LivenessPolicy)(0),           // 1: facematch.v1.LivenessPolicy
	(MatchState)(0),               // 2: facematch.v1.MatchState
	(Resolution)(0),               // 3: facematch.v1.Resolution
	(*MatchRequest)(nil),          // 4: facematch.v1.MatchRequest
	(*ReferencePhoto)(nil),        // 5: facematch.v1.ReferencePhoto
	(*Match)(nil),                 // 6: facematch.v1.Match
	(*Trouble)(nil),               // 7: facematch.v1.Trouble
	(*MatchResult)(nil),           // 8: facematch.v1.MatchResult
	(*LivenessResult)(nil),        // 9: facematch.v1.LivenessResult
	(*MatchError)(nil),            // 10: facematch.v1.MatchError
	(*OzStatus)(nil),              // 11: facematch.v1.OzStatus
	(*GetMatchRequest)(nil),       // 12: facematch.v1.GetMatchRequest
	(*WaitMatchRequest)(nil),      // 13: facematch.v1.WaitMatchRequest
	(*WatchMatchRequest)(nil),     // 14: facematch.v1.WatchMatchRequest
	(*WatchMatchesRequest)(nil),   // 15: facematch.v1.WatchMatchesRequest
	(*ListMatchesRequest)(nil),    // 16: facematch.v1.ListMatchesRequest
	(*ListMatchesResponse)(nil),   // 17: facematch.v1.ListMatchesResponse
	(*CancelMatchRequest)(nil),    // 18: facematch.v1.CancelMatchRequest
	(*DeleteMatchRequest)(nil),    // 19: facematch.v1.DeleteMatchRequest
	(*DeleteMatchResponse)(nil),   // 20: facematch.v1.DeleteMatchResponse
	(*MatchUpdate)(nil),           // 21: facematch.v1.MatchUpdate
	(*Accepted)(nil),              // 22: facematch.v1.Accepted
	(*PhotoUploaded)(nil),         // 23: facematch.v1.PhotoUploaded
	(*AnalysisStarted)(nil),       // 24: facematch.v1.AnalysisStarted
	(*AttemptFailed)(nil),         // 25: facematch.v1.AttemptFailed
	(*Finished)(nil),              // 26: facematch.v1.Finished
	(*Failed)(nil),                // 27: facematch.v1.Failed
	(*Cancelled)(nil),             // 28: facematch.v1.Cancelled
	(*Progress)(nil),              // 29: facematch.v1.Progress
	(*Heartbeat)(nil),             // 30: facematch.v1.Heartbeat
	nil,                           // 31: facematch.v1.MatchRequest.LabelsEntry
	nil,                           // 32: facematch.v1.Match.LabelsEntry
	nil,                           // 33: facematch.v1.Trouble.MetadataEntry
	nil,                           // 34: facematch.v1.MatchError.MetadataEntry
	nil,                           // 35: facematch.v1.WatchMatchesRequest.LabelsEntry
	nil,                           // 36: facematch.v1.ListMatchesRequest.LabelsEntry
	nil,                           // 37: facematch.v1.AttemptFailed.MetadataEntry
	(*durationpb.Duration)(nil),   // 38: google.protobuf.Duration
	(*timestamppb.Timestamp)(nil), // 39: google.protobuf.Timestamp
}
var file_facematch_v1_face_match_proto_depIdxs = []int32{
	5,  // 0: facematch.v1.MatchRequest.photo:type_name -> facematch.v1.ReferencePhoto
	38, // 1: facematch.v1.MatchRequest.timeout:type_name -> google.protobuf.Duration
	1,  // 2: facematch.v1.MatchRequest.liveness_policy:type_name -> facematch.v1.LivenessPolicy
	31, // 3: facematch.v1.MatchRequest.labels:type_name -> facematch.v1.MatchRequest.LabelsEntry
	0,  // 4: facematch.v1.ReferencePhoto.kind:type_name -> facematch.v1.PhotoKind
	2,  // 5: facematch.v1.Match.state:type_name -> facematch.v1.MatchState
	8,  // 6: facematch.v1.Match.result:type_name -> facematch.v1.MatchResult
	10, // 7: facematch.v1.Match.error:type_name -> facematch.v1.MatchError
	32, // 8: facematch.v1.Match.labels:type_name -> facematch.v1.Match.LabelsEntry
	39, // 9: facematch.v1.Match.create_time:type_name -> google.protobuf.Timestamp
	39, // 10: facematch.v1.Match.update_time:type_name -> google.protobuf.Timestamp
	39, // 11: facematch.v1.Match.end_time:type_name -> google.protobuf.Timestamp
	39, // 12: facematch.v1.Match.expire_time:type_name -> google.protobuf.Timestamp
	11, // 13: facematch.v1.Match.oz:type_name -> facematch.v1.OzStatus
	39, // 14: facematch.v1.Match.deadline:type_name -> google.protobuf.Timestamp
	7,  // 15: facematch.v1.Match.trouble:type_name -> facematch.v1.Trouble
	1,  // 16: facematch.v1.Match.liveness_policy:type_name -> facematch.v1.LivenessPolicy
	0,  // 17: facematch.v1.Match.photo_kind:type_name -> facematch.v1.PhotoKind
	39, // 18: facematch.v1.Trouble.since:type_name -> google.protobuf.Timestamp
	39, // 19: facematch.v1.Trouble.next_attempt_time:type_name -> google.protobuf.Timestamp
	33, // 20: facematch.v1.Trouble.metadata:type_name -> facematch.v1.Trouble.MetadataEntry
	3,  // 21: facematch.v1.MatchResult.resolution:type_name -> facematch.v1.Resolution
	9,  // 22: facematch.v1.MatchResult.liveness:type_name -> facematch.v1.LivenessResult
	3,  // 23: facematch.v1.LivenessResult.resolution:type_name -> facematch.v1.Resolution
	34, // 24: facematch.v1.MatchError.metadata:type_name -> facematch.v1.MatchError.MetadataEntry
	39, // 25: facematch.v1.OzStatus.last_poll_time:type_name -> google.protobuf.Timestamp
	38, // 26: facematch.v1.WaitMatchRequest.timeout:type_name -> google.protobuf.Duration
	35, // 27: facematch.v1.WatchMatchesRequest.labels:type_name -> facematch.v1.WatchMatchesRequest.LabelsEntry
	36, // 28: facematch.v1.ListMatchesRequest.labels:type_name -> facematch.v1.ListMatchesRequest.LabelsEntry
	2,  // 29: facematch.v1.ListMatchesRequest.states:type_name -> facematch.v1.MatchState
	39, // 30: facematch.v1.ListMatchesRequest.created_after:type_name -> google.protobuf.Timestamp
	39, // 31: facematch.v1.ListMatchesRequest.created_before:type_name -> google.protobuf.Timestamp
	6,  // 32: facematch.v1.ListMatchesResponse.matches:type_name -> facematch.v1.Match
	39, // 33: facematch.v1.DeleteMatchResponse.delete_time:type_name -> google.protobuf.Timestamp
	39, // 34: facematch.v1.MatchUpdate.time:type_name -> google.protobuf.Timestamp
	6,  // 35: facematch.v1.MatchUpdate.match:type_name -> facematch.v1.Match
	22, // 36: facematch.v1.MatchUpdate.accepted:type_name -> facematch.v1.Accepted
	23, // 37: facematch.v1.MatchUpdate.photo_uploaded:type_name -> facematch.v1.PhotoUploaded
	24, // 38: facematch.v1.MatchUpdate.analysis_started:type_name -> facematch.v1.AnalysisStarted
	25, // 39: facematch.v1.MatchUpdate.attempt_failed:type_name -> facematch.v1.AttemptFailed
	26, // 40: facematch.v1.MatchUpdate.finished:type_name -> facematch.v1.Finished
	27, // 41: facematch.v1.MatchUpdate.failed:type_name -> facematch.v1.Failed
	28, // 42: facematch.v1.MatchUpdate.cancelled:type_name -> facematch.v1.Cancelled
	29, // 43: facematch.v1.MatchUpdate.progress:type_name -> facematch.v1.Progress
	30, // 44: facematch.v1.MatchUpdate.heartbeat:type_name -> facematch.v1.Heartbeat
	39, // 45: facematch.v1.Accepted.deadline:type_name -> google.protobuf.Timestamp
	39, // 46: facematch.v1.AttemptFailed.next_attempt_time:type_name -> google.protobuf.Timestamp
	37, // 47: facematch.v1.AttemptFailed.metadata:type_name -> facematch.v1.AttemptFailed.MetadataEntry
	8,  // 48: facematch.v1.Finished.result:type_name -> facematch.v1.MatchResult
	10, // 49: facematch.v1.Failed.error:type_name -> facematch.v1.MatchError
	38, // 50: facematch.v1.Progress.elapsed:type_name -> google.protobuf.Duration
	38, // 51: facematch.v1.Heartbeat.interval:type_name -> google.protobuf.Duration
	4,  // 52: facematch.v1.FaceMatch.RunMatch:input_type -> facematch.v1.MatchRequest
	4,  // 53: facematch.v1.FaceMatch.CreateMatch:input_type -> facematch.v1.MatchRequest
	12, // 54: facematch.v1.FaceMatch.GetMatch:input_type -> facematch.v1.GetMatchRequest
	13, // 55: facematch.v1.FaceMatch.WaitMatch:input_type -> facematch.v1.WaitMatchRequest
	14, // 56: facematch.v1.FaceMatch.WatchMatch:input_type -> facematch.v1.WatchMatchRequest
	15, // 57: facematch.v1.FaceMatch.WatchMatches:input_type -> facematch.v1.WatchMatchesRequest
	16, // 58: facematch.v1.FaceMatch.ListMatches:input_type -> facematch.v1.ListMatchesRequest
	18, // 59: facematch.v1.FaceMatch.CancelMatch:input_type -> facematch.v1.CancelMatchRequest
	19, // 60: facematch.v1.FaceMatch.DeleteMatch:input_type -> facematch.v1.DeleteMatchRequest
	21, // 61: facematch.v1.FaceMatch.RunMatch:output_type -> facematch.v1.MatchUpdate
	6,  // 62: facematch.v1.FaceMatch.CreateMatch:output_type -> facematch.v1.Match
	6,  // 63: facematch.v1.FaceMatch.GetMatch:output_type -> facematch.v1.Match
	6,  // 64: facematch.v1.FaceMatch.WaitMatch:output_type -> facematch.v1.Match
	21, // 65: facematch.v1.FaceMatch.WatchMatch:output_type -> facematch.v1.MatchUpdate
	21, // 66: facematch.v1.FaceMatch.WatchMatches:output_type -> facematch.v1.MatchUpdate
	17, // 67: facematch.v1.FaceMatch.ListMatches:output_type -> facematch.v1.ListMatchesResponse
	6,  // 68: facematch.v1.FaceMatch.CancelMatch:output_type -> facematch.v1.Match
	20, // 69: facematch.v1.FaceMatch.DeleteMatch:output_type -> facematch.v1.DeleteMatchResponse
	61, // [61:70] is the sub-list for method output_type
	52, // [52:61] is the sub-list for method input_type
	52, // [52:52] is the sub-list for extension type_name
	52, // [52:52] is the sub-list for extension extendee
	0,  // [0:52] is the sub-list for field type_name
}

func init() { file_facematch_v1_face_match_proto_init() }
func file_facematch_v1_face_match_proto_init() {
	if File_facematch_v1_face_match_proto != nil {
		return
	}
	file_facematch_v1_face_match_proto_msgTypes[1].OneofWrappers = []any{
		(*ReferencePhoto_Content)(nil),
		(*ReferencePhoto_ReferenceKey)(nil),
		(*ReferencePhoto_FolderMediaId)(nil),
	}
	file_facematch_v1_face_match_proto_msgTypes[4].OneofWrappers = []any{}
	file_facematch_v1_face_match_proto_msgTypes[5].OneofWrappers = []any{}
	file_facematch_v1_face_match_proto_msgTypes[8].OneofWrappers = []any{
		(*GetMatchRequest_MatchId)(nil),
		(*GetMatchRequest_RequestId)(nil),
	}
	file_facematch_v1_face_match_proto_msgTypes[9].OneofWrappers = []any{
		(*WaitMatchRequest_MatchId)(nil),
		(*WaitMatchRequest_RequestId)(nil),
	}
	file_facematch_v1_face_match_proto_msgTypes[10].OneofWrappers = []any{
		(*WatchMatchRequest_MatchId)(nil),
		(*WatchMatchRequest_RequestId)(nil),
	}
	file_facematch_v1_face_match_proto_msgTypes[14].OneofWrappers = []any{
		(*CancelMatchRequest_MatchId)(nil),
		(*CancelMatchRequest_RequestId)(nil),
	}
	file_facematch_v1_face_match_proto_msgTypes[15].OneofWrappers = []any{
		(*DeleteMatchRequest_MatchId)(nil),
		(*DeleteMatchRequest_RequestId)(nil),
	}
	file_facematch_v1_face_match_proto_msgTypes[17].OneofWrappers = []any{
		(*MatchUpdate_Accepted)(nil),
		(*MatchUpdate_PhotoUploaded)(nil),
		(*MatchUpdate_AnalysisStarted)(nil),
		(*MatchUpdate_AttemptFailed)(nil),
		(*MatchUpdate_Finished)(nil),
		(*MatchUpdate_Failed)(nil),
		(*MatchUpdate_Cancelled)(nil),
		(*MatchUpdate_Progress)(nil),
		(*MatchUpdate_Heartbeat)(nil),
	}
	type x struct{}
	out := protoimpl.TypeBuilder{
		File: protoimpl.DescBuilder{
			GoPackagePath: reflect.TypeOf(x{}).PkgPath(),
			RawDescriptor: unsafe.Slice(unsafe.StringData(file_facematch_v1_face_match_proto_rawDesc), len(file_facematch_v1_face_match_proto_rawDesc)),
			NumEnums:      4,
			NumMessages:   34,
			NumExtensions: 0,
			NumServices:   1,
		},
		GoTypes:           file_facematch_v1_face_match_proto_goTypes,
		DependencyIndexes: file_facematch_v1_face_match_proto_depIdxs,
		EnumInfos:         file_facematch_v1_face_match_proto_enumTypes,
		MessageInfos:      file_facematch_v1_face_match_proto_msgTypes,
	}.Build()
	File_facematch_v1_face_match_proto = out.File
	file_facematch_v1_face_match_proto_goTypes = nil
	file_facematch_v1_face_match_proto_depIdxs = nil
}
