package facematch

import (
	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// The messages and enums of the contract that callers meet.
type (
	// Match is a match, as of its last durable update.
	Match = pb.Match
	// Update is one update of one match, or a heartbeat.
	Update = pb.MatchUpdate
	// State is the state of a match.
	State = pb.MatchState
	// Resolution is the decision of an analysis at Oz.
	Resolution = pb.Resolution
	// PhotoKind is what a photo shows.
	PhotoKind = pb.PhotoKind
	// LivenessPolicy is how a match uses the folder's liveness analysis.
	LivenessPolicy = pb.LivenessPolicy
)

// The states of a match. The last three are its ends.
const (
	StateAccepted   = pb.MatchState_MATCH_STATE_ACCEPTED
	StateUploaded   = pb.MatchState_MATCH_STATE_UPLOADED
	StateProcessing = pb.MatchState_MATCH_STATE_PROCESSING
	StateFinished   = pb.MatchState_MATCH_STATE_FINISHED
	StateFailed     = pb.MatchState_MATCH_STATE_FAILED
	StateCancelled  = pb.MatchState_MATCH_STATE_CANCELLED
)

// The decisions of an analysis at Oz.
const (
	// ResolutionSuccess is the same person, or a living one.
	ResolutionSuccess = pb.Resolution_RESOLUTION_SUCCESS
	// ResolutionDeclined is another person, or an attack.
	ResolutionDeclined = pb.Resolution_RESOLUTION_DECLINED
	// ResolutionOperatorRequired leaves the decision to an operator of Oz.
	ResolutionOperatorRequired = pb.Resolution_RESOLUTION_OPERATOR_REQUIRED
)

// What a photo shows. The zero value means a selfie.
const (
	PhotoSelfie  = pb.PhotoKind_PHOTO_KIND_SELFIE
	PhotoIDFront = pb.PhotoKind_PHOTO_KIND_ID_FRONT
)

// How a match uses the folder's liveness analysis. The zero value means LivenessReport.
const (
	// LivenessReport reports the newest analysis, if there is one.
	LivenessReport = pb.LivenessPolicy_LIVENESS_POLICY_REPORT
	// LivenessRequire fails the match unless the newest analysis is SUCCESS.
	LivenessRequire = pb.LivenessPolicy_LIVENESS_POLICY_REQUIRE
	// LivenessRun starts a new analysis beside the match.
	LivenessRun = pb.LivenessPolicy_LIVENESS_POLICY_RUN
)

func hasEnded(state State) bool {
	return state == StateFinished || state == StateFailed || state == StateCancelled
}

// isKnown reports whether this version knows a state.
func isKnown(state State) bool {
	_, ok := pb.MatchState_name[int32(state)]
	return ok
}
