package facematchtest_test

import (
	"errors"
	"testing"

	"github.com/facematch/facematch/clients/go/facematch"
	"github.com/facematch/facematch/clients/go/facematchtest"
)

func TestAPendingMatchEndsAsDecidedLater(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("folder", facematchtest.Decision{Pending: true})
	run := fake.Client.Run(t.Context(), facematch.MatchRequest{FolderID: "folder", Photo: facematch.PhotoByKey("k")})
	for update, err := range run.Updates() {
		if err != nil {
			t.Fatal(err)
		}
		if update.GetAnalysisStarted() != nil {
			fake.Decide("folder", facematchtest.Decision{Resolution: facematch.ResolutionDeclined})
		}
	}
	verdict, err := run.Verdict()
	if err != nil || verdict.Resolution != facematch.ResolutionDeclined {
		t.Error(verdict, err)
	}
}

func TestTheFakeKeepsItsMatches(t *testing.T) {
	fake := facematchtest.NewFake(t)
	ctx, client := t.Context(), fake.Client
	request := facematch.MatchRequest{RequestID: "r", FolderID: "folder", Photo: facematch.PhotoInFolder("media")}
	fake.Decide("folder", facematchtest.Decision{Pending: true})
	match, err := client.Create(ctx, request)
	if err != nil || match.GetPhotoMediaId() != "media" {
		t.Fatal(match, err)
	}
	again, err := client.Create(ctx, request)
	if err != nil || again.GetMatchId() != match.GetMatchId() {
		t.Error("the same request id is another match", again, err)
	}
	other := request
	other.FolderID = "other"
	if _, err := client.Create(ctx, other); !errors.Is(err, facematch.ErrRequestIDReused) {
		t.Error(err)
	}
	if _, err := client.Create(ctx, facematch.MatchRequest{}); !errors.Is(err, facematch.ErrFieldInvalid) {
		t.Error(err)
	}
	id := facematch.RequestID("r")
	if _, err := client.Delete(ctx, id); !errors.Is(err, facematch.ErrMatchRunning) {
		t.Error(err)
	}
	if match, err := client.Cancel(ctx, id); err != nil || match.GetState() != facematch.StateCancelled {
		t.Error(match, err)
	}
	if match, err := client.Wait(ctx, id); err != nil || match.GetState() != facematch.StateCancelled {
		t.Error(match, err)
	}
	listed := 0
	for _, err := range client.List(ctx, facematch.ListRequest{States: []facematch.State{facematch.StateCancelled}}) {
		if err != nil {
			t.Fatal(err)
		}
		listed++
	}
	if deleted, err := client.Delete(ctx, id); err != nil || deleted.PhotoMediaID != "media" || listed != 1 {
		t.Error(deleted, err, listed)
	}
	if _, err := client.Get(ctx, id); !errors.Is(err, facematch.ErrMatchNotFound) {
		t.Error(err)
	}
	for _, err := range client.Watch(ctx, facematch.WatchRequest{ID: id}).Updates() {
		if !errors.Is(err, facematch.ErrMatchNotFound) {
			t.Error(err)
		}
	}
}
