// Command errors says what to do about the error of a match.
//
//	errors TARGET FOLDER PHOTO
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/facematch/facematch/clients/go/facematch"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: errors TARGET FOLDER PHOTO")
	}
	client, err := facematch.New(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	request := facematch.MatchRequest{FolderID: os.Args[2], Photo: facematch.PhotoFile(os.Args[3])}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(advice(client.Match(ctx, request)))
}

func advice(verdict facematch.Verdict, err error) string {
	// README: begin
	var failed *facematch.Error
	switch {
	case err == nil && verdict.SamePerson():
		return "let the person in"
	case err == nil:
		return "not the same person, or a case for an operator"
	case errors.Is(err, facematch.ErrPhotoUnreadable), errors.Is(err, facematch.ErrPhotoTooLarge):
		return "ask for another photo"
	case errors.Is(err, facematch.ErrLivenessMediaNotFound):
		return "let the person repeat the liveness check"
	case errors.As(err, &failed) && failed.MatchContinues:
		return "the match goes on: repeat the call with the request id " + failed.RequestID
	default:
		return "no verdict: " + err.Error()
	}
	// README: end
}
