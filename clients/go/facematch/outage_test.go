package facematch

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func newOutage(random float64) *outage {
	return &outage{
		retry:  Retry{BackoffFirst: 200 * time.Millisecond, BackoffMax: 5 * time.Second, GiveUpAfter: time.Minute},
		random: func() float64 { return random },
	}
}

func mustPause(t *testing.T, o *outage, f *failure, now time.Time) time.Duration {
	t.Helper()
	pause, ok := o.pause(f, now)
	if !ok {
		t.Fatal("gave up")
	}
	return pause
}

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	o := newOutage(1)
	wanted := []time.Duration{200, 400, 800, 1600, 3200, 5000, 5000}
	for i, want := range wanted {
		if got := mustPause(t, o, &failure{}, start); got != want*time.Millisecond {
			t.Errorf("pause %d is %v, want %v ms", i, got, want)
		}
	}
	for range 2000 {
		if got := mustPause(t, o, &failure{}, start); got != 5*time.Second {
			t.Fatalf("after many retries the pause is %v", got)
		}
	}
}

func TestPausesAreRandomFromZero(t *testing.T) {
	if got := mustPause(t, newOutage(0), &failure{}, start); got != 0 {
		t.Errorf("the shortest pause is %v", got)
	}
}

func TestAnAskedDelayIsNeverShortened(t *testing.T) {
	asked := &failure{isDelayed: true, retryAfter: time.Second}
	if got := mustPause(t, newOutage(0), asked, start); got != time.Second {
		t.Errorf("the shortest pause is %v", got)
	}
	if got := mustPause(t, newOutage(1), asked, start); got != 1500*time.Millisecond {
		t.Errorf("the longest pause is %v", got)
	}
}

func TestTheTimeWithoutProgressIsLimited(t *testing.T) {
	o := newOutage(0)
	mustPause(t, o, &failure{}, start)
	mustPause(t, o, &failure{}, start.Add(time.Minute))
	if _, ok := o.pause(&failure{}, start.Add(time.Minute+time.Millisecond)); ok {
		t.Error("went on after the limit")
	}
	o.progress()
	mustPause(t, o, &failure{}, start.Add(time.Hour))
	if o.tries != 1 {
		t.Errorf("after progress it is retry %d", o.tries)
	}
}

func TestAnAskedDelayBeyondTheLimitGivesUpAtOnce(t *testing.T) {
	asked := &failure{isDelayed: true, retryAfter: delayMax}
	if _, ok := newOutage(1).pause(asked, start); ok {
		t.Error("waits for a year")
	}
}

func TestAnEndlessCallHasNoLimitOfTime(t *testing.T) {
	o := newOutage(0)
	o.isEndless = true
	mustPause(t, o, &failure{}, start)
	mustPause(t, o, &failure{}, start.Add(1000*time.Hour))
}

func TestTriesInARowAreLimited(t *testing.T) {
	o := newOutage(0)
	o.retry.TriesMax = 2
	mustPause(t, o, &failure{}, start)
	mustPause(t, o, &failure{}, start)
	if _, ok := o.pause(&failure{}, start); ok {
		t.Error("a third retry")
	}
}

func TestAStreamThatWorkedForAWhileIsNoOutage(t *testing.T) {
	o := newOutage(0)
	o.retry.TriesMax = 1
	for minute := range 10 {
		now := start.Add(time.Duration(minute) * time.Minute)
		o.opened()
		o.message(now)
		mustPause(t, o, &failure{}, now.Add(5*time.Second))
	}
	o.opened()
	now := start.Add(time.Hour)
	o.message(now)
	if _, ok := o.pause(&failure{}, now.Add(5*time.Second-1)); ok {
		t.Error("a stream that broke at once counts as one that worked")
	}
}

func TestSilenceIsMeasuredByHeartbeats(t *testing.T) {
	s := &silence{limits: Limits{SilenceMin: 15 * time.Second, SilenceUnknown: time.Minute}}
	expect := func(upload bool, want time.Duration) {
		t.Helper()
		if got := s.limit(upload); got != want {
			t.Errorf("the limit is %v, want %v", got, want)
		}
	}
	expect(false, time.Minute)
	s.note(heartbeatOf(20 * time.Second))
	expect(false, time.Minute)
	s.note(heartbeatOf(2 * time.Second))
	expect(false, 15*time.Second)
	expect(true, time.Minute)
	s.note(heartbeatOf(10 * time.Second))
	expect(false, 30*time.Second)
	for _, nonsense := range []time.Duration{0, -time.Second} {
		s.note(heartbeatOf(nonsense))
		expect(false, 30*time.Second)
	}
	s.note(&Update{})
	expect(false, 30*time.Second)
}

func TestADeadlineThatTheServerTellsReadsLikeTheCallersOwn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	client := &Client{connections: newTestConnections(t), settings: &settings{}}
	told := newAttempts(ctx, client, about{}).again(&failure{code: codes.DeadlineExceeded, message: "late"}, "GetMatch", false)
	passed, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	own := newAttempts(passed, client, about{}).ended()
	if told == nil || own == nil || told.Error() != own.Error() || !errors.Is(told, context.DeadlineExceeded) {
		t.Errorf("%v\n%v", told, own)
	}
}
