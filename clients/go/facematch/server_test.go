package facematch_test

import (
	"errors"
	"testing"
	"time"

	"github.com/facematch/facematch/clients/go/facematch"
	"github.com/facematch/facematch/clients/go/facematchtest"
)

// All ten verbs, with the real service.
func TestAMatchFromItsBeginningToItsErasure(t *testing.T) {
	server := facematchtest.Start(t)
	ctx, client := t.Context(), server.Client
	folder := server.Oz.NewFolder(t, facematchtest.Folder{
		Verdict: facematchtest.Outcome{Resolution: "SUCCESS", MinConfidence: 0.97, Processing: time.Hour},
	})
	photo := facematch.PhotoBytes(server.Oz.Portrait(t))
	labels := map[string]string{"branch": folder}

	created, err := client.Create(ctx, facematch.MatchRequest{FolderID: folder, Photo: photo, Labels: labels})
	if err != nil || created.GetRequestId() == "" {
		t.Fatal(created, err)
	}
	id := facematch.MatchID(created.GetMatchId())
	if _, err := client.Delete(ctx, id); !errors.Is(err, facematch.ErrMatchRunning) {
		t.Error(err)
	}
	// The simulator's clock moves only analyses that have begun.
	for update, err := range client.Watch(ctx, facematch.WatchRequest{ID: id}).Updates() {
		if err != nil {
			t.Fatal(err)
		}
		if update.GetAnalysisStarted() != nil {
			break
		}
	}
	server.Oz.Skip(t, time.Hour)
	waited, err := client.Wait(ctx, facematch.RequestID(created.GetRequestId()))
	if err != nil || waited.GetState() != facematch.StateFinished {
		t.Fatal(waited, err)
	}
	verdict, err := client.Watch(ctx, facematch.WatchRequest{ID: id, AfterSequence: 2}).Verdict()
	if err != nil || !verdict.SamePerson() || !verdict.LivenessPassed() {
		t.Error(verdict, err)
	}
	if _, err := client.Cancel(ctx, id); !errors.Is(err, facematch.ErrMatchEnded) {
		t.Error(err)
	}
	listed := 0
	for match, err := range client.List(ctx, facematch.ListRequest{Labels: labels, PageSize: 1}) {
		if err != nil || match.GetMatchId() != created.GetMatchId() {
			t.Error(match, err)
		}
		listed++
	}
	if listed != 1 {
		t.Errorf("listed %d", listed)
	}
	deleted, err := client.Delete(ctx, id)
	if err != nil || deleted.PhotoMediaID == "" || deleted.AlreadyGone {
		t.Error(deleted, err)
	}
	if _, err := client.Get(ctx, id); !errors.Is(err, facematch.ErrMatchNotFound) {
		t.Error(err)
	}
	if client.ServerVersion() == "" {
		t.Error("the server's version is unknown")
	}
}

func TestTroubleAtOzIsAnUpdate(t *testing.T) {
	server := facematchtest.Start(t)
	folder := server.NewFolder(t)
	server.Oz.Rule(t, map[string]any{"endpoint": "add_media", "folder": folder, "times": 1}, map[string]any{"status": 503})
	run := server.Client.Run(t.Context(), facematch.MatchRequest{
		FolderID: folder,
		Photo:    facematch.PhotoBytes(server.Oz.Portrait(t)),
	})
	var causes []string
	for update, err := range run.Updates() {
		if err != nil {
			t.Fatal(err)
		}
		if trouble := update.GetAttemptFailed(); trouble != nil {
			causes = append(causes, trouble.GetCause())
		}
	}
	if len(causes) != 1 || causes[0] != facematch.CauseOzServerError {
		t.Error(causes)
	}
	uploads := 0
	for _, it := range server.Oz.Asked(t, folder) {
		if it.Endpoint == "add_media" {
			uploads++
		}
	}
	if uploads != 2 {
		t.Errorf("%d uploads", uploads)
	}
}

func TestAServerWithCallersWantsItsToken(t *testing.T) {
	server := facematchtest.Start(t, "--callers")
	folder := server.NewFolder(t)
	photo := facematch.PhotoBytes(server.Oz.Stranger(t))
	verdict, err := server.Client.Match(t.Context(), facematch.MatchRequest{FolderID: folder, Photo: photo})
	if err != nil || verdict.SamePerson() || verdict.Resolution != facematch.ResolutionDeclined {
		t.Error(verdict, err)
	}
	stranger, err := facematch.New(server.Target)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Get(t.Context(), facematch.MatchID(verdict.MatchID)); !errors.Is(err, facematch.ErrCredentialMissing) {
		t.Error(err)
	}
}

func TestAllWrongFieldsAreNamedAtOnce(t *testing.T) {
	server := facematchtest.Start(t)
	_, err := server.Client.Match(t.Context(), facematch.MatchRequest{
		FolderID:         "no-uuid",
		LivenessMediaIDs: []string{"no-uuid"},
	})
	var refused *facematch.Error
	if !errors.As(err, &refused) || !errors.Is(err, facematch.ErrFieldInvalid) || len(refused.Violations) != 3 {
		t.Errorf("%+v", err)
	}
}
