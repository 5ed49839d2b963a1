// Package facematchtest is for the tests of callers.
//
// [Start] starts the real service with a simulated Oz, and ends it with the test:
//
//	server := facematchtest.Start(t)
//	verdict, err := server.Client.Match(ctx, facematch.MatchRequest{
//		FolderID: server.NewFolder(t),
//		Photo:    facematch.PhotoBytes(server.Oz.Portrait(t)),
//	})
//
// [NewFake] is a service in memory, for unit tests without a process: it keeps matches, decides what it
// was told to, and refuses and breaks calls on demand. It knows no Oz and judges no photo.
package facematchtest
