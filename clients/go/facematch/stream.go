package facematch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// endTimeout is how long a stream may take to end after its last update.
const endTimeout = time.Second

// MatchStream streams the updates of one match. It is for one goroutine at a time.
//
// Nothing is sent before the first update is asked for.
type MatchStream struct {
	client *Client
	ctx    context.Context
	follow *following
	// prepare reads the photo, once.
	prepare func() error
}

// RequestID is the caller's own id of the match, which is known before anything is sent. It is empty
// for a stream that watches by the server's id, before the first update.
func (s *MatchStream) RequestID() string { return s.follow.requestID() }

// MatchID is the server's id of the match; empty before the first update.
func (s *MatchStream) MatchID() string { return s.follow.matchID() }

// Match is the match as of the last update; nil before the first one.
func (s *MatchStream) Match() *Match { return s.follow.match }

// Updates iterates over the updates, each durable one once and in order, across broken connections.
// It ends after the last update of the match, also of one that FAILED, or with an error. Leaving the
// loop ends the call and not the match; a further loop continues after the last update.
func (s *MatchStream) Updates() iter.Seq2[*Update, error] {
	return func(yield func(*Update, error) bool) {
		puller := newPuller(s.ctx, s.client, s.follow)
		defer puller.close()
		if err := s.prepareOnce(puller.attempts); err != nil {
			yield(nil, err)
			return
		}
		puller.forEach(yield)
	}
}

func (s *MatchStream) prepareOnce(attempts *attempts) error {
	if s.prepare == nil {
		return nil
	}
	// A call that its caller has ended already reads no photo.
	if err := attempts.ended(); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return attempts.named(err)
	}
	s.prepare = nil
	return nil
}

// Verdict reads the rest of the updates and returns the verdict. A match that FAILED or was cancelled
// is an error: [ErrMatchFailed] with its reason, or [ErrMatchCancelled].
func (s *MatchStream) Verdict() (Verdict, error) {
	for _, err := range s.Updates() {
		if err != nil {
			return Verdict{}, err
		}
	}
	return verdictOf(s.follow.match)
}

// String names the match, by the ids that are known.
func (s *MatchStream) String() string {
	parts := []string{"stream of a match"}
	if id := s.MatchID(); id != "" {
		parts = append(parts, "match id "+id)
	}
	if id := s.RequestID(); id != "" {
		parts = append(parts, "request id "+id)
	}
	return strings.Join(parts, ", ")
}

// GoString is String, so that %#v shows no more.
func (s *MatchStream) GoString() string { return s.String() }

// AllStream streams the updates of all matches that a filter selects. It doesn't end by itself. It is
// for one goroutine at a time, except for ResumeToken.
type AllStream struct {
	client *Client
	ctx    context.Context
	follow *followingAll
}

// Updates iterates over the updates, across broken connections. The end of the body of a loop says
// that the caller is done with its update: only then does ResumeToken move past it. An update at which
// the loop was left is therefore not done, unless Done says so, and a further loop begins with it.
func (s *AllStream) Updates() iter.Seq2[*Update, error] {
	return func(yield func(*Update, error) bool) {
		s.follow.begin()
		puller := newPuller(s.ctx, s.client, s.follow)
		puller.attempts.isEndless = true
		defer puller.close()
		puller.forEach(func(update *Update, err error) bool {
			if !yield(update, err) {
				return false
			}
			s.Done()
			return true
		})
	}
}

// Done says that the caller is done with the update that it has, before the body of the loop ends.
func (s *AllStream) Done() { s.follow.done() }

// ResumeToken is the token after the last update that the caller is done with, heartbeats included.
// Store it, and WatchAll continues after a restart of the caller.
func (s *AllStream) ResumeToken() string { return s.follow.resumeToken() }

// A puller reads the messages of one stream, over one rpc after the other.
type puller struct {
	client   *Client
	follow   follower
	attempts *attempts
	// rpc is the open one; nil between two.
	rpc *openRPC
	// name and token are those of the last rpc.
	name, token string
}

func newPuller(ctx context.Context, client *Client, follow follower) *puller {
	return &puller{client: client, follow: follow, attempts: newAttempts(ctx, client, follow)}
}

func (p *puller) forEach(yield func(*Update, error) bool) {
	for {
		update, err := p.next()
		if err != nil {
			yield(nil, err)
			return
		}
		if update == nil || !yield(update, nil) {
			return
		}
	}
}

// next returns the next update for the caller; nil after the last one.
func (p *puller) next() (*Update, error) {
	for !p.follow.isOver() {
		if err := p.attempts.ended(); err != nil {
			return nil, err
		}
		update, broken, err := p.receive()
		if err != nil {
			return nil, err
		}
		if broken != nil {
			if err := p.recover(broken); err != nil {
				return nil, err
			}
			continue
		}
		if update == nil {
			continue
		}
		was, err := p.follow.take(update)
		if err != nil {
			return nil, err
		}
		if was.isProgress {
			p.attempts.progress()
		}
		if was.isForCaller {
			return update, nil
		}
	}
	p.awaitEnd()
	return nil, nil
}

// awaitEnd lets the rpc end with OK after the last update: cancelled, it would be an error in traces and
// metrics.
func (p *puller) awaitEnd() {
	if p.rpc == nil {
		return
	}
	for {
		if _, err := p.rpc.receive(endTimeout); err != nil {
			p.closeRPC(nil)
			return
		}
	}
}

// receive returns the next message, or how the rpc broke. It returns neither if the stream is over.
func (p *puller) receive() (*Update, *failure, error) {
	isFirst := p.rpc == nil
	if isFirst {
		if broken, err := p.open(); broken != nil || err != nil {
			return nil, broken, err
		}
	}
	update, err := p.rpc.receive(p.client.silence.limit(p.rpc.isUpload))
	if errors.Is(err, io.EOF) {
		broken, err := p.lookAfterEnd()
		return nil, broken, err
	}
	if err != nil {
		return nil, p.rpc.failure(err), nil
	}
	p.rpc.isUpload = false
	p.attempts.message(time.Now())
	p.client.silence.note(update)
	p.client.connections.heard(p.rpc.connection)
	if isFirst {
		p.client.noteVersion(p.rpc.header())
	}
	return update, nil, nil
}

func (p *puller) open() (*failure, error) {
	connection, err := p.client.connections.acquire()
	if err != nil {
		return nil, p.attempts.named(err)
	}
	ctx, token, err := p.client.outgoing(p.attempts.ctx)
	if err != nil {
		p.client.connections.release(connection)
		return nil, p.attempts.named(err)
	}
	next := p.follow.next()
	p.name, p.token = next.rpc, token
	p.attempts.opened()
	p.rpc = newOpenRPC(ctx, connection, next)
	if err := p.rpc.open(p.client.silence.limit(next.isUpload)); err != nil {
		return p.rpc.failure(err), nil
	}
	return nil, nil
}

// lookAfterEnd looks at the match, since its stream ended with OK before an ending update.
func (p *puller) lookAfterEnd() (*failure, error) {
	p.closeRPC(nil)
	const early = "the stream ended before the match did"
	match := p.follow.lookup()
	if match == nil {
		return newBroken(early), nil
	}
	one := oneCall{ctx: p.attempts.ctx, timeout: p.client.settings.limits.CallTimeout}
	seen, broken, err := do(p.client, one, match, getMatch)
	if err != nil {
		return nil, p.attempts.named(err)
	}
	if broken == nil && !p.follow.endsWith(seen) {
		broken = newBroken(early)
	}
	return broken, nil
}

// recover waits before the next try. It returns the error of the stream if there is none.
func (p *puller) recover(broken *failure) error {
	p.closeRPC(broken)
	if err := p.attempts.ended(); err != nil {
		return err
	}
	goesOn := p.follow.broke(broken)
	mayPass := broken.mayPass() || goesOn || p.client.hasOtherToken(p.attempts.ctx, broken, p.token)
	return p.attempts.again(broken, p.name, mayPass)
}

// close ends the open rpc.
func (p *puller) close() { p.closeRPC(nil) }

// closeRPC ends the open rpc, and replaces its connection if that seems dead.
func (p *puller) closeRPC(broken *failure) {
	if p.rpc == nil {
		return
	}
	p.rpc.cancel(context.Canceled)
	p.client.settle(p.attempts.ctx, p.rpc.connection, broken)
	p.rpc = nil
}

// An openRPC is one rpc that streams updates.
type openRPC struct {
	connection *connection
	next       nextCall
	ctx        context.Context
	cancel     context.CancelCauseFunc
	stream     updateStream
	// isUpload: the server says nothing until a photo has arrived.
	isUpload bool
}

func newOpenRPC(ctx context.Context, connection *connection, next nextCall) *openRPC {
	rpc := &openRPC{connection: connection, next: next, isUpload: next.isUpload}
	rpc.ctx, rpc.cancel = context.WithCancelCause(ctx)
	return rpc
}

// open begins the rpc. gRPC connects here, and sends the request.
func (r *openRPC) open(limit time.Duration) (err error) {
	defer r.watch(limit)()
	r.stream, err = r.next.open(r.ctx, r.connection.stub)
	return err
}

// receive waits for the next message, and returns io.EOF at an end with OK.
func (r *openRPC) receive(limit time.Duration) (*Update, error) {
	defer r.watch(limit)()
	return r.stream.Recv()
}

// watch cancels the rpc after a silence. The returned function ends the watch: only the time in which
// a message is awaited counts.
func (r *openRPC) watch(limit time.Duration) (stop func()) {
	cause := fmt.Errorf("%w for %v", errSilent, limit)
	timer := time.AfterFunc(limit, func() { r.cancel(cause) })
	return func() { timer.Stop() }
}

func (r *openRPC) header() metadata.MD {
	header, err := r.stream.Header()
	if err != nil {
		return nil
	}
	return header
}

// failure is how the rpc broke.
func (r *openRPC) failure(err error) *failure {
	if cause := context.Cause(r.ctx); errors.Is(cause, errSilent) {
		return &failure{code: codes.Unavailable, message: cause.Error(), isSilence: true, cause: err}
	}
	if r.stream == nil {
		return failureOf(err, nil)
	}
	return failureOf(err, r.stream.Trailer())
}
