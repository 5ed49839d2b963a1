package facematch

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// Verdict is Oz's decision about a photo and the liveness media of a folder. The zero value, which
// comes with every error, is no success.
type Verdict struct {
	// Resolution is SUCCESS, DECLINED or OPERATOR_REQUIRED.
	Resolution Resolution
	// MinConfidence is the similarity of the least similar pair, from 0 to 1. This number decides.
	MinConfidence float64
	// MaxConfidence is the similarity of the most similar pair; nil if Oz gave none.
	MaxConfidence *float64
	// Liveness is the result of the folder's liveness analysis; nil if there is none to report.
	Liveness *pb.LivenessResult
	// MatchID is the server's id of the match.
	MatchID string
	// RequestID is the caller's own id of the match.
	RequestID string
	// Match is the match as it ended.
	Match *Match
}

// SamePerson reports whether the photo shows the person in the liveness media: only SUCCESS does. It
// says nothing of liveness.
func (v Verdict) SamePerson() bool {
	return v.Resolution == ResolutionSuccess
}

// LivenessPassed reports whether the liveness analysis that the match reports says that the person is
// a living one. It is false if there is none.
func (v Verdict) LivenessPassed() bool {
	return v.Liveness.GetResolution() == ResolutionSuccess
}

// String is the verdict without the labels of the match.
func (v Verdict) String() string {
	resolution := strings.TrimPrefix(v.Resolution.String(), "RESOLUTION_")
	return fmt.Sprintf("%s, %g (match %s)", resolution, v.MinConfidence, v.MatchID)
}

// GoString is String, so that %#v shows no more.
func (v Verdict) GoString() string { return v.String() }

// Deleted is a match that is erased.
type Deleted struct {
	// MatchID is the server's id of the match. Empty if the answer was lost and the match was named
	// by its request id.
	MatchID string
	// PhotoMediaID is Oz's id of the photo, which stays at Oz. Empty if there is none, or if the
	// answer was lost.
	PhotoMediaID string
	// Time is when the match was erased. Zero if the answer was lost.
	Time time.Time
	// AlreadyGone reports that an answer was lost, and that a repeat found no match any more.
	AlreadyGone bool
}

// verdictOf is the verdict of a match, or the error of a match without one.
func verdictOf(match *Match) (Verdict, error) {
	switch match.GetState() {
	case StateFinished:
		return finishedVerdict(match)
	case StateFailed:
		return Verdict{}, failedError(match)
	case StateCancelled:
		return Verdict{}, matchError(match, ErrMatchCancelled, codes.Canceled, "the match was cancelled")
	default:
		return Verdict{}, contractError(match, "the match ended in a state that this version doesn't know")
	}
}

func finishedVerdict(match *Match) (Verdict, error) {
	result := match.GetResult()
	switch result.GetResolution() {
	case ResolutionSuccess, ResolutionDeclined, ResolutionOperatorRequired:
	default:
		return Verdict{}, contractError(match, "the match has no resolution that this version knows")
	}
	if result.MinConfidence == nil {
		return Verdict{}, contractError(match, "the match has a resolution without a score")
	}
	return Verdict{
		Resolution:    result.GetResolution(),
		MinConfidence: result.GetMinConfidence(),
		MaxConfidence: result.MaxConfidence,
		Liveness:      result.GetLiveness(),
		MatchID:       match.GetMatchId(),
		RequestID:     match.GetRequestId(),
		Match:         match,
	}, nil
}

func failedError(match *Match) *Error {
	failed := match.GetError()
	err := matchError(match, ErrMatchFailed, codes.Code(failed.GetCode()), failed.GetMessage())
	err.Reason = Reason(failed.GetReason())
	err.Metadata = failed.GetMetadata()
	err.Retryable = failed.GetRetryable()
	return err
}

func contractError(match *Match, message string) *Error {
	return matchError(match, ErrContract, codes.Internal, message)
}

func matchError(match *Match, kind error, code codes.Code, message string) *Error {
	return &Error{
		Code:      code,
		Message:   message,
		MatchID:   match.GetMatchId(),
		RequestID: match.GetRequestId(),
		kind:      kind,
	}
}
