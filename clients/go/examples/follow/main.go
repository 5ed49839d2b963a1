// Command follow prints the end of each match of a folder, and continues after its own restart where
// it has stopped: the token is stored after an update is processed, so none is missed.
//
//	follow TARGET FOLDER TOKEN-FILE
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"

	"github.com/facematch/facematch/clients/go/facematch"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: follow TARGET FOLDER TOKEN-FILE")
	}
	client, err := facematch.New(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = follow(ctx, client, os.Args[2], os.Args[3])
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func follow(ctx context.Context, client *facematch.Client, folder, tokenFile string) error {
	token, err := os.ReadFile(tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		token = []byte(facematch.Earliest)
	} else if err != nil {
		return err
	}
	// README: begin
	all := client.WatchAll(ctx, facematch.WatchAllRequest{FolderID: folder, ResumeToken: string(token)})
	for update, err := range all.Updates() {
		if err != nil {
			return err
		}
		process(update)
		if err := os.WriteFile(tokenFile, []byte(update.GetResumeToken()), 0o600); err != nil {
			return err
		}
	}
	// README: end
	return nil
}

func process(update *facematch.Update) {
	if update.GetMatch().GetEndTime() != nil {
		fmt.Println(update.GetMatchId(), update.GetMatch().GetState())
	}
}
