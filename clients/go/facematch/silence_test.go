package facematch_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/facematch/facematch/clients/go/facematch"
)

// blackHole accepts connections and says nothing. It returns its address and the number of connections.
func blackHole(t *testing.T) (string, *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var accepted atomic.Int32
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { connection.Close() })
			accepted.Add(1)
		}
	}()
	return listener.Addr().String(), &accepted
}

func silentClient(t *testing.T, target string) *facematch.Client {
	t.Helper()
	client, err := facematch.New(
		target,
		facematch.WithRetry(facematch.Retry{TriesMax: 2, BackoffFirst: 1}),
		facematch.WithLimits(facematch.Limits{
			CallTimeout:    50 * time.Millisecond,
			WaitStep:       time.Millisecond,
			SilenceUnknown: 50 * time.Millisecond,
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestASilentStreamIsOpenedAgainOverNewConnections(t *testing.T) {
	target, accepted := blackHole(t)
	client := silentClient(t, target)
	for _, err := range client.WatchAll(t.Context(), facematch.WatchAllRequest{}).Updates() {
		if !errors.Is(err, facematch.ErrGaveUp) || !strings.Contains(err.Error(), "gave up after retry 2: the stream is silent") {
			t.Error(err)
		}
	}
	if got := accepted.Load(); got != 3 {
		t.Errorf("%d connections for three tries", got)
	}
}

func TestAnUnansweredWaitUsesNewConnections(t *testing.T) {
	target, accepted := blackHole(t)
	client := silentClient(t, target)
	if _, err := client.Wait(t.Context(), facematch.MatchID("m")); !errors.Is(err, facematch.ErrGaveUp) {
		t.Error(err)
	}
	if got := accepted.Load(); got != 3 {
		t.Errorf("%d connections for three tries", got)
	}
}

func TestACallAfterAnUnansweredOneUsesANewConnection(t *testing.T) {
	target, accepted := blackHole(t)
	client := silentClient(t, target)
	for range 2 {
		_, err := client.Get(t.Context(), facematch.MatchID("m"))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Limits.CallTimeout") {
			t.Error(err)
		}
	}
	if got := accepted.Load(); got != 2 {
		t.Errorf("%d connections for two calls", got)
	}
}
