package facematchtest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/facematch/facematch/clients/go/facematch"
	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// errBroken is what a client sees of a lost connection.
var errBroken = status.Error(codes.Unavailable, "the fake broke the call")

// Fake is a service in memory, called through a real client. Its matches end at once, as SUCCESS
// unless Decide says otherwise. It is safe for concurrent use.
type Fake struct {
	// Client calls the fake.
	Client *facematch.Client

	mu    sync.Mutex
	state fakeState
	// decisions by folder.
	decisions map[string]Decision
	// faults by the name of the rpc, the next one first.
	faults map[string][]error
	// requests that were accepted, or repeated.
	requests []*pb.MatchRequest
}

// Decision is how the matches of a folder end. The zero value is SUCCESS.
type Decision struct {
	// Resolution of the match; zero means SUCCESS.
	Resolution facematch.Resolution
	// Confidence is the similarity, from 0 to 1; 0 means 0.97 for SUCCESS and 0.3 otherwise.
	Confidence float64
	// Fails makes the match end as FAILED with this reason, such as ErrPhotoLost.
	Fails facematch.Reason
	// Retryable is that of the failed match.
	Retryable bool
	// Pending leaves the match running until a further Decide for its folder, or until it is
	// cancelled.
	Pending bool
}

// NewFake makes a fake that ends with the test. The options are those of its client.
func NewFake(t testing.TB, options ...facematch.Option) *Fake {
	t.Helper()
	fake := &Fake{decisions: map[string]Decision{}, faults: map[string][]error{}}
	fake.state.changed, fake.state.cut = make(chan struct{}), make(chan struct{})
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(16<<20),
		grpc.UnaryInterceptor(fake.refuseUnary),
		grpc.StreamInterceptor(fake.refuseStream),
	)
	pb.RegisterFaceMatchServer(server, &fakeService{fake: fake})
	go func() { _ = server.Serve(listener) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	// Before those of the caller, which may be other ones.
	quick := []facematch.Option{
		facematch.WithPlaintextToken(),
		facematch.WithRetry(facematch.Retry{BackoffFirst: time.Millisecond, BackoffMax: 10 * time.Millisecond}),
	}
	options = append(quick, options...)
	options = append(options, facematch.WithPlaintext(), facematch.WithDialOptions(grpc.WithContextDialer(dial)))
	client, err := facematch.New("passthrough:///fake", options...)
	if err != nil {
		t.Fatalf("facematchtest: %v", err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Stop()
	})
	fake.Client = client
	return fake
}

// Decide says how the matches of a folder end, those that are pending included.
func (f *Fake) Decide(folder string, decision Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decisions[folder] = decision
	for _, it := range f.state.matches {
		if it.match.GetFolderId() == folder {
			f.state.decide(it, decision)
		}
	}
}

// Refuse lets the next call of an rpc, such as "RunMatch", be refused with a reason.
func (f *Fake) Refuse(rpc string, reason facematch.Reason) {
	f.fail(rpc, refusal(reason, nil))
}

// RefuseFor is Refuse with a RetryInfo: the client repeats the call after the delay.
func (f *Fake) RefuseFor(rpc string, reason facematch.Reason, delay time.Duration) {
	f.fail(rpc, refusal(reason, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}))
}

// Break lets the next call of an rpc break before it does anything, as a lost connection does.
func (f *Fake) Break(rpc string) {
	f.fail(rpc, errBroken)
}

// Cut breaks all open streams, as a restart of the server does. Its matches stay.
func (f *Fake) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.state.cut)
	f.state.cut = make(chan struct{})
}

// Requests returns the requests of Match, Run and Create so far, repeated ones included.
func (f *Fake) Requests() []*pb.MatchRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*pb.MatchRequest(nil), f.requests...)
}

func (f *Fake) fail(rpc string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[rpc] = append(f.faults[rpc], err)
}

// fault takes the next fault of an rpc, named by its full method.
func (f *Fake) fault(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	rpc := method[len("/facematch.v1.FaceMatch/"):]
	if len(f.faults[rpc]) == 0 {
		return nil
	}
	err := f.faults[rpc][0]
	f.faults[rpc] = f.faults[rpc][1:]
	return err
}

func (f *Fake) refuseUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := f.fault(info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

func (f *Fake) refuseStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := f.fault(info.FullMethod); err != nil {
		return err
	}
	return handle(service, stream)
}

func refusal(reason facematch.Reason, retry *errdetails.RetryInfo) error {
	refused := status.New(reason.Code(), "the fake refused the call")
	info := &errdetails.ErrorInfo{Domain: "facematch", Reason: string(reason)}
	var detailed *status.Status
	var err error
	if retry == nil {
		detailed, err = refused.WithDetails(info)
	} else {
		detailed, err = refused.WithDetails(info, retry)
	}
	if err != nil {
		return refused.Err()
	}
	return detailed.Err()
}

// admit returns the match of a request, which may be there already.
func (f *Fake) admit(request *pb.MatchRequest) (*fakeMatch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, proto.Clone(request).(*pb.MatchRequest))
	if request.GetFolderId() == "" || request.GetPhoto().GetSource() == nil {
		return nil, refusal(facematch.ErrFieldInvalid, nil)
	}
	if known := f.state.byRequestID(request.GetRequestId()); known != nil {
		if known.match.GetFolderId() != request.GetFolderId() {
			return nil, refusal(facematch.ErrRequestIDReused, nil)
		}
		return known, nil
	}
	it := f.state.accept(request)
	f.state.decide(it, f.decisions[request.GetFolderId()])
	return it, nil
}
