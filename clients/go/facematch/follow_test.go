package facematch

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

func heartbeatOf(interval time.Duration) *Update {
	return &Update{Event: &pb.MatchUpdate_Heartbeat{Heartbeat: &pb.Heartbeat{Interval: durationpb.New(interval)}}}
}

func durable(match string, sequence uint64, state State, photo string) *Update {
	return &Update{
		MatchId:  match,
		Sequence: sequence,
		Match:    &Match{MatchId: match, Sequence: sequence, State: state, PhotoMediaId: photo},
	}
}

func newRun() *following {
	return &following{run: &pb.MatchRequest{RequestId: "r"}}
}

func mustTake(t *testing.T, f follower, update *Update, forCaller bool) {
	t.Helper()
	was, err := f.take(update)
	if err != nil || was.isForCaller != forCaller {
		t.Fatalf("%v: %+v, %v", update, was, err)
	}
}

func TestThePhotoIsSentUntilTheMatchHasIt(t *testing.T) {
	f := newRun()
	mustTake(t, f, durable("m", 1, StateAccepted, ""), true)
	if next := f.next(); next.rpc != "RunMatch" || !next.isUpload {
		t.Errorf("%+v", next)
	}
	mustTake(t, f, durable("m", 2, StateUploaded, "photo"), true)
	if next := f.next(); next.rpc != "WatchMatch" || next.isUpload {
		t.Errorf("%+v", next)
	}
}

func TestSeenUpdatesAreDropped(t *testing.T) {
	f := newRun()
	mustTake(t, f, durable("m", 1, StateAccepted, ""), true)
	mustTake(t, f, durable("m", 1, StateAccepted, ""), false)
	mustTake(t, f, durable("m", 2, StateUploaded, "photo"), true)
	mustTake(t, f, durable("m", 1, StateAccepted, ""), false)
}

func TestAGapIsAnErrorOfTheContract(t *testing.T) {
	f := newRun()
	mustTake(t, f, durable("m", 1, StateAccepted, ""), true)
	_, err := f.take(durable("m", 3, StateProcessing, "photo"))
	if !errors.Is(err, ErrContract) {
		t.Errorf("%v", err)
	}
}

func TestHeartbeatsAreNoUpdatesOfTheMatch(t *testing.T) {
	f := newRun()
	mustTake(t, f, heartbeatOf(time.Second), false)
	f.includeHeartbeats = true
	was, err := f.take(heartbeatOf(time.Second))
	if err != nil || !was.isForCaller || was.isProgress {
		t.Errorf("%+v, %v", was, err)
	}
	if f.seen != 0 {
		t.Errorf("seen %d", f.seen)
	}
}

func TestALostStoreBeginsAgain(t *testing.T) {
	f := newRun()
	mustTake(t, f, durable("m1", 1, StateAccepted, ""), true)
	mustTake(t, f, durable("m2", 1, StateAccepted, ""), true)
	if f.matchID() != "m2" {
		t.Error(f.matchID())
	}
}

func TestAMatchContinuesUntilItsEnd(t *testing.T) {
	f := newRun()
	if f.matchContinues() {
		t.Error("continues before anything is sent")
	}
	f.next()
	if !f.matchContinues() {
		t.Error("a sent request may have been accepted")
	}
	f.broke(&failure{code: codes.InvalidArgument, reason: ErrFieldInvalid})
	if f.matchContinues() {
		t.Error("a refused request was not accepted")
	}
	f.next()
	f.broke(&failure{code: codes.Unavailable})
	if !f.matchContinues() {
		t.Error("a lost answer may be that of an accepted match")
	}
	mustTake(t, f, durable("m", 1, StateFailed, ""), true)
	if f.matchContinues() || !f.isOver() {
		t.Error("goes on after its end")
	}
}

func TestTheTokenMovesWithTheCaller(t *testing.T) {
	f := &followingAll{}
	mustTake(t, f, &Update{ResumeToken: "t1"}, true)
	if f.resumeToken() != "" {
		t.Error("moved while the caller works")
	}
	f.done()
	if f.resumeToken() != "t1" {
		t.Error(f.resumeToken())
	}
	beat := heartbeatOf(time.Second)
	beat.ResumeToken = "t2"
	mustTake(t, f, beat, false)
	if f.resumeToken() != "t2" {
		t.Error("a heartbeat that is kept back moves the token")
	}
	mustTake(t, f, &Update{ResumeToken: "t3"}, true)
	f.begin()
	f.done()
	if f.resumeToken() != "t2" {
		t.Error("an update at which a loop was left is not done")
	}
}

func TestAnOldTokenIsNoProgress(t *testing.T) {
	f := &followingAll{known: "t1", token: "t1"}
	if was, _ := f.take(&Update{ResumeToken: "t1"}); was.isProgress {
		t.Error("the same token is progress")
	}
	if was, _ := f.take(&Update{ResumeToken: "t2"}); !was.isProgress {
		t.Error("a new token is no progress")
	}
}
