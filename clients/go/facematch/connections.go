package facematch

import (
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// connections hands out the client's connection, and replaces one that seems dead: gRPC itself
// notices no connection that swallows everything. A replaced connection is closed when the calls that
// still use it have ended.
type connections struct {
	dial func() (*grpc.ClientConn, error)
	// silenceMin is how long a connection may leave calls unanswered.
	silenceMin time.Duration

	mu      sync.Mutex
	current *connection
	open    map[*connection]struct{}
	// closed is closed with the client.
	closed chan struct{}
}

type connection struct {
	channel *grpc.ClientConn
	stub    pb.FaceMatchClient
	users   int
	// unansweredSince is when the first call began that followed the last sign of life; zero if
	// there is none.
	unansweredSince time.Time
}

func newConnections(dial func() (*grpc.ClientConn, error), silenceMin time.Duration) (*connections, error) {
	c := &connections{
		dial:       dial,
		silenceMin: silenceMin,
		open:       make(map[*connection]struct{}),
		closed:     make(chan struct{}),
	}
	// The first one is made at once, so that New refuses what gRPC refuses. It connects at the
	// first call.
	if err := c.renewLocked(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *connections) renewLocked() error {
	channel, err := c.dial()
	if err != nil {
		return err
	}
	c.current = &connection{channel: channel, stub: pb.NewFaceMatchClient(channel)}
	c.open[c.current] = struct{}{}
	return nil
}

// acquire returns the connection for one call. Release it when the call has ended.
func (c *connections) acquire() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return nil, &Error{kind: ErrClosed}
	}
	c.current.users++
	if c.current.unansweredSince.IsZero() {
		c.current.unansweredSince = time.Now()
	}
	return c.current, nil
}

func (c *connections) release(it *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it.users--
	c.closeUnusedLocked(it)
}

// heard notes a sign of life.
func (c *connections) heard(it *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it.unansweredSince = time.Time{}
}

// renew makes the next call use another connection than this one, which seems dead and is still the
// caller's: its release closes it.
func (c *connections) renew(dead *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaceLocked(dead)
}

// suspect notes that a call ended unanswered, by its caller's deadline or cancellation. That may have
// been early, so a connection is replaced only if it has left calls unanswered for long.
func (c *connections) suspect(it *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !it.unansweredSince.IsZero() && time.Since(it.unansweredSince) >= c.silenceMin {
		c.replaceLocked(it)
	}
}

func (c *connections) replaceLocked(dead *connection) {
	if c.current != dead || c.isClosed() {
		return
	}
	// The settings have made a connection before. Should they fail now, this one stays in use.
	_ = c.renewLocked()
}

func (c *connections) closeUnusedLocked(it *connection) {
	if it == c.current || it.users > 0 {
		return
	}
	if _, ok := c.open[it]; ok {
		delete(c.open, it)
		it.channel.Close()
	}
}

// close ends all calls.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return
	}
	close(c.closed)
	for it := range c.open {
		it.channel.Close()
	}
	clear(c.open)
}

func (c *connections) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}
