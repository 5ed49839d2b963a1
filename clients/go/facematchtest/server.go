package facematchtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/facematch/facematch/clients/go/facematch"
)

const (
	binaryVariable = "FACEMATCH_BIN"
	// startTimeout is for a busy machine; a start takes tens of milliseconds.
	startTimeout = time.Minute
	// endTimeout is more than the server's drain timeout of 1 s.
	endTimeout = 20 * time.Second
)

// Server is a running service with a simulated Oz.
type Server struct {
	// Client calls the service.
	Client *facematch.Client
	// Oz is the simulated Oz.
	Oz *Simulator
	// Target is the service's address, for clients of a test's own.
	Target string
	// Token is the API key, if the server was started with the argument --callers.
	Token string
}

// Start starts a server of the test's own, and ends it with the test. The arguments are flags of
// facematch testserver, such as "--callers" or "--match-timeout=5s".
//
// The program is the one that FACEMATCH_BIN names, else facematch in the PATH. Without one the test is
// skipped; it fails if CI is set, or if FACEMATCH_BIN names no program.
func Start(t testing.TB, arguments ...string) *Server {
	t.Helper()
	server := start(t, binary(t), arguments)
	options := []facematch.Option{}
	if server.Token != "" {
		options = append(options, facematch.WithToken(server.Token))
	}
	client, err := facematch.New(server.Target, options...)
	if err != nil {
		t.Fatalf("facematchtest: %v", err)
	}
	// Cleanups run from the last to the first: the client is closed before the server ends.
	t.Cleanup(func() { client.Close() })
	server.Client = client
	return server
}

// NewFolder makes a folder at Oz whose liveness media show the person of [Simulator.Portrait]. Make one
// for each match or test: a folder takes ten media, and each match leaves a photo in it.
func (s *Server) NewFolder(t testing.TB) string {
	t.Helper()
	return s.Oz.NewFolder(t, Folder{})
}

func binary(t testing.TB) string {
	t.Helper()
	if named := os.Getenv(binaryVariable); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			t.Fatalf("facematchtest: %s names no program: %v", binaryVariable, err)
		}
		return path
	}
	path, err := exec.LookPath("facematch")
	if err == nil {
		return path
	}
	const missing = "facematchtest: there is no facematch program: set " + binaryVariable + ", or put it into the PATH"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// ready is the line that the server prints. Later versions may add keys.
type ready struct {
	GRPC      string `json:"grpc"`
	Simulator string `json:"simulator"`
	Token     string `json:"token"`
}

func start(t testing.TB, path string, arguments []string) *Server {
	t.Helper()
	command := exec.Command(path, append([]string{"testserver"}, arguments...)...)
	var log lockedBuffer
	command.Stderr = &log
	// The server ends when this pipe is closed, also because the test's process has died.
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatalf("facematchtest: %v", err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatalf("facematchtest: %v", err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("facematchtest: %v", err)
	}
	line, err := firstLine(stdout)
	ended := make(chan error, 1)
	go func() {
		// Wait closes the pipe, so it follows the first line. Nothing else is printed.
		ended <- command.Wait()
	}()
	t.Cleanup(func() { end(t, command, stdin, ended, &log) })
	if err != nil {
		t.Fatalf("facematchtest: the server didn't start: %v\n%s", err, log.String())
	}
	var it ready
	if err := json.Unmarshal(line, &it); err != nil {
		t.Fatalf("facematchtest: the server's first line isn't JSON: %v", err)
	}
	return &Server{Target: it.GRPC, Token: it.Token, Oz: newSimulator(it.Simulator)}
}

func firstLine(from io.Reader) ([]byte, error) {
	type read struct {
		line []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := bufio.NewReader(from).ReadBytes('\n')
		done <- read{line, err}
	}()
	select {
	case it := <-done:
		if errors.Is(it.err, io.EOF) {
			it.err = errors.New("it printed nothing")
		}
		return it.line, it.err
	case <-time.After(startTimeout):
		return nil, fmt.Errorf("it printed nothing for %v", startTimeout)
	}
}

func end(t testing.TB, command *exec.Cmd, stdin io.Closer, ended <-chan error, log *lockedBuffer) {
	stdin.Close()
	var err error
	select {
	case err = <-ended:
	case <-time.After(endTimeout):
		_ = command.Process.Kill()
		err = fmt.Errorf("it was still there after %v", endTimeout)
		<-ended
	}
	if err != nil {
		t.Errorf("facematchtest: the server didn't end in order: %v", err)
	}
	if t.Failed() && log.String() != "" {
		t.Logf("facematchtest: the server's log:\n%s", log.String())
	}
}

// lockedBuffer holds the server's log, which another goroutine writes.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
