package facematch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/facematch/facematch/clients/go/facematch"
	"github.com/facematch/facematch/clients/go/facematchtest"
)

var photo = facematch.PhotoBytes([]byte("photo"))

func request(folder string) facematch.MatchRequest {
	return facematch.MatchRequest{FolderID: folder, Photo: photo}
}

func TestOnlySuccessIsTheSamePerson(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("declined", facematchtest.Decision{Resolution: facematch.ResolutionDeclined})
	fake.Decide("operator", facematchtest.Decision{Resolution: facematch.ResolutionOperatorRequired})
	for folder, want := range map[string]bool{"success": true, "declined": false, "operator": false} {
		verdict, err := fake.Client.Match(t.Context(), request(folder))
		if err != nil || verdict.SamePerson() != want || verdict.RequestID == "" {
			t.Errorf("%s: %v, %v", folder, verdict, err)
		}
	}
	if (facematch.Verdict{}).SamePerson() {
		t.Error("the zero verdict is the same person")
	}
}

func TestUnknownResolutionsAreNoVerdict(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("later", facematchtest.Decision{Resolution: 9})
	verdict, err := fake.Client.Match(t.Context(), request("later"))
	if !errors.Is(err, facematch.ErrContract) || verdict.SamePerson() {
		t.Errorf("%v, %v", verdict, err)
	}
}

func TestAFailedMatchIsATypedError(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("folder", facematchtest.Decision{Fails: facematch.ErrPhotoLost, Retryable: true})
	_, err := fake.Client.Match(t.Context(), request("folder"))
	var failed *facematch.Error
	if !errors.As(err, &failed) || !failed.Retryable || failed.MatchID == "" || failed.MatchContinues {
		t.Fatalf("%+v", err)
	}
	if !errors.Is(err, facematch.ErrMatchFailed) || !errors.Is(err, facematch.ErrPhotoLost) {
		t.Errorf("%v", err)
	}
	if errors.Is(err, facematch.ErrOzForbidden) {
		t.Error("it is of another reason as well")
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("its code is %v", status.Code(err))
	}
}

func TestARefusedCallIsATypedError(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Refuse("RunMatch", facematch.ErrPhotoUnreadable)
	_, err := fake.Client.Match(t.Context(), request("folder"))
	var refused *facematch.Error
	if !errors.Is(err, facematch.ErrPhotoUnreadable) || !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	if refused.RequestID == "" || refused.MatchContinues {
		t.Errorf("%+v", refused)
	}
}

func TestABrokenCallIsRepeatedAsTheSameMatch(t *testing.T) {
	var told []facematch.Reconnect
	fake := facematchtest.NewFake(t, facematch.OnReconnect(func(it facematch.Reconnect) { told = append(told, it) }))
	fake.Break("RunMatch")
	fake.RefuseFor("RunMatch", facematch.ErrOverloaded, 20*time.Millisecond)
	run := fake.Client.Run(t.Context(), request("folder"))
	id := run.RequestID()
	if id == "" || len(fake.Requests()) != 0 {
		t.Fatalf("the request id is %q, and %d requests were sent", id, len(fake.Requests()))
	}
	if _, err := run.Verdict(); err != nil {
		t.Fatal(err)
	}
	if got := fake.Requests(); len(got) != 1 || got[0].GetRequestId() != id {
		t.Errorf("accepted: %v", got)
	}
	if len(told) != 2 || told[1].Attempt != 2 || told[1].Wait < 20*time.Millisecond || !errors.Is(told[1].Err, facematch.ErrOverloaded) {
		t.Errorf("told: %+v", told)
	}
}

func TestALeftLoopContinues(t *testing.T) {
	fake := facematchtest.NewFake(t)
	run := fake.Client.Run(t.Context(), request("folder"))
	var seen []uint64
	for range 2 {
		for update, err := range run.Updates() {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, update.GetSequence())
			break
		}
	}
	verdict, err := run.Verdict()
	if err != nil || len(seen) != 2 || seen[0] != 1 || seen[1] != 2 || verdict.Match.GetSequence() != 4 {
		t.Errorf("%v, %v, %v", seen, verdict, err)
	}
}

func TestTheCallersDeadlineEndsTheCallAndNotTheMatch(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("folder", facematchtest.Decision{Pending: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := fake.Client.Match(ctx, request("folder"))
	var ended *facematch.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ended) || !ended.MatchContinues {
		t.Fatalf("%+v", err)
	}
	match, err := fake.Client.Get(t.Context(), facematch.RequestID(ended.RequestID))
	if err != nil || match.GetState() != facematch.StateProcessing {
		t.Errorf("%v, %v", match, err)
	}
}

func TestACancelledContextSendsNothing(t *testing.T) {
	fake := facematchtest.NewFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user left")
	cancel(cause)
	_, err := fake.Client.Match(ctx, request("folder"))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || len(fake.Requests()) != 0 {
		t.Errorf("%v, %d requests", err, len(fake.Requests()))
	}
}

func TestAClosedClientEndsItsCalls(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("folder", facematchtest.Decision{Pending: true})
	for update, err := range fake.Client.Run(t.Context(), request("folder")).Updates() {
		if err != nil {
			if !errors.Is(err, facematch.ErrClosed) {
				t.Error(err)
			}
			break
		}
		if update.GetSequence() == 3 {
			fake.Client.Close()
		}
	}
	if _, err := fake.Client.Get(t.Context(), facematch.MatchID("m")); !errors.Is(err, facematch.ErrClosed) {
		t.Error(err)
	}
}

func TestARetryGivesUp(t *testing.T) {
	fake := facematchtest.NewFake(t, facematch.WithRetry(facematch.Retry{TriesMax: 2, BackoffFirst: 1}))
	for range 3 {
		fake.Break("GetMatch")
	}
	_, err := fake.Client.Get(t.Context(), facematch.MatchID("m"))
	if !errors.Is(err, facematch.ErrGaveUp) || status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

func TestRetriesAreCountedFromTheLastProgress(t *testing.T) {
	fake := facematchtest.NewFake(t, facematch.WithRetry(facematch.Retry{TriesMax: 1, BackoffFirst: 1, BackoffMax: time.Hour}))
	all := fake.Client.WatchAll(t.Context(), facematch.WatchAllRequest{ResumeToken: facematch.Earliest})
	if _, err := fake.Client.Match(t.Context(), request("folder")); err != nil {
		t.Fatal(err)
	}
	ends := 0
	for update, err := range all.Updates() {
		if err != nil {
			t.Fatal(err)
		}
		if update.GetFinished() == nil {
			continue
		}
		if ends++; ends == 5 {
			break
		}
		fake.Cut()
		if _, err := fake.Client.Match(t.Context(), request("folder")); err != nil {
			t.Fatal(err)
		}
	}
	if ends != 5 {
		t.Errorf("%d ends", ends)
	}
}

func TestAMatchOutlivesItsBrokenStreams(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("folder", facematchtest.Decision{Pending: true})
	var seen []uint64
	for update, err := range fake.Client.Run(t.Context(), request("folder")).Updates() {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, update.GetSequence())
		if update.GetSequence() == 3 {
			fake.Cut()
			fake.Decide("folder", facematchtest.Decision{})
		}
	}
	if !slices.Equal(seen, []uint64{1, 2, 3, 4}) || len(fake.Requests()) != 1 {
		t.Errorf("updates %v, the photo was sent %d times", seen, len(fake.Requests()))
	}
}

func TestAPauseEndsWithTheClient(t *testing.T) {
	var fake *facematchtest.Fake
	fake = facematchtest.NewFake(t, facematch.OnReconnect(func(facematch.Reconnect) { go fake.Client.Close() }))
	fake.RefuseFor("RunMatch", facematch.ErrOverloaded, 2*time.Minute)
	if _, err := fake.Client.Match(t.Context(), request("folder")); !errors.Is(err, facematch.ErrClosed) {
		t.Error(err)
	}
}

func TestAPauseThatWouldOutlastTheDeadlineIsNotWaitedFor(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.RefuseFor("RunMatch", facematch.ErrOverloaded, 2*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := fake.Client.Match(ctx, request("folder"))
	var ended *facematch.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ended) || ctx.Err() != nil {
		t.Fatalf("%v, the context: %v", err, ctx.Err())
	}
	if ended.MatchContinues {
		t.Error("a refused match goes on")
	}
}

// ends notes how rpcs ended, as traces and metrics show it.
type ends struct {
	mu   sync.Mutex
	errs []error
}

func (e *ends) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (e *ends) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *ends) HandleConn(context.Context, stats.ConnStats)                       {}

func (e *ends) HandleRPC(_ context.Context, it stats.RPCStats) {
	if end, ok := it.(*stats.End); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.errs = append(e.errs, end.Error)
	}
}

func TestAMatchThatEndedIsNoCancelledCall(t *testing.T) {
	ended := &ends{}
	fake := facematchtest.NewFake(t, facematch.WithDialOptions(grpc.WithStatsHandler(ended)))
	if _, err := fake.Client.Match(t.Context(), request("folder")); err != nil {
		t.Fatal(err)
	}
	ended.mu.Lock()
	defer ended.mu.Unlock()
	if len(ended.errs) != 1 || ended.errs[0] != nil {
		t.Errorf("the rpc ended with %v", ended.errs)
	}
}

func TestWatchAllHandsOutEachUpdateAtLeastOnce(t *testing.T) {
	fake := facematchtest.NewFake(t)
	if _, err := fake.Client.Match(t.Context(), request("folder")); err != nil {
		t.Fatal(err)
	}
	all := fake.Client.WatchAll(t.Context(), facematch.WatchAllRequest{ResumeToken: facematch.Earliest})
	take := func(count int) (sequences []uint64) {
		for update, err := range all.Updates() {
			if err != nil {
				t.Fatal(err)
			}
			sequences = append(sequences, update.GetSequence())
			if len(sequences) == count {
				return
			}
		}
		return
	}
	if first := take(2); first[0] != 1 || first[1] != 2 {
		t.Error(first)
	}
	// The loop was left at update 2, so that is not done.
	if second := take(2); second[0] != 2 || second[1] != 3 {
		t.Error(second)
	}
	all.Done()
	if third := take(1); third[0] != 4 {
		t.Error(third)
	}
}

func TestAnUnknownTokenIsAnError(t *testing.T) {
	fake := facematchtest.NewFake(t)
	all := fake.Client.WatchAll(t.Context(), facematch.WatchAllRequest{ResumeToken: "nonsense"})
	for _, err := range all.Updates() {
		if !errors.Is(err, facematch.ErrTokenInvalid) {
			t.Error(err)
		}
	}
}

func TestADeleteWhoseAnswerWasLostHasSucceeded(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Break("DeleteMatch")
	deleted, err := fake.Client.Delete(t.Context(), facematch.MatchID("gone"))
	if err != nil || !deleted.AlreadyGone || deleted.MatchID != "gone" {
		t.Errorf("%+v, %v", deleted, err)
	}
	if _, err := fake.Client.Delete(t.Context(), facematch.MatchID("gone")); !errors.Is(err, facematch.ErrMatchNotFound) {
		t.Error(err)
	}
}

func TestTheTokenIsAskedForEachCall(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	fake := facematchtest.NewFake(t, facematch.WithTokenFunc(func(context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		return strings.Repeat("k", asked), nil
	}))
	fake.Break("GetMatch")
	// An expired token is no end if there is another one.
	fake.Refuse("GetMatch", facematch.ErrCredentialExpired)
	if _, err := fake.Client.Get(t.Context(), facematch.MatchID("m")); !errors.Is(err, facematch.ErrMatchNotFound) {
		t.Error(err)
	}
	if asked != 4 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAnExpiredTokenThatStaysTheSameIsAnEnd(t *testing.T) {
	fake := facematchtest.NewFake(t, facematch.WithToken("k"))
	fake.Refuse("GetMatch", facematch.ErrCredentialExpired)
	if _, err := fake.Client.Get(t.Context(), facematch.MatchID("m")); !errors.Is(err, facematch.ErrCredentialExpired) {
		t.Error(err)
	}
}

func TestOneClientServesManyGoroutines(t *testing.T) {
	fake := facematchtest.NewFake(t)
	var all sync.WaitGroup
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			fake.Break("RunMatch")
			if _, err := fake.Client.Match(t.Context(), request("folder")); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
}
