package facematch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How a call ends, for errors.Is. A call that the server refused has none of these, but an [*Error]
// with a code, and mostly a reason. A call whose context ended is context.Canceled or
// context.DeadlineExceeded, the latter also if it ran into [Limits.CallTimeout].
var (
	// ErrMatchFailed: the match ended as FAILED. The error has the reason, and says whether a new
	// match may succeed.
	ErrMatchFailed = errors.New("the match failed")
	// ErrMatchCancelled: a caller cancelled the match.
	ErrMatchCancelled = errors.New("the match was cancelled")
	// ErrGaveUp: the retries were used up, see [Retry]. The error has the code and the reason of
	// the last one.
	ErrGaveUp = errors.New("gave up")
	// ErrContract: the server broke the contract, for instance by skipping an update.
	ErrContract = errors.New("the server broke the contract")
	// ErrUsage: the arguments or the settings are wrong, and nothing was sent.
	ErrUsage = errors.New("wrong arguments or settings")
	// ErrClosed: the client is closed.
	ErrClosed = errors.New("the client is closed")
)

// Reason is the service's own word for why a call was refused or a match failed. As an error it is a
// sentinel: errors.Is(err, facematch.ErrMatchNotFound).
type Reason string

// Error is the word itself.
func (r Reason) Error() string { return string(r) }

// Code is the gRPC code of calls that are refused, or of matches that fail, with this reason; Unknown
// for a reason that this version doesn't know.
func (r Reason) Code() codes.Code {
	if code, ok := reasonCodes[r]; ok {
		return code
	}
	return codes.Unknown
}

// Reasons returns all reasons that this version knows. A server of a later version may have others,
// which mean the same as their codes.
func Reasons() []Reason {
	return append([]Reason(nil), knownReasons...)
}

// FieldViolation is a field of a request that the server refused.
type FieldViolation struct {
	// Field is the path of the field, such as liveness_media_ids[0].
	Field string
	// Description says what is wrong with it.
	Description string
}

// Error is the error of every call, for errors.As. It never holds a photo, a label or a token.
type Error struct {
	// Code is the gRPC code of the call, or of the match that failed.
	Code codes.Code
	// Reason is the service's own word, also one that this version doesn't know; empty if the
	// error is not the service's.
	Reason Reason
	// Message is a sentence for people.
	Message string
	// Metadata has variable parts, such as the limit that was reached.
	Metadata map[string]string
	// RetryAfter is the delay that the server asked for; 0 if it asked for none.
	RetryAfter time.Duration
	// Violations are the wrong fields of the request, all at once.
	Violations []FieldViolation

	// RequestID is the id with which Match, Run and Create can be repeated as the same match.
	RequestID string
	// MatchID is the server's id of the match, if it is known.
	MatchID string
	// MatchContinues reports whether a match may have been accepted that goes on without the call.
	MatchContinues bool
	// Retryable reports, if the match failed, whether a new match may succeed without any change.
	Retryable bool

	kind  error
	cause error
	// retries are those after which the call was given up.
	retries int
}

// Error is a line for a log.
func (e *Error) Error() string {
	parts := []string{"facematch"}
	switch {
	case e.kind == ErrGaveUp && e.retries > 0:
		parts = append(parts, fmt.Sprintf("%v after retry %d", e.kind, e.retries))
	case e.kind != nil:
		parts = append(parts, e.kind.Error())
	}
	if e.Reason != "" {
		parts = append(parts, string(e.Reason))
	} else if e.kind == nil {
		parts = append(parts, e.Code.String())
	}
	if e.Message != "" && (e.kind == nil || e.Message != e.kind.Error()) {
		parts = append(parts, e.Message)
	}
	line := strings.Join(parts, ": ")
	if e.MatchID != "" {
		line += fmt.Sprintf(" (match %s)", e.MatchID)
	}
	return line
}

// GoString is Error, so that %#v shows no more.
func (e *Error) GoString() string { return e.Error() }

// Unwrap returns the kind, the reason and the cause.
func (e *Error) Unwrap() []error {
	var wrapped []error
	if e.kind != nil {
		wrapped = append(wrapped, e.kind)
	}
	if e.Reason != "" {
		wrapped = append(wrapped, e.Reason)
	}
	if e.cause != nil {
		wrapped = append(wrapped, e.cause)
	}
	return wrapped
}

// GRPCStatus makes status.Code and status.Convert work.
func (e *Error) GRPCStatus() *status.Status {
	return status.New(e.Code, e.Message)
}

func usageError(format string, arguments ...any) *Error {
	err := fmt.Errorf(format, arguments...)
	return &Error{
		Code:    codes.InvalidArgument,
		Message: err.Error(),
		kind:    ErrUsage,
		cause:   errors.Unwrap(err),
	}
}

func errPhotoTooLarge() *Error {
	return &Error{
		Code:    codes.InvalidArgument,
		Reason:  ErrPhotoTooLarge,
		Message: "the photo is over 10 MiB",
	}
}

// endedError is the error of a call whose context has ended.
func endedError(ctx context.Context) *Error {
	var cause error
	if it := context.Cause(ctx); it != ctx.Err() {
		cause = it
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		passed := deadlinePassed(cause)
		if cause == errCallTimeout {
			passed.Message = cause.Error()
		}
		return passed
	}
	return &Error{
		Code:    codes.Canceled,
		Message: "the caller cancelled the call",
		kind:    context.Canceled,
		cause:   cause,
	}
}

func deadlinePassed(cause error) *Error {
	return &Error{
		Code:    codes.DeadlineExceeded,
		Message: "the deadline of the call has passed",
		kind:    context.DeadlineExceeded,
		cause:   cause,
	}
}
