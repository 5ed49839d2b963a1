// Command verdict asks whether a photo shows the person of a folder.
//
//	verdict TARGET FOLDER PHOTO
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
		log.Fatal("usage: verdict TARGET FOLDER PHOTO")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, target, folder, photo string) error {
	// README: begin
	client, err := facematch.New(target) // "dns:///facematch:50051"
	if err != nil {
		return err
	}
	defer client.Close()
	verdict, err := client.Match(ctx, facematch.MatchRequest{
		FolderID: folder,
		Photo:    facematch.PhotoFile(photo),
	})
	if err != nil {
		return err
	}
	fmt.Println("same person:", verdict.SamePerson(), "passed liveness:", verdict.LivenessPassed())
	// README: end
	return nil
}
