package facematch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// errCallTimeout is the cause of a call's end by Limits.CallTimeout.
var errCallTimeout = errors.New("the call ran into Limits.CallTimeout")

// errTryTimeout is the cause of a try's end by its own time limit.
var errTryTimeout = errors.New("the rpc was not answered")

// A method is a unary rpc of the stub.
type method[Request, Answer any] func(pb.FaceMatchClient, context.Context, Request, ...grpc.CallOption) (Answer, error)

// The unary rpcs.
var (
	createMatch method[*pb.MatchRequest, *Match]                        = pb.FaceMatchClient.CreateMatch
	getMatch    method[*pb.GetMatchRequest, *Match]                     = pb.FaceMatchClient.GetMatch
	waitMatch   method[*pb.WaitMatchRequest, *Match]                    = pb.FaceMatchClient.WaitMatch
	listMatches method[*pb.ListMatchesRequest, *pb.ListMatchesResponse] = pb.FaceMatchClient.ListMatches
	cancelMatch method[*pb.CancelMatchRequest, *Match]                  = pb.FaceMatchClient.CancelMatch
	deleteMatch method[*pb.DeleteMatchRequest, *pb.DeleteMatchResponse] = pb.FaceMatchClient.DeleteMatch
)

// oneCall is one try of a unary rpc.
type oneCall struct {
	ctx context.Context
	// timeout is how long the answer may take; 0: as long as the context lasts.
	timeout time.Duration
	// token is set to the bearer token that was sent.
	token *string
}

// do calls a unary rpc once. It returns how the rpc failed, or an error if it couldn't be called.
func do[Request, Answer any](c *Client, one oneCall, request Request, call method[Request, Answer]) (answer Answer, broken *failure, err error) {
	connection, err := c.connections.acquire()
	if err != nil {
		return answer, nil, err
	}
	defer func() { c.settle(one.ctx, connection, broken) }()
	ctx, token, err := c.outgoing(one.ctx)
	if err != nil {
		return answer, nil, err
	}
	if one.token != nil {
		*one.token = token
	}
	if one.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, one.timeout, errTryTimeout)
		defer cancel()
	}
	var header, trailer metadata.MD
	answer, err = call(connection.stub, ctx, request, grpc.Header(&header), grpc.Trailer(&trailer))
	c.noteVersion(header)
	if err == nil {
		c.connections.heard(connection)
		return answer, nil, nil
	}
	broken = failureOf(err, trailer)
	if one.ctx.Err() == nil && one.isTryTimeout(ctx, broken) {
		broken = newBroken(fmt.Sprintf("%v for %v", errTryTimeout, one.timeout))
		broken.isSilence, broken.cause = true, err
	}
	return answer, broken, nil
}

// isTryTimeout reports whether an rpc ran into the time limit of the try, and not into that of the
// call. The server knows that limit too, and may be the first to say so.
func (one oneCall) isTryTimeout(ctx context.Context, broken *failure) bool {
	if one.timeout == 0 {
		return false
	}
	if errors.Is(context.Cause(ctx), errTryTimeout) {
		return true
	}
	ofTry, _ := ctx.Deadline()
	ofCall, hasDeadline := one.ctx.Deadline()
	isOfTry := !hasDeadline || ofTry.Before(ofCall)
	return isOfTry && broken.code == codes.DeadlineExceeded && !broken.isDelayed
}

// A verb is a unary call with its retries.
type verb struct {
	about subject
	rpc   string
	// tryTimeout is how long one answer may take; 0: as long as the context lasts.
	tryTimeout time.Duration
	// sending is told of each try; failed is told how it failed. Both may be nil.
	sending func()
	failed  func(*failure)
}

// repeat calls a unary rpc until it has an answer that counts.
func repeat[Request, Answer any](ctx context.Context, c *Client, v verb, request Request, call method[Request, Answer]) (Answer, error) {
	var none Answer
	attempts := newAttempts(ctx, c, v.about)
	for {
		if err := attempts.ended(); err != nil {
			return none, err
		}
		if v.sending != nil {
			v.sending()
		}
		var token string
		one := oneCall{ctx: ctx, timeout: v.tryTimeout, token: &token}
		answer, broken, err := do(c, one, request, call)
		if err != nil {
			return none, attempts.named(err)
		}
		if broken == nil {
			return answer, nil
		}
		if err := attempts.ended(); err != nil {
			return none, err
		}
		if v.failed != nil {
			v.failed(broken)
		}
		mayPass := broken.mayPass() || c.hasOtherToken(ctx, broken, token)
		if err := attempts.again(broken, v.rpc, mayPass); err != nil {
			return none, err
		}
	}
}

// about is the match of a unary call.
type about struct {
	id ID
	// continues may be nil.
	continues func() bool
}

func (a about) requestID() string { return a.id.requestID }
func (a about) matchID() string   { return a.id.matchID }
func (a about) matchContinues() bool {
	return a.continues != nil && a.continues()
}
