// Package testing shows how a caller's code is tested: with the real service and a simulated Oz, and
// with a fake in memory.
package testing

import (
	"context"
	"testing"

	"github.com/facematch/facematch/clients/go/facematch"
	"github.com/facematch/facematch/clients/go/facematchtest"
)

// letIn is the code under test.
func letIn(ctx context.Context, client *facematch.Client, folder string, photo []byte) (bool, error) {
	verdict, err := client.Match(ctx, facematch.MatchRequest{
		FolderID: folder,
		Photo:    facematch.PhotoBytes(photo),
	})
	return verdict.SamePerson(), err
}

// README: begin
func TestASimulatedOzLetsThePersonIn(t *testing.T) {
	server := facematchtest.Start(t) // FACEMATCH_BIN, or facematch in the PATH
	ok, err := letIn(t.Context(), server.Client, server.NewFolder(t), server.Oz.Portrait(t))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
}

func TestAFakeDeclines(t *testing.T) {
	fake := facematchtest.NewFake(t)
	fake.Decide("folder", facematchtest.Decision{Resolution: facematch.ResolutionDeclined})
	ok, err := letIn(t.Context(), fake.Client, "folder", []byte("photo"))
	if err != nil || ok {
		t.Fatal(ok, err)
	}
}

// README: end
