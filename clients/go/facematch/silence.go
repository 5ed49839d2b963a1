package facematch

import (
	"errors"
	"sync/atomic"
	"time"
)

// silentIntervals: a stream is dead after this many heartbeat intervals of silence.
const silentIntervals = 3

// errSilent is the cause with which a silent stream is cancelled.
var errSilent = errors.New("the stream is silent")

// silence says how long the streams of a client may be silent. The heartbeats of one tell for all.
type silence struct {
	limits   Limits
	interval atomic.Int64 // nanoseconds; 0 while it is unknown
}

func (s *silence) note(update *Update) {
	if interval := update.GetHeartbeat().GetInterval(); interval.IsValid() && interval.AsDuration() > 0 {
		s.interval.Store(int64(interval.AsDuration()))
	}
}

// limit is the longest silence. During an upload the server has nothing to say.
func (s *silence) limit(isUpload bool) time.Duration {
	interval := time.Duration(s.interval.Load())
	if interval == 0 {
		return s.limits.SilenceUnknown
	}
	known := max(silentIntervals*min(interval, delayMax), s.limits.SilenceMin)
	if isUpload {
		return max(known, s.limits.SilenceUnknown)
	}
	return known
}
