// Command resume survives its own crash: the request id is stored before the first call, so that a
// second start continues the same match.
//
//	resume TARGET FOLDER PHOTO RECORD
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"

	"github.com/facematch/facematch/clients/go/facematch"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: resume TARGET FOLDER PHOTO RECORD")
	}
	client, err := facematch.New(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	record := record(os.Args[4])
	if err := match(context.Background(), client, record, os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func match(ctx context.Context, client *facematch.Client, record record, folder, photo string) error {
	// README: begin
	id, err := record.requestID() // stored by an earlier start, or empty
	if err != nil {
		return err
	}
	if id == "" {
		id = facematch.NewRequestID()
		if err := record.store(id); err != nil {
			return err
		}
	}
	verdict, err := client.Match(ctx, facematch.MatchRequest{
		RequestID: id, // the same id and content are the same match
		FolderID:  folder,
		Photo:     facematch.PhotoFile(photo),
	})
	// README: end
	if err != nil {
		return err
	}
	fmt.Println(verdict.MatchID, verdict.SamePerson())
	return nil
}

// record is the caller's own record of a check, here a file.
type record string

func (r record) requestID() (string, error) {
	id, err := os.ReadFile(string(r))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(id), err
}

func (r record) store(id string) error {
	return os.WriteFile(string(r), []byte(id), 0o600)
}
