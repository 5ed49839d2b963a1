package facematch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

const (
	versionHeader       = "facematch-version"
	authorizationHeader = "authorization"
)

// Client calls a FaceMatch service. It is safe for concurrent use, and one client is enough for a
// process: all its calls share one connection.
type Client struct {
	target      string
	settings    *settings
	connections *connections
	silence     silence
	version     atomic.Pointer[string]
}

// New makes a client of the service at a target: HOST:PORT, a URL with http:// or https://, or any
// other target of gRPC, such as dns:///facematch:50051. It connects at the first call.
//
// The connection uses TLS, and the system's authorities, unless the target is a loopback address or
// begins with http://.
func New(target string, options ...Option) (*Client, error) {
	settings, err := newSettings(target, options)
	if err != nil {
		return nil, err
	}
	dialOptions, err := settings.dialOptions()
	if err != nil {
		return nil, err
	}
	dial := func() (*grpc.ClientConn, error) { return grpc.NewClient(settings.address, dialOptions...) }
	connections, err := newConnections(dial, settings.limits.SilenceMin)
	if err != nil {
		return nil, usageError("%w", err)
	}
	client := &Client{target: target, settings: settings, connections: connections}
	client.silence.limits = settings.limits
	return client, nil
}

// Close ends all calls, with [ErrClosed], and closes the connection. Matches go on.
func (c *Client) Close() error {
	c.connections.close()
	return nil
}

// String names the target.
func (c *Client) String() string { return fmt.Sprintf("client of %s", c.target) }

// GoString is String, so that %#v shows no token.
func (c *Client) GoString() string { return c.String() }

// ServerVersion is the version of the server that answered last; empty before the first answer.
func (c *Client) ServerVersion() string {
	if version := c.version.Load(); version != nil {
		return *version
	}
	return ""
}

// Match runs a match and returns its verdict. DECLINED and OPERATOR_REQUIRED are verdicts; a match
// that FAILED or was cancelled is an error, [ErrMatchFailed] or [ErrMatchCancelled].
func (c *Client) Match(ctx context.Context, request MatchRequest) (Verdict, error) {
	return c.Run(ctx, request).Verdict()
}

// Run runs a match and streams its updates. The request id is known before the stream begins:
//
//	run := client.Run(ctx, request)
//	save(run.RequestID())
//	for update, err := range run.Updates() {
func (c *Client) Run(ctx context.Context, request MatchRequest) *MatchStream {
	request = request.withID()
	follow := &following{
		run:               request.toWireWithoutPhoto(),
		includeProgress:   request.IncludeProgress,
		includeHeartbeats: request.IncludeHeartbeats,
	}
	prepare := func() (err error) {
		follow.run.Photo, err = request.Photo.toWire(request.PhotoKind)
		return err
	}
	return &MatchStream{client: c, ctx: ctx, follow: follow, prepare: prepare}
}

// Watch streams the updates of a match after the last one that the caller has.
func (c *Client) Watch(ctx context.Context, request WatchRequest) *MatchStream {
	follow := &following{
		id:                request.ID,
		includeProgress:   request.IncludeProgress,
		includeHeartbeats: request.IncludeHeartbeats,
		seen:              request.AfterSequence,
		isPhotoThere:      true,
		acceptance:        acceptance{isAccepted: true},
	}
	return &MatchStream{client: c, ctx: ctx, follow: follow}
}

// WatchAll streams the updates of all matches that the request selects, and doesn't end by itself.
func (c *Client) WatchAll(ctx context.Context, request WatchAllRequest) *AllStream {
	follow := &followingAll{request: request, known: request.ResumeToken, token: request.ResumeToken}
	return &AllStream{client: c, ctx: ctx, follow: follow}
}

// Create accepts a match and returns it once a crash of the server can't lose its photo any more. It
// usually goes on: follow it by Wait or Watch.
func (c *Client) Create(ctx context.Context, request MatchRequest) (*Match, error) {
	request = request.withID()
	var accepted acceptance
	who := about{id: RequestID(request.RequestID), continues: accepted.mayBe}
	attempts := newAttempts(ctx, c, who)
	if err := attempts.ended(); err != nil {
		return nil, err
	}
	photo, err := request.Photo.toWire(request.PhotoKind)
	if err != nil {
		return nil, attempts.named(err)
	}
	wire := request.toWireWithoutPhoto()
	wire.Photo = photo
	return repeat(ctx, c, verb{
		about:      who,
		rpc:        "CreateMatch",
		tryTimeout: 3 * c.settings.limits.CallTimeout,
		sending:    accepted.sending,
		failed:     accepted.failed,
	}, wire, createMatch)
}

// Get returns a match in its present state.
func (c *Client) Get(ctx context.Context, id ID) (*Match, error) {
	ctx, cancel := c.withCallTimeout(ctx)
	defer cancel()
	return repeat(ctx, c, verb{about: about{id: id}, rpc: "GetMatch"}, id.get(), getMatch)
}

// Wait returns a match once it has ended, whether FINISHED, FAILED or CANCELLED.
func (c *Client) Wait(ctx context.Context, id ID) (*Match, error) {
	limits := c.settings.limits
	v := verb{
		about:      about{id: id, continues: func() bool { return true }},
		rpc:        "WaitMatch",
		tryTimeout: limits.WaitStep + limits.CallTimeout,
	}
	for {
		asked := time.Now()
		match, err := repeat(ctx, c, v, id.wait(limits.WaitStep), waitMatch)
		if err != nil || hasEnded(match.GetState()) {
			return match, err
		}
		if !isKnown(match.GetState()) && time.Since(asked) < limits.WaitStep {
			// The server answers before its time only if the match has ended.
			return match, nil
		}
	}
}

// List iterates over the matches that the request selects, newest first. It asks for one page after
// the other, as the loop goes on.
func (c *Client) List(ctx context.Context, request ListRequest) iter.Seq2[*Match, error] {
	return func(yield func(*Match, error) bool) {
		wire := request.toWire()
		for {
			page, err := c.page(ctx, wire)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, match := range page.GetMatches() {
				if !yield(match, nil) {
					return
				}
			}
			wire.PageToken = page.GetNextPageToken()
			if wire.PageToken == "" {
				return
			}
		}
	}
}

// Cancel ends a match as CANCELLED and returns it. Nothing is undone at Oz.
func (c *Client) Cancel(ctx context.Context, id ID) (*Match, error) {
	ctx, cancel := c.withCallTimeout(ctx)
	defer cancel()
	return repeat(ctx, c, verb{about: about{id: id}, rpc: "CancelMatch"}, id.cancel(), cancelMatch)
}

// Delete erases a match that has ended. Nothing is erased at Oz. If an answer was lost and the repeat
// finds no match any more, the match is erased, too.
func (c *Client) Delete(ctx context.Context, id ID) (Deleted, error) {
	ctx, cancel := c.withCallTimeout(ctx)
	defer cancel()
	mayBeGone := false
	failed := func(f *failure) { mayBeGone = mayBeGone || f.mayHaveActed() }
	v := verb{about: about{id: id}, rpc: "DeleteMatch", failed: failed}
	answer, err := repeat(ctx, c, v, id.erase(), deleteMatch)
	if mayBeGone && errors.Is(err, ErrMatchNotFound) {
		return Deleted{MatchID: id.matchID, AlreadyGone: true}, nil
	}
	if err != nil {
		return Deleted{}, err
	}
	return Deleted{
		MatchID:      answer.GetMatchId(),
		PhotoMediaID: answer.GetPhotoMediaId(),
		Time:         answer.GetDeleteTime().AsTime(),
	}, nil
}

// page asks for one page of List.
func (c *Client) page(ctx context.Context, request *pb.ListMatchesRequest) (*pb.ListMatchesResponse, error) {
	ctx, cancel := c.withCallTimeout(ctx)
	defer cancel()
	return repeat(ctx, c, verb{about: about{}, rpc: "ListMatches"}, request, listMatches)
}

func (c *Client) withCallTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.settings.limits.CallTimeout, errCallTimeout)
}

// outgoing adds the headers and the token, which it returns too.
func (c *Client) outgoing(ctx context.Context) (context.Context, string, error) {
	headers, _ := metadata.FromOutgoingContext(ctx)
	headers = headers.Copy()
	if headers == nil {
		headers = metadata.MD{}
	}
	for name, value := range c.settings.headers {
		headers.Set(name, value)
	}
	token, err := c.token(ctx)
	if err != nil {
		return nil, "", err
	}
	if token != "" {
		headers.Set(authorizationHeader, "Bearer "+token)
	}
	return metadata.NewOutgoingContext(ctx, headers), token, nil
}

func (c *Client) token(ctx context.Context) (string, error) {
	if c.settings.token == nil {
		return "", nil
	}
	token, err := c.settings.token.token(ctx)
	if err != nil {
		return "", &Error{Code: codes.Unauthenticated, Message: "there is no token: " + err.Error(), cause: err}
	}
	return token, nil
}

// hasOtherToken reports whether a call whose token has expired has another one now.
func (c *Client) hasOtherToken(ctx context.Context, f *failure, used string) bool {
	if f.reason != ErrCredentialExpired || c.settings.token == nil {
		return false
	}
	token, err := c.settings.token.token(ctx)
	return err == nil && token != used
}

// settle releases the connection of a call whose context is ctx, and replaces it if it seems dead.
func (c *Client) settle(ctx context.Context, it *connection, broken *failure) {
	switch {
	case broken == nil:
	case broken.isSilence:
		c.connections.renew(it)
	case !broken.isEndOf(ctx):
		c.connections.heard(it)
	case errors.Is(context.Cause(ctx), errCallTimeout):
		c.connections.renew(it)
	default:
		c.connections.suspect(it)
	}
	c.connections.release(it)
}

func (c *Client) noteVersion(header metadata.MD) {
	if values := header.Get(versionHeader); len(values) > 0 {
		c.version.Store(&values[0])
	}
}
