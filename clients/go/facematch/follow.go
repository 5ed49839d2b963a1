package facematch

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc/codes"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// updateStream is an open rpc that streams updates.
type updateStream = pb.FaceMatch_WatchMatchClient

// A nextCall is the rpc with which a stream begins or goes on.
type nextCall struct {
	rpc  string
	open func(context.Context, pb.FaceMatchClient) (updateStream, error)
	// isUpload: the server says nothing until a photo has arrived.
	isUpload bool
}

// taken says what a received message is.
type taken struct {
	// isProgress: it has something new.
	isProgress bool
	// isForCaller: it is handed out.
	isForCaller bool
}

// A follower knows what a stream has seen, and so which rpc comes next. It makes no call itself.
type follower interface {
	subject
	// next is the rpc that continues after what was seen.
	next() nextCall
	// take notes a message.
	take(*Update) (taken, error)
	// broke notes that an rpc failed, and reports whether the stream goes on although the same rpc
	// would be refused.
	broke(*failure) bool
	// isOver reports whether the last update was seen.
	isOver() bool
	// lookup names the match to look at if the stream ended too early; nil if there is none.
	lookup() *pb.GetMatchRequest
	// endsWith reports whether such a stream was complete, by a look at the match.
	endsWith(*Match) bool
}

// following follows one match.
type following struct {
	// run is the request to run the match; nil if it is only watched.
	run               *pb.MatchRequest
	id                ID
	includeProgress   bool
	includeHeartbeats bool

	seen         uint64
	isPhotoThere bool
	isEnded      bool
	match        *Match
	acceptance   acceptance
}

func (f *following) requestID() string {
	if f.run != nil {
		return f.run.GetRequestId()
	}
	if f.match != nil {
		return f.match.GetRequestId()
	}
	return f.id.requestID
}

func (f *following) matchID() string { return f.id.matchID }

func (f *following) matchContinues() bool { return !f.isEnded && f.acceptance.mayBe() }

func (f *following) isOver() bool { return f.isEnded }

func (f *following) next() nextCall {
	if f.run != nil && !f.isPhotoThere {
		f.acceptance.sending()
		return nextCall{
			rpc: "RunMatch",
			open: func(ctx context.Context, stub pb.FaceMatchClient) (updateStream, error) {
				return stub.RunMatch(ctx, f.run)
			},
			isUpload: true,
		}
	}
	request := f.id.watch(f.seen, f.includeProgress)
	return nextCall{
		rpc: "WatchMatch",
		open: func(ctx context.Context, stub pb.FaceMatchClient) (updateStream, error) {
			return stub.WatchMatch(ctx, request)
		},
	}
}

func (f *following) lookup() *pb.GetMatchRequest {
	if f.id == (ID{}) {
		return RequestID(f.requestID()).get()
	}
	return f.id.get()
}

func (f *following) broke(failed *failure) bool {
	f.acceptance.failed(failed)
	return false
}

func (f *following) take(update *Update) (taken, error) {
	f.acceptance.isAccepted = true
	switch update.GetEvent().(type) {
	case *pb.MatchUpdate_Progress:
		return taken{isForCaller: true}, nil
	case *pb.MatchUpdate_Heartbeat:
		return taken{isForCaller: f.includeHeartbeats}, nil
	}
	f.takeID(update.GetMatchId())
	if update.GetSequence() <= f.seen {
		return taken{}, nil
	}
	if update.GetSequence() != f.seen+1 {
		return taken{}, f.gap(update)
	}
	f.seen = update.GetSequence()
	f.match = update.GetMatch()
	f.isPhotoThere = f.isPhotoThere || f.match.GetPhotoMediaId() != ""
	f.isEnded = hasEnded(f.match.GetState())
	return taken{isProgress: true, isForCaller: true}, nil
}

// takeID learns the server's id. If the store was lost, a repeated RunMatch makes a new match, whose
// updates begin again.
func (f *following) takeID(id string) {
	if id == "" {
		return
	}
	if f.id.matchID != "" && f.id.matchID != id && f.run != nil && !f.isPhotoThere {
		f.seen = 0
	}
	f.id = MatchID(id)
}

func (f *following) gap(update *Update) error {
	return &Error{
		Code:           codes.Internal,
		Message:        fmt.Sprintf("update %d came after update %d", update.GetSequence(), f.seen),
		RequestID:      f.requestID(),
		MatchID:        f.matchID(),
		MatchContinues: true,
		kind:           ErrContract,
	}
}

func (f *following) endsWith(match *Match) bool {
	isEnd := hasEnded(match.GetState()) && match.GetSequence() == f.seen
	if isKnown(match.GetState()) && !isEnd {
		return false
	}
	if match.GetMatchId() != "" {
		f.id = MatchID(match.GetMatchId())
	}
	f.match, f.isEnded = match, true
	return true
}

// followingAll follows all matches that a filter selects. Other goroutines may ask for its token.
type followingAll struct {
	request WatchAllRequest

	mu sync.Mutex
	// known is the token of the last message.
	known string
	// token is that of the last message that the caller is done with.
	token string
	// pending is that of the message that the caller works on.
	pending string
}

func (f *followingAll) requestID() string    { return "" }
func (f *followingAll) matchID() string      { return "" }
func (f *followingAll) matchContinues() bool { return false }
func (f *followingAll) isOver() bool         { return false }

func (f *followingAll) lookup() *pb.GetMatchRequest { return nil }
func (f *followingAll) endsWith(*Match) bool        { return false }

// begin forgets the message that an earlier loop was left at: it comes again.
func (f *followingAll) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = ""
}

// done notes that the caller is done with the message that it has.
func (f *followingAll) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending != "" {
		f.token, f.pending = f.pending, ""
	}
}

func (f *followingAll) resumeToken() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.token
}

func (f *followingAll) next() nextCall {
	request := f.request.toWire(f.resumeToken())
	return nextCall{
		rpc: "WatchMatches",
		open: func(ctx context.Context, stub pb.FaceMatchClient) (updateStream, error) {
			return stub.WatchMatches(ctx, request)
		},
	}
}

func (f *followingAll) take(update *Update) (taken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token := update.GetResumeToken()
	was := taken{isProgress: token != "" && token != f.known, isForCaller: true}
	switch update.GetEvent().(type) {
	case *pb.MatchUpdate_Heartbeat:
		was.isForCaller = f.request.IncludeHeartbeats
	case *pb.MatchUpdate_Progress:
		was.isForCaller = false
	}
	if token == "" {
		return was, nil
	}
	f.known = token
	if was.isForCaller {
		f.pending = token
	} else {
		f.token = token
	}
	return was, nil
}

func (f *followingAll) broke(failed *failure) bool {
	if failed.reason != ErrTokenExpired {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.request.OnExpired {
	case ExpiredFromEarliest:
		f.token = Earliest
		return true
	case ExpiredFromNow:
		f.token = ""
		return true
	default:
		return false
	}
}
