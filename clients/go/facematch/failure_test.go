package facematch

import (
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

func spoken(t *testing.T, code codes.Code, details ...protoadapt.MessageV1) error {
	t.Helper()
	it, err := status.New(code, "a sentence").WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return it.Err()
}

func reason(word string) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Domain: "facematch", Reason: word}
}

func TestWhatMayPass(t *testing.T) {
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}
	cases := []struct {
		name string
		err  error
		want bool
	}{
		{"a broken connection", spoken(t, codes.Unavailable), true},
		{"a proxy's words", spoken(t, codes.Unknown), true},
		{"a reset stream", spoken(t, codes.Internal), true},
		{"ABORTED", spoken(t, codes.Aborted), true},
		{"CANCELLED by a proxy", spoken(t, codes.Canceled), true},
		{"the own limit of messages", spoken(t, codes.ResourceExhausted), false},
		{"a deadline", spoken(t, codes.DeadlineExceeded), false},
		{"an unknown method", spoken(t, codes.Unimplemented), false},
		{"draining", spoken(t, codes.Unavailable, reason("SERVER_DRAINING")), true},
		{"overloaded, with a delay", spoken(t, codes.ResourceExhausted, reason("OVERLOADED"), retry), true},
		{"a quota without a delay", spoken(t, codes.ResourceExhausted, reason("QUOTA_EXCEEDED")), false},
		{"a bug of the server", spoken(t, codes.Internal, reason("INTERNAL")), false},
		{"an unknown reason", spoken(t, codes.Unavailable, reason("MOON_PHASE")), true},
		{"an unknown final reason", spoken(t, codes.FailedPrecondition, reason("MOON_PHASE")), false},
	}
	for _, it := range cases {
		if got := failureOf(it.err, nil).mayPass(); got != it.want {
			t.Errorf("%s: %v", it.name, got)
		}
	}
}

func TestAnotherDomainsReasonIsNotTheServices(t *testing.T) {
	foreign := &errdetails.ErrorInfo{Domain: "gateway.example", Reason: "MATCH_NOT_FOUND"}
	f := failureOf(spoken(t, codes.Internal, foreign), nil)
	if f.reason != "" || !f.mayPass() {
		t.Errorf("%+v", f)
	}
}

func TestThePushbackTrailerIsADelay(t *testing.T) {
	cases := []struct {
		value string
		final bool
		delay time.Duration
	}{
		{"600", false, 600 * time.Millisecond},
		{"0", false, 0},
		{"-1", true, 0},
		{"soon", true, 0},
		{"99999999999999999999", true, 0},
	}
	for _, it := range cases {
		f := failureOf(spoken(t, codes.Unavailable), metadata.Pairs(pushbackHeader, it.value))
		if f.isFinal != it.final || f.retryAfter != it.delay || f.mayPass() == it.final {
			t.Errorf("%s: %+v", it.value, f)
		}
	}
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}
	f := failureOf(spoken(t, codes.Unavailable, retry), metadata.Pairs(pushbackHeader, "600"))
	if f.retryAfter != time.Second {
		t.Errorf("RetryInfo has the first word: %+v", f)
	}
}

func TestDelaysOutOfRangeAreCut(t *testing.T) {
	for _, seconds := range []int64{-5, 315_576_000_000, 1 << 62} {
		retry := &errdetails.RetryInfo{RetryDelay: &durationpb.Duration{Seconds: seconds}}
		f := failureOf(spoken(t, codes.Unavailable, retry), nil)
		if f.retryAfter < 0 || f.retryAfter > delayMax {
			t.Errorf("%d s: %v", seconds, f.retryAfter)
		}
	}
}

func TestWhatMayHaveActed(t *testing.T) {
	cases := []struct {
		err  error
		want bool
	}{
		{spoken(t, codes.Unavailable), true},
		{spoken(t, codes.Unavailable, reason("STORE_UNAVAILABLE")), true},
		{spoken(t, codes.DeadlineExceeded, reason("CALL_TIMED_OUT")), true},
		{spoken(t, codes.Unavailable, reason("SERVER_DRAINING")), false},
		{spoken(t, codes.Unavailable, reason("AUDIT_UNAVAILABLE")), false},
		{spoken(t, codes.ResourceExhausted, reason("OVERLOADED")), false},
		{spoken(t, codes.InvalidArgument, reason("FIELD_INVALID")), false},
		{spoken(t, codes.AlreadyExists, reason("REQUEST_ID_REUSED")), false},
	}
	for _, it := range cases {
		if got := failureOf(it.err, nil).mayHaveActed(); got != it.want {
			t.Errorf("%v: %v", it.err, got)
		}
	}
}
