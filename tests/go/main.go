// A caller in Go: runs a match over mTLS with an API key as the credential of each call, and follows
// it to its end. When the key is withdrawn, it resumes with the new key from the file of the key.
//
// It prints each update as a line of JSON. It reads the contract from a descriptor set, so that
// nothing is generated.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

var (
	server     = flag.String("server", "", "the address")
	descriptor = flag.String("descriptor", "", "the descriptor set of the contract")
	caFile     = flag.String("ca", "", "the authorities of the server")
	certFile   = flag.String("cert", "", "the certificate of the caller")
	keyFile    = flag.String("key", "", "its private key")
	tokenFile  = flag.String("token", "", "the file with the API key")
	folder     = flag.String("folder", "", "the folder at Oz")
	photoFile  = flag.String("photo", "", "the photo")
	requestID  = flag.String("request-id", "", "the id of the match")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	contract, err := readContract(*descriptor)
	if err != nil {
		return err
	}
	photo, err := os.ReadFile(*photoFile)
	if err != nil {
		return err
	}
	connection, err := dial()
	if err != nil {
		return err
	}
	defer connection.Close()

	match := contract.message("MatchRequest")
	set(match, "request_id", protoreflect.ValueOfString(*requestID))
	set(match, "folder_id", protoreflect.ValueOfString(*folder))
	reference := match.Mutable(field(match, "photo")).Message()
	reference.Set(field(reference, "content"), protoreflect.ValueOfBytes(photo))

	seen, ended, err := contract.follow(ctx, connection, "RunMatch", match, 0)
	for reason(err) == "CREDENTIAL_EXPIRED" {
		fmt.Fprintln(os.Stderr, "CREDENTIAL_EXPIRED: resuming with the new key")
		watch := contract.message("WatchMatchRequest")
		set(watch, "request_id", protoreflect.ValueOfString(*requestID))
		set(watch, "after_sequence", protoreflect.ValueOfUint64(seen))
		seen, ended, err = contract.follow(ctx, connection, "WatchMatch", watch, seen)
	}
	if err == nil && !ended {
		err = errors.New("the stream ended before the match")
	}
	return err
}

func dial() (*grpc.ClientConn, error) {
	ca, err := os.ReadFile(*caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("no authority in the file")
	}
	own, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}
	return grpc.Dial(*server,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithPerRPCCredentials(bearer{*tokenFile}),
		grpc.WithNoProxy())
}

// bearer shows the API key that its file has at the time of a call.
type bearer struct{ file string }

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	key, err := os.ReadFile(b.file)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(key))}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// contract is package facematch.v1.
type contract struct{ protoreflect.FileDescriptor }

func readContract(path string) (contract, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return contract{}, err
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(bytes, &set); err != nil {
		return contract{}, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return contract{}, err
	}
	file, err := files.FindFileByPath("facematch/v1/face_match.proto")
	return contract{file}, err
}

func (c contract) message(name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(c.Messages().ByName(name))
}

// follow prints the updates of a call after those that were seen. It returns the last sequence, and
// whether the match has ended.
func (c contract) follow(
	ctx context.Context, connection *grpc.ClientConn, rpc string, request proto.Message, seen uint64,
) (uint64, bool, error) {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true},
		"/facematch.v1.FaceMatch/"+rpc)
	if err != nil {
		return seen, false, err
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return seen, false, err
	}
	if err := stream.CloseSend(); err != nil {
		return seen, false, err
	}
	ended := false
	for {
		update := c.message("MatchUpdate")
		if err := stream.RecvMsg(update); errors.Is(err, io.EOF) {
			return seen, ended, nil
		} else if err != nil {
			return seen, ended, err
		}
		sequence := update.Get(field(update, "sequence")).Uint()
		if sequence <= seen {
			continue
		}
		seen = sequence
		match := update.Get(field(update, "match")).Message()
		ended = match.Has(field(match, "end_time"))
		line, err := protojson.Marshal(update)
		if err != nil {
			return seen, ended, err
		}
		fmt.Println(string(line))
	}
}

func field(message protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	return message.Descriptor().Fields().ByName(name)
}

func set(message protoreflect.Message, name protoreflect.Name, value protoreflect.Value) {
	message.Set(field(message, name), value)
}

// reason is the reason of a refusal, such as CREDENTIAL_EXPIRED.
func reason(err error) string {
	told, ok := status.FromError(err)
	if !ok || told.Code() == codes.OK {
		return ""
	}
	for _, detail := range told.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}
