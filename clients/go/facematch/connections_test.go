package facematch

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

func newTestConnections(t *testing.T) *connections {
	t.Helper()
	dial := func() (*grpc.ClientConn, error) {
		return grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	c, err := newConnections(dial, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func mustAcquire(t *testing.T, c *connections) *connection {
	t.Helper()
	it, err := c.acquire()
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func isShut(it *connection) bool { return it.channel.GetState() == connectivity.Shutdown }

func TestADeadConnectionIsReplacedAndClosedAfterItsCalls(t *testing.T) {
	c := newTestConnections(t)
	first, also := mustAcquire(t, c), mustAcquire(t, c)
	if first != also {
		t.Fatal("two calls have two connections")
	}
	c.renew(first)
	c.renew(first)
	next := mustAcquire(t, c)
	if next == first || isShut(first) {
		t.Error("the dead connection is used, or closed while a call uses it")
	}
	c.release(first)
	c.release(also)
	if !isShut(first) || isShut(next) {
		t.Error("the dead connection stays open after its calls")
	}
}

func TestAConnectionThatAnswersIsKept(t *testing.T) {
	c := newTestConnections(t)
	it := mustAcquire(t, c)
	it.unansweredSince = time.Now().Add(-2 * time.Hour)
	c.heard(it)
	c.suspect(it)
	if mustAcquire(t, c) != it {
		t.Error("replaced")
	}
}

func TestAConnectionThatLeavesCallsUnansweredForLongIsReplaced(t *testing.T) {
	c := newTestConnections(t)
	it := mustAcquire(t, c)
	c.suspect(it)
	if mustAcquire(t, c) != it {
		t.Error("replaced at the first call without an answer")
	}
	it.unansweredSince = time.Now().Add(-2 * time.Hour)
	c.suspect(it)
	if mustAcquire(t, c) == it {
		t.Error("kept")
	}
}

func TestTheEndOfACallTellsOfItsConnection(t *testing.T) {
	const moment, long = time.Second, 2 * time.Hour
	ended := func(cause error) context.Context {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 0, cause)
		t.Cleanup(cancel)
		return ctx
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var (
		late    = &failure{code: codes.DeadlineExceeded}
		left    = &failure{code: codes.Canceled}
		gone    = &failure{code: codes.Unavailable}
		refused = &failure{code: codes.DeadlineExceeded, reason: ErrCallTimedOut}
	)
	cases := []struct {
		name       string
		ctx        context.Context
		broken     *failure
		unanswered time.Duration
		// What is known afterwards.
		isReplaced, isHeard bool
	}{
		{"silence", t.Context(), &failure{isSilence: true}, moment, true, false},
		{"the library's limit", ended(errCallTimeout), late, moment, true, false},
		{"a caller's short deadline", ended(nil), late, moment, false, false},
		{"the last of many short deadlines", ended(nil), late, long, true, false},
		{"an early cancellation", cancelled, left, moment, false, false},
		{"the last of many cancellations", cancelled, left, long, true, false},
		{"a deadline that the server tells", t.Context(), late, long, false, true},
		{"a refusal at the deadline", ended(nil), refused, long, false, true},
		{"a lost connection, which gRPC opens again", ended(nil), gone, long, false, true},
	}
	for _, it := range cases {
		connections := newTestConnections(t)
		client := &Client{connections: connections}
		used := mustAcquire(t, connections)
		used.unansweredSince = time.Now().Add(-it.unanswered)
		client.settle(it.ctx, used, it.broken)
		if isReplaced := connections.current != used; isReplaced != it.isReplaced {
			t.Errorf("%s: replaced: %v", it.name, isReplaced)
		}
		if isHeard := used.unansweredSince.IsZero(); isHeard != it.isHeard {
			t.Errorf("%s: taken for a sign of life: %v", it.name, isHeard)
		}
	}
}

func TestAClosedClientHasNoConnection(t *testing.T) {
	c := newTestConnections(t)
	it := mustAcquire(t, c)
	c.close()
	c.close()
	if _, err := c.acquire(); err == nil || !isShut(it) {
		t.Error("a connection after the end")
	}
	c.renew(it)
	c.release(it)
}
