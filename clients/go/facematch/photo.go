package facematch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// photoBytesMax is the contract's limit of a photo: 10 MiB.
const photoBytesMax = 10 << 20

// Photo is the photo of the person to look for. It is printed without its content.
//
// A photo is a complete JPEG or PNG of at most 10 MiB; a larger one is refused as [ErrPhotoTooLarge]
// and not sent.
type Photo struct {
	// read returns the content; nil if the photo is named by an id.
	read          func() ([]byte, error)
	referenceKey  string
	folderMediaID string
}

// PhotoBytes is a photo in memory, which must not change before the call has ended.
func PhotoBytes(content []byte) Photo {
	return Photo{read: func() ([]byte, error) { return content, nil }}
}

// PhotoFile is a photo in a file, read when a call begins.
func PhotoFile(path string) Photo {
	return Photo{read: func() ([]byte, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readPhoto(file)
	}}
}

// PhotoReader is a photo from a reader, which is read to its end when the first call begins. The
// content is kept: retries, and further calls with the same Photo, send it again.
func PhotoReader(reader io.Reader) Photo {
	return Photo{read: sync.OnceValues(func() ([]byte, error) { return readPhoto(reader) })}
}

// PhotoByKey is a photo in the operator's library. Nothing is sent but its key.
func PhotoByKey(referenceKey string) Photo {
	return Photo{referenceKey: referenceKey}
}

// PhotoInFolder is a photo that the folder at Oz already holds, named by Oz's id. Nothing is sent but
// the id.
func PhotoInFolder(mediaID string) Photo {
	return Photo{folderMediaID: mediaID}
}

// String says where the photo comes from, without its content or a file's name.
func (p Photo) String() string {
	switch {
	case p.read != nil:
		return "photo"
	case p.referenceKey != "":
		return "photo in the library"
	case p.folderMediaID != "":
		return "photo " + p.folderMediaID
	default:
		return "no photo"
	}
}

// GoString is String, so that %#v shows no more.
func (p Photo) GoString() string { return p.String() }

// toWire reads the photo.
func (p Photo) toWire(kind PhotoKind) (*pb.ReferencePhoto, error) {
	photo := &pb.ReferencePhoto{Kind: kind}
	switch {
	case p.read != nil:
		content, err := p.read()
		if err != nil {
			return nil, usageError("the photo can't be read: %w", withoutPath(err))
		}
		if len(content) > photoBytesMax {
			return nil, errPhotoTooLarge()
		}
		photo.Source = &pb.ReferencePhoto_Content{Content: content}
	case p.referenceKey != "":
		photo.Source = &pb.ReferencePhoto_ReferenceKey{ReferenceKey: p.referenceKey}
	case p.folderMediaID != "":
		photo.Source = &pb.ReferencePhoto_FolderMediaId{FolderMediaId: p.folderMediaID}
	}
	return photo, nil
}

// readPhoto reads one byte more than a photo may have, so that a larger one is noticed and not held.
func readPhoto(reader io.Reader) ([]byte, error) {
	var content bytes.Buffer
	if _, err := io.Copy(&content, io.LimitReader(reader, photoBytesMax+1)); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}

// withoutPath drops the name of the photo's file, which may name a person.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}
