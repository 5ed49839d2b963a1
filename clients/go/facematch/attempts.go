package facematch

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

// A subject is the match that a call is about, as far as it is about one.
type subject interface {
	requestID() string
	matchID() string
	matchContinues() bool
}

// outage counts the retries of one call, and knows when there is none left. It reads no clock.
type outage struct {
	retry Retry
	// isEndless: the time without progress has no limit.
	isEndless bool
	// random returns a number from 0 to 1.
	random func() float64

	// tries is the number of retries in a row without progress.
	tries        int
	since        time.Time
	firstMessage time.Time
}

// opened notes that an rpc begins.
func (o *outage) opened() { o.firstMessage = time.Time{} }

// message notes a message of the stream, new or not.
func (o *outage) message(now time.Time) {
	if o.firstMessage.IsZero() {
		o.firstMessage = now
	}
}

// progress notes something new.
func (o *outage) progress() {
	o.tries = 0
	o.since = time.Time{}
}

// pause returns the pause before the next retry, and false if there is no retry left.
func (o *outage) pause(f *failure, now time.Time) (time.Duration, bool) {
	if !o.firstMessage.IsZero() && now.Sub(o.firstMessage) >= o.retry.BackoffMax {
		// The stream worked for a while: a proxy that limits the length of calls is no outage.
		o.progress()
	}
	if o.since.IsZero() {
		o.since = now
	}
	if o.retry.TriesMax > 0 && o.tries >= o.retry.TriesMax {
		return 0, false
	}
	pause := o.delay(f)
	if !o.isEndless && now.Add(pause).Sub(o.since) > o.retry.GiveUpAfter {
		return 0, false
	}
	o.tries++
	return pause, true
}

func (o *outage) delay(f *failure) time.Duration {
	if f.isDelayed {
		// Never earlier than asked, and not all callers at once.
		return f.retryAfter + time.Duration(o.random()*float64(f.retryAfter)/2)
	}
	longest := float64(o.retry.BackoffFirst) * math.Exp2(float64(o.tries))
	return time.Duration(o.random() * min(longest, float64(o.retry.BackoffMax)))
}

// attempts are the tries of one call.
type attempts struct {
	outage
	client *Client
	// ctx is the caller's, with the time limit of the call.
	ctx   context.Context
	about subject
}

func newAttempts(ctx context.Context, client *Client, about subject) *attempts {
	return &attempts{
		outage: outage{retry: client.settings.retry, random: rand.Float64},
		client: client,
		ctx:    ctx,
		about:  about,
	}
}

// ended is the error of a call that its caller has ended; nil if the caller has not.
func (a *attempts) ended() error {
	if a.client.connections.isClosed() {
		return a.name(&Error{kind: ErrClosed, Code: codes.Canceled})
	}
	if a.ctx.Err() != nil {
		return a.name(endedError(a.ctx))
	}
	return nil
}

// again waits before the next try. It returns the error of the call if there is no further try.
func (a *attempts) again(f *failure, rpc string, mayPass bool) error {
	if err := a.ended(); err != nil {
		return err
	}
	deadline, hasDeadline := a.ctx.Deadline()
	if f.code == codes.DeadlineExceeded && !f.isDelayed && hasDeadline {
		// The server's clock, or gRPC's, was ahead of the context's.
		return a.name(deadlinePassed(f.cause))
	}
	if !mayPass {
		return f.error(nil, a.about)
	}
	pause, ok := a.pause(f, time.Now())
	if !ok {
		gaveUp := f.error(ErrGaveUp, a.about)
		gaveUp.retries = a.tries
		return gaveUp
	}
	if hasDeadline && time.Until(deadline) <= pause {
		return a.deadlineError(f)
	}
	if tell := a.client.settings.onReconnect; tell != nil {
		tell(Reconnect{Attempt: a.tries, Err: f.error(nil, a.about), Wait: pause, RPC: rpc})
	}
	return a.wait(pause)
}

func (a *attempts) wait(pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.ctx.Done():
	case <-a.client.connections.closed:
	}
	return a.ended()
}

func (a *attempts) deadlineError(f *failure) error {
	return a.name(&Error{
		Code:    codes.DeadlineExceeded,
		Message: "no retry is left before the deadline of the call; the last error: " + f.message,
		kind:    context.DeadlineExceeded,
		cause:   f.cause,
	})
}

// name adds the match to an error.
func (a *attempts) name(err *Error) *Error {
	err.RequestID, err.MatchID = a.about.requestID(), a.about.matchID()
	err.MatchContinues = a.about.matchContinues()
	return err
}

// named adds the match to any error.
func (a *attempts) named(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return a.name(own)
	}
	return err
}
