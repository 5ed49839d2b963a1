package facematch

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	domain         = "facematch"
	pushbackHeader = "grpc-retry-pushback-ms"
	// delayMax keeps sums of delays and times in their range.
	delayMax = 365 * 24 * time.Hour
)

// A failure is how one rpc failed, which may be followed by a retry.
type failure struct {
	code    codes.Code
	message string
	// reason is empty if a proxy, the transport or gRPC speaks, not the service.
	reason     Reason
	metadata   map[string]string
	violations []FieldViolation
	// retryAfter is the delay that was asked for, if isDelayed.
	retryAfter time.Duration
	isDelayed  bool
	// isFinal: the server asked for no repeat.
	isFinal bool
	// isSilence: the connection is taken for dead.
	isSilence bool
	cause     error
}

// failureOf reads the error of an rpc and its trailers.
func failureOf(err error, trailers metadata.MD) *failure {
	spoken := status.Convert(err)
	f := &failure{code: spoken.Code(), message: spoken.Message(), cause: err}
	for _, detail := range spoken.Details() {
		f.take(detail)
	}
	if !f.isDelayed {
		f.takePushback(trailers.Get(pushbackHeader))
	}
	return f
}

// newBroken is an rpc that this package takes for broken.
func newBroken(message string) *failure {
	return &failure{code: codes.Unavailable, message: message}
}

func (f *failure) take(detail any) {
	switch detail := detail.(type) {
	case *errdetails.ErrorInfo:
		if detail.GetDomain() == domain {
			f.reason, f.metadata = Reason(detail.GetReason()), detail.GetMetadata()
		}
	case *errdetails.RetryInfo:
		if delay := detail.GetRetryDelay(); delay.IsValid() {
			f.retryAfter, f.isDelayed = min(max(delay.AsDuration(), 0), delayMax), true
		}
	case *errdetails.BadRequest:
		for _, it := range detail.GetFieldViolations() {
			f.violations = append(f.violations, FieldViolation{it.GetField(), it.GetDescription()})
		}
	}
}

// takePushback reads gRPC's own wish of a delay; a negative or unreadable one forbids a retry.
func (f *failure) takePushback(values []string) {
	if len(values) == 0 {
		return
	}
	delay, err := strconv.ParseInt(values[0], 10, 32)
	if err != nil || delay < 0 {
		f.isFinal = true
		return
	}
	f.retryAfter, f.isDelayed = time.Duration(delay)*time.Millisecond, true
}

// isEndOf reports whether the rpc failed because its context has ended: it was not answered.
func (f *failure) isEndOf(ctx context.Context) bool {
	isOwn := f.code == codes.DeadlineExceeded || f.code == codes.Canceled
	return isOwn && f.reason == "" && ctx.Err() != nil
}

// mayPass reports whether the same rpc may succeed later.
func (f *failure) mayPass() bool {
	if f.isFinal {
		return false
	}
	if f.reason != "" {
		return f.isDelayed || f.code == codes.Unavailable
	}
	switch f.code {
	// What transports and proxies say of a broken connection.
	case codes.Unavailable, codes.Unknown, codes.Internal, codes.Aborted, codes.Canceled:
		return true
	default:
		return false
	}
}

// mayHaveActed reports whether the server may have carried out the rpc nevertheless.
func (f *failure) mayHaveActed() bool {
	switch f.reason {
	case ErrServerDraining, ErrAuditUnavailable:
		return false
	}
	switch f.code {
	case codes.Unavailable, codes.Unknown, codes.Internal, codes.Aborted, codes.Canceled,
		codes.DeadlineExceeded, codes.DataLoss:
		return true
	case codes.ResourceExhausted:
		// Without a reason it is the limit of this client, which may have met the answer.
		return f.reason == ""
	default:
		return false
	}
}

// error is the failure as an error, about a match.
func (f *failure) error(kind error, about subject) *Error {
	continues := about.matchContinues()
	if kind == nil && f.reason == ErrMatchNotFound {
		continues = false
	}
	return &Error{
		Code:           f.code,
		Reason:         f.reason,
		Message:        f.message,
		Metadata:       f.metadata,
		RetryAfter:     f.retryAfter,
		Violations:     f.violations,
		RequestID:      about.requestID(),
		MatchID:        about.matchID(),
		MatchContinues: continues,
		kind:           kind,
		cause:          f.cause,
	}
}
