package facematch

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// The server measures the time limit of a try too, and may answer before this side's timer fires.
func TestATryTimeoutThatTheServerTellsIsOne(t *testing.T) {
	withDeadline := func(parent context.Context, after time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(parent, after)
		t.Cleanup(cancel)
		return ctx
	}
	late := &failure{code: codes.DeadlineExceeded}
	call := t.Context()
	cases := []struct {
		name   string
		one    oneCall
		try    context.Context
		broken *failure
		want   bool
	}{
		{"no limit of the call", oneCall{ctx: call, timeout: time.Hour}, withDeadline(call, time.Hour), late, true},
		{"another error", oneCall{ctx: call, timeout: time.Hour}, withDeadline(call, time.Hour), &failure{code: codes.Unavailable}, false},
		{"no limit of the try", oneCall{ctx: call}, call, late, false},
	}
	shorter := withDeadline(call, time.Minute)
	cases = append(cases, cases[0])
	cases[3].name, cases[3].one.ctx, cases[3].try, cases[3].want = "the call's own deadline", shorter, withDeadline(shorter, time.Hour), false
	for _, it := range cases {
		if got := it.one.isTryTimeout(it.try, it.broken); got != it.want {
			t.Errorf("%s: %v", it.name, got)
		}
	}
}
