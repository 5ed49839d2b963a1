package facematch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

func TestLoopbackTargets(t *testing.T) {
	loopback := []string{
		"127.0.0.1:50051", "localhost:50051", "LOCALHOST:1", "[::1]:50051", "127.9.9.9:1", "::1",
		"dns:///localhost:50051", "dns:///127.0.0.1:1", "passthrough:///127.0.0.1:1", "unix:/run/facematch",
		"unix-abstract:facematch", "dns:127.0.0.1:1", "dns://8.8.8.8/localhost:1",
	}
	for _, target := range loopback {
		if !isLoopback(target) {
			t.Errorf("%s isn't taken for loopback", target)
		}
	}
	others := []string{
		"facematch:50051", "10.0.0.1:50051", "dns:///facematch:50051", "dns://127.0.0.1/facematch:1",
		"localhost.example:1", "xds:///localhost:1", "ipv4:127.0.0.1:1,10.0.0.1:2", "0.0.0.0:1", "127.0.0.1.example:1",
	}
	for _, target := range others {
		if isLoopback(target) {
			t.Errorf("%s is taken for loopback", target)
		}
	}
}

func TestTargetsOfAllForms(t *testing.T) {
	cases := []struct {
		target, address, scheme string
	}{
		{"facematch:50051", "facematch:50051", ""},
		{"facematch", "facematch", ""},
		{"https://facematch:50051", "facematch:50051", "https"},
		{"https://facematch/", "facematch:443", "https"},
		{"HTTPS://facematch", "facematch:443", "https"},
		{"http://10.0.0.1", "10.0.0.1:80", "http"},
		{"http://[::1]:50051/", "[::1]:50051", "http"},
		{"https://[2001:db8::1]", "[2001:db8::1]:443", "https"},
		{"::1", "::1", ""},
		{"[::1]:1", "[::1]:1", ""},
		{"dns:///facematch:50051", "dns:///facematch:50051", ""},
		{"dns://8.8.8.8/facematch:1", "dns://8.8.8.8/facematch:1", ""},
		{"unix:/run/facematch", "unix:/run/facematch", ""},
		{"passthrough:a:b:c", "passthrough:a:b:c", ""},
		{"lb://a/b:c:d", "lb://a/b:c:d", ""},
	}
	for _, it := range cases {
		address, scheme, err := parseTarget(it.target)
		if err != nil || address != it.address || scheme != it.scheme {
			t.Errorf("%s: %q, %q, %v", it.target, address, scheme, err)
		}
	}
	malformed := []string{
		"", "facematch:1:2", "facematch:", "dns:///facematch:1:2", "dns:///", "https://", "https://facematch:50051/api",
		"facematch:50051/", "https://user@facematch:1:2", "http://facematch:", "https://user:fm_secret@facematch", "https://user@facematch:1", "https://2001:db8::1",
	}
	for _, target := range malformed {
		if _, _, err := parseTarget(target); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestASchemeSaysWhetherTLSIsUsed(t *testing.T) {
	cases := []struct {
		target      string
		options     []Option
		isPlaintext bool
	}{
		{"http://facematch", nil, true},
		{"http://facematch", []Option{WithPlaintext()}, true},
		{"https://127.0.0.1:1", nil, false},
		{"127.0.0.1:1", nil, true},
		{"127.0.0.1:1", []Option{WithServerName("facematch")}, false},
		{"facematch:1", nil, false},
		{"facematch:1", []Option{WithPlaintext()}, true},
	}
	for _, it := range cases {
		settings, err := newSettings(it.target, it.options)
		if err != nil || settings.isPlaintext != it.isPlaintext {
			t.Errorf("%s: %v, %v", it.target, settings, err)
		}
	}
	conflicts := map[string]Option{
		"https://facematch": WithPlaintext(),
		"http://facematch":  WithCAFile("ca.pem"),
		"http://10.0.0.1":   WithToken("k"),
	}
	for target, option := range conflicts {
		if _, err := newSettings(target, []Option{option}); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestATokenStaysOffPlaintextNetworks(t *testing.T) {
	cases := []struct {
		target  string
		options []Option
		refused bool
	}{
		{"facematch:50051", []Option{WithToken("k"), WithPlaintext()}, true},
		{"facematch:50051", []Option{WithTokenFile("f"), WithPlaintext()}, true},
		{"facematch:50051", []Option{WithToken("k")}, false},
		{"facematch:50051", []Option{WithToken("k"), WithPlaintext(), WithPlaintextToken()}, false},
		{"127.0.0.1:50051", []Option{WithToken("k")}, false},
		{"127.0.0.1:50051", []Option{WithPlaintext(), WithTLS(&tls.Config{})}, true},
		{"127.0.0.1:50051", []Option{WithToken("two words")}, true},
		{"127.0.0.1:50051", []Option{WithToken("")}, true},
		{"127.0.0.1:50051", []Option{WithRetry(Retry{GiveUpAfter: -1})}, true},
		{"127.0.0.1:50051", []Option{WithLimits(Limits{CallTimeout: -1})}, true},
		{"", nil, true},
		{"127.0.0.1:50051", []Option{WithCAFile("/nonexistent")}, true},
		{"127.0.0.1:50051", []Option{WithClientCertificate("/nonexistent", "/nonexistent")}, true},
	}
	for i, it := range cases {
		client, err := New(it.target, it.options...)
		if refused := errors.Is(err, ErrUsage); refused != it.refused || (err != nil) != it.refused {
			t.Errorf("case %d, %s: %v", i, it.target, err)
		}
		if err == nil {
			client.Close()
		}
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	const secret = "fm_secret"
	client, err := New("127.0.0.1:1", WithToken(secret), WithHeaders(map[string]string{"x-key": secret}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := MatchRequest{
		Photo:  PhotoBytes([]byte(secret)),
		Labels: map[string]string{"branch": secret},
	}
	values := []any{
		client, request, &request, request.Photo, PhotoFile(secret), client.Run(t.Context(), request),
		Verdict{Match: &Match{Labels: request.Labels}}, &Error{Code: 1},
	}
	for _, value := range values {
		text := fmt.Sprintf("%v %+v %#v %s", value, value, value, value)
		if strings.Contains(text, secret) {
			t.Errorf("%T prints %s", value, text)
		}
	}
}

func TestAnUnreadablePhotoIsRefusedWithoutItsName(t *testing.T) {
	client, err := New("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	path := filepath.Join(t.TempDir(), "a-persons-name.jpg")
	_, err = client.Match(t.Context(), MatchRequest{FolderID: "f", Photo: PhotoFile(path)})
	var failed *Error
	if !errors.Is(err, ErrUsage) || !errors.Is(err, os.ErrNotExist) || !errors.As(err, &failed) {
		t.Fatalf("%v", err)
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", err, err), "a-persons-name") || failed.MatchContinues || failed.RequestID == "" {
		t.Errorf("%+v", failed)
	}
}

func TestALargePhotoIsNotHeld(t *testing.T) {
	endless := readerFunc(func(into []byte) (int, error) { return len(into), nil })
	content, err := readPhoto(endless)
	if err != nil || len(content) != photoBytesMax+1 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	_, err = PhotoBytes(content).toWire(0)
	if !errors.Is(err, ErrPhotoTooLarge) {
		t.Errorf("%v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(into []byte) (int, error) { return f(into) }

func TestAPhotoFromAReaderCanBeSentAgain(t *testing.T) {
	photo := PhotoReader(strings.NewReader("photo"))
	for range 2 {
		wire, err := photo.toWire(0)
		if err != nil || string(wire.GetContent()) != "photo" {
			t.Errorf("%v, %v", wire, err)
		}
	}
}

// A field that a later contract adds must be added here as well.
func TestEveryFieldOfARequestCanBeSet(t *testing.T) {
	request := MatchRequest{
		FolderID:         "f",
		RequestID:        "r",
		Timeout:          time.Second,
		LivenessMediaIDs: []string{"m"},
		LivenessPolicy:   LivenessRun,
		Labels:           map[string]string{"a": "b"},
		IncludeProgress:  true,
	}
	wire := request.toWireWithoutPhoto()
	wire.Photo = &pb.ReferencePhoto{}
	allSet(t, wire)
	allSet(t, ListRequest{
		FolderID:      "f",
		Labels:        map[string]string{"a": "b"},
		States:        []State{StateFailed},
		CreatedAfter:  time.Now(),
		CreatedBefore: time.Now(),
		PageSize:      1,
	}.toWire(), "page_token")
	allSet(t, WatchAllRequest{FolderID: "f", Labels: map[string]string{"a": "b"}}.toWire("t"))
	allSet(t, MatchID("m").watch(1, true), "request_id")
	allSet(t, MatchID("m").wait(time.Second), "request_id")
}

func allSet(t *testing.T, message interface{ ProtoReflect() protoreflect.Message }, but ...string) {
	t.Helper()
	wire := message.ProtoReflect()
	fields := wire.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if !wire.Has(field) && (len(but) == 0 || string(field.Name()) != but[0]) {
			t.Errorf("%s can't be set", field.FullName())
		}
	}
}

func TestEveryReasonHasItsCode(t *testing.T) {
	if len(Reasons()) == 0 {
		t.Fatal("there are no reasons")
	}
	for _, reason := range Reasons() {
		if reason.Code().String() == "Unknown" {
			t.Errorf("%s has no code", reason)
		}
		err := error(&Error{Reason: reason})
		for _, other := range Reasons() {
			if errors.Is(err, other) != (other == reason) {
				t.Errorf("an error of %s is one of %s", reason, other)
			}
		}
	}
}

func TestATokenOfAFunctionThatFailsIsAnError(t *testing.T) {
	broken := errors.New("the vault is sealed")
	client, err := New("127.0.0.1:1", WithTokenFunc(func(context.Context) (string, error) { return "", broken }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Get(t.Context(), MatchID("m"))
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
