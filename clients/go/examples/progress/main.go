// Command progress prints each update of a match as it comes.
//
//	progress TARGET FOLDER PHOTO
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/facematch/facematch/clients/go/facematch"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: progress TARGET FOLDER PHOTO")
	}
	client, err := facematch.New(os.Args[1], facematch.OnReconnect(func(retry facematch.Reconnect) {
		log.Printf("retry %d in %v: %v", retry.Attempt, retry.Wait, retry.Err)
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	request := facematch.MatchRequest{FolderID: os.Args[2], Photo: facematch.PhotoFile(os.Args[3])}
	if err := follow(context.Background(), client, request); err != nil {
		log.Fatal(err)
	}
}

func follow(ctx context.Context, client *facematch.Client, request facematch.MatchRequest) error {
	// README: begin
	run := client.Run(ctx, request)
	for update, err := range run.Updates() {
		if err != nil {
			return err
		}
		fmt.Println(update.GetSequence(), update.GetMatch().GetState())
	}
	verdict, err := run.Verdict()
	// README: end
	fmt.Println(verdict)
	return err
}
