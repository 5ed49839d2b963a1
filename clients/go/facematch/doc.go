// Package facematch is the client of the FaceMatch service: is the person in this photo the person in
// the liveness media of that folder at Oz?
//
//	client, err := facematch.New("dns:///facematch:50051")
//	...
//	verdict, err := client.Match(ctx, facematch.MatchRequest{
//		FolderID: folder,
//		Photo:    facematch.PhotoFile("portrait.jpg"),
//	})
//	if err == nil && verdict.SamePerson() {
//		...
//	}
//
// # Broken connections
//
// A broken connection, a restarted server or a draining one ends no match, and is not the caller's
// concern: every verb repeats its call by itself, and every stream continues after the last update
// that it has handed out. Each match has a request id, chosen by the caller or by this package, so
// that a repeat never makes a second match. A photo is not sent again once it is at Oz. A stream that
// is silent for longer than the server's heartbeats allow is opened again over a new connection.
// [OnReconnect] tells of each retry, and [Retry] says when to give up.
//
// # Errors
//
// Each error is an [*Error], which has the code, the reason, and the id with which the call can be
// repeated. There is a sentinel for each reason, and one for each other way in which a call ends:
//
//	errors.Is(err, facematch.ErrPhotoUnreadable)   // the server refused the call
//	errors.Is(err, facematch.ErrOzFolderNotFound)  // the match FAILED
//	errors.Is(err, facematch.ErrGaveUp)            // the server was away for too long
//	errors.Is(err, context.DeadlineExceeded)       // the deadline of ctx; the match may continue
//
// # The contract
//
// The messages of the contract are in package facematchv1. Values of later versions pass through as
// they are, and a resolution that this version doesn't know is never a success.
//
// Package facematchtest starts a server with a simulated Oz for tests, or a fake in memory.
package facematch

// Version is the version of this package, and of the server that it was released with.
const Version = "0.1.0"
