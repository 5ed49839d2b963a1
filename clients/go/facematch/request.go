package facematch

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// Earliest is the resume token of the oldest retained update.
const Earliest = "earliest"

// MatchRequest says what to match: a photo against the liveness media of a folder at Oz.
type MatchRequest struct {
	// FolderID is Oz's id of the folder, a UUID. Required.
	FolderID string
	// Photo is required.
	Photo Photo
	// PhotoKind is what the photo shows; zero means a selfie.
	PhotoKind PhotoKind

	// RequestID is the caller's own id of the match, which makes every repeat the same match: 1 to
	// 128 printable ASCII characters. Empty: a new one is made. Store it before the call to
	// continue after a crash of the caller.
	RequestID string
	// Timeout limits the match, at most 24 h; 0 means the server's limit. The deadline of the
	// context limits only the call.
	Timeout time.Duration

	// LivenessMediaIDs are the liveness media to compare the photo with. Empty: the newest ones.
	LivenessMediaIDs []string
	// LivenessPolicy is how the match uses the folder's liveness analysis; zero means
	// LivenessReport. A verdict doesn't include liveness, see [Verdict.LivenessPassed].
	LivenessPolicy LivenessPolicy
	// Labels select matches in List and WatchAll. Never put personal data here.
	Labels map[string]string

	// IncludeProgress makes Run hand out progress too.
	IncludeProgress bool
	// IncludeHeartbeats makes Run hand out heartbeats too.
	IncludeHeartbeats bool
}

// String names the match without its labels.
func (r MatchRequest) String() string {
	return fmt.Sprintf("match of %v with folder %s (request id %q)", r.Photo, r.FolderID, r.RequestID)
}

// GoString is String, so that %#v shows no more.
func (r MatchRequest) GoString() string { return r.String() }

// withID makes a request id if there is none.
func (r MatchRequest) withID() MatchRequest {
	if r.RequestID == "" {
		r.RequestID = NewRequestID()
	}
	return r
}

// toWireWithoutPhoto copies what the caller may change while a stream is open.
func (r MatchRequest) toWireWithoutPhoto() *pb.MatchRequest {
	wire := &pb.MatchRequest{
		RequestId:        r.RequestID,
		FolderId:         r.FolderID,
		LivenessMediaIds: slices.Clone(r.LivenessMediaIDs),
		LivenessPolicy:   r.LivenessPolicy,
		Labels:           maps.Clone(r.Labels),
		IncludeProgress:  r.IncludeProgress,
	}
	if r.Timeout != 0 {
		wire.Timeout = durationpb.New(r.Timeout)
	}
	return wire
}

// NewRequestID makes a request id: at least 128 random bits.
func NewRequestID() string { return rand.Text() }

// ID names one match.
type ID struct {
	matchID, requestID string
}

// MatchID names a match by the server's id.
func MatchID(id string) ID { return ID{matchID: id} }

// RequestID names a match by the caller's own id.
func RequestID(id string) ID { return ID{requestID: id} }

// String is the id.
func (id ID) String() string { return id.matchID + id.requestID }

func (id ID) get() *pb.GetMatchRequest {
	if id.requestID != "" {
		return &pb.GetMatchRequest{Id: &pb.GetMatchRequest_RequestId{RequestId: id.requestID}}
	}
	return &pb.GetMatchRequest{Id: &pb.GetMatchRequest_MatchId{MatchId: id.matchID}}
}

func (id ID) wait(timeout time.Duration) *pb.WaitMatchRequest {
	wire := &pb.WaitMatchRequest{Timeout: durationpb.New(timeout)}
	if id.requestID != "" {
		wire.Id = &pb.WaitMatchRequest_RequestId{RequestId: id.requestID}
	} else {
		wire.Id = &pb.WaitMatchRequest_MatchId{MatchId: id.matchID}
	}
	return wire
}

func (id ID) watch(afterSequence uint64, includeProgress bool) *pb.WatchMatchRequest {
	wire := &pb.WatchMatchRequest{AfterSequence: afterSequence, IncludeProgress: includeProgress}
	if id.requestID != "" {
		wire.Id = &pb.WatchMatchRequest_RequestId{RequestId: id.requestID}
	} else {
		wire.Id = &pb.WatchMatchRequest_MatchId{MatchId: id.matchID}
	}
	return wire
}

func (id ID) cancel() *pb.CancelMatchRequest {
	if id.requestID != "" {
		return &pb.CancelMatchRequest{Id: &pb.CancelMatchRequest_RequestId{RequestId: id.requestID}}
	}
	return &pb.CancelMatchRequest{Id: &pb.CancelMatchRequest_MatchId{MatchId: id.matchID}}
}

func (id ID) erase() *pb.DeleteMatchRequest {
	if id.requestID != "" {
		return &pb.DeleteMatchRequest{Id: &pb.DeleteMatchRequest_RequestId{RequestId: id.requestID}}
	}
	return &pb.DeleteMatchRequest{Id: &pb.DeleteMatchRequest_MatchId{MatchId: id.matchID}}
}

// WatchRequest says which match to watch, and from where on.
type WatchRequest struct {
	// ID is required.
	ID ID
	// AfterSequence is the number of the last update that the caller has; 0 begins with the first.
	AfterSequence uint64
	// IncludeProgress hands out progress too.
	IncludeProgress bool
	// IncludeHeartbeats hands out heartbeats too.
	IncludeHeartbeats bool
}

// ExpiredPolicy is what WatchAll does with a resume token that is older than the oldest retained
// update.
type ExpiredPolicy int

const (
	// ExpiredFails ends the stream with ErrTokenExpired.
	ExpiredFails ExpiredPolicy = iota
	// ExpiredFromEarliest continues with the oldest retained update; those before it are missed.
	ExpiredFromEarliest
	// ExpiredFromNow continues with the next update; all before it are missed.
	ExpiredFromNow
)

// WatchAllRequest says which matches to watch, and from where on.
type WatchAllRequest struct {
	// ResumeToken is where the stream begins: after the update with this token, at [Earliest], or,
	// if empty, now.
	ResumeToken string
	// OnExpired is what to do with a token that has expired.
	OnExpired ExpiredPolicy
	// FolderID selects the matches of one folder.
	FolderID string
	// Labels selects the matches that have all of these labels.
	Labels map[string]string
	// IncludeHeartbeats hands out heartbeats too. They have a token, and no match.
	IncludeHeartbeats bool
}

func (r WatchAllRequest) toWire(token string) *pb.WatchMatchesRequest {
	return &pb.WatchMatchesRequest{ResumeToken: token, FolderId: r.FolderID, Labels: r.Labels}
}

// ListRequest selects matches; zero fields select all.
type ListRequest struct {
	// FolderID selects the matches of one folder.
	FolderID string
	// Labels selects the matches that have all of these labels.
	Labels map[string]string
	// States selects the matches in one of these states.
	States []State
	// CreatedAfter selects matches accepted at this time or later.
	CreatedAfter time.Time
	// CreatedBefore selects matches accepted before this time.
	CreatedBefore time.Time
	// PageSize is the most matches that one rpc returns, at most 1,000; 0 means 50.
	PageSize int32
}

func (r ListRequest) toWire() *pb.ListMatchesRequest {
	wire := &pb.ListMatchesRequest{
		PageSize: r.PageSize,
		FolderId: r.FolderID,
		Labels:   r.Labels,
		States:   r.States,
	}
	if !r.CreatedAfter.IsZero() {
		wire.CreatedAfter = timestamppb.New(r.CreatedAfter)
	}
	if !r.CreatedBefore.IsZero() {
		wire.CreatedBefore = timestamppb.New(r.CreatedBefore)
	}
	return wire
}
