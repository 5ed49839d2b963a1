package facematchtest

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/facematch/facematch/clients/go/facematch"
	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// fakeState is the journal of a fake: its matches, and their updates in one order. Fake's mutex guards
// it.
type fakeState struct {
	matches []*fakeMatch
	log     []*pb.MatchUpdate
	count   int
	// changed is closed, and replaced, when something new is there.
	changed chan struct{}
	// cut is closed, and replaced, when open streams break.
	cut chan struct{}
}

type fakeMatch struct {
	match   *pb.Match
	updates []*pb.MatchUpdate
}

func (s *fakeState) byRequestID(id string) *fakeMatch {
	for _, it := range s.matches {
		if id != "" && it.match.GetRequestId() == id {
			return it
		}
	}
	return nil
}

func (s *fakeState) byMatchID(id string) *fakeMatch {
	for _, it := range s.matches {
		if it.match.GetMatchId() == id {
			return it
		}
	}
	return nil
}

func (s *fakeState) remove(gone *fakeMatch) {
	for i, it := range s.matches {
		if it == gone {
			s.matches = append(s.matches[:i], s.matches[i+1:]...)
			break
		}
	}
	s.tell()
}

func (s *fakeState) accept(request *pb.MatchRequest) *fakeMatch {
	s.count++
	it := &fakeMatch{match: &pb.Match{
		MatchId:          fmt.Sprintf("01900000-0000-7000-8000-%012d", s.count),
		RequestId:        request.GetRequestId(),
		FolderId:         request.GetFolderId(),
		Labels:           request.GetLabels(),
		LivenessMediaIds: request.GetLivenessMediaIds(),
		LivenessPolicy:   max(request.GetLivenessPolicy(), facematch.LivenessReport),
		PhotoKind:        max(request.GetPhoto().GetKind(), facematch.PhotoSelfie),
		CreateTime:       timestamppb.Now(),
	}}
	s.matches = append(s.matches, it)
	s.add(it, facematch.StateAccepted, &pb.MatchUpdate{Event: &pb.MatchUpdate_Accepted{Accepted: &pb.Accepted{}}})
	photo := request.GetPhoto().GetFolderMediaId()
	if photo == "" {
		photo = fmt.Sprintf("00000000-0000-4000-8000-%012d", s.count)
	}
	it.match.PhotoMediaId = photo
	s.add(it, facematch.StateUploaded, &pb.MatchUpdate{Event: &pb.MatchUpdate_PhotoUploaded{
		PhotoUploaded: &pb.PhotoUploaded{PhotoMediaId: photo},
	}})
	it.match.AnalysisId = fmt.Sprintf("00000000-0000-4000-9000-%012d", s.count)
	s.add(it, facematch.StateProcessing, &pb.MatchUpdate{Event: &pb.MatchUpdate_AnalysisStarted{
		AnalysisStarted: &pb.AnalysisStarted{AnalysisId: it.match.GetAnalysisId()},
	}})
	return it
}

// decide ends a match that runs.
func (s *fakeState) decide(it *fakeMatch, decision Decision) {
	switch {
	case it.match.GetState() != facematch.StateProcessing || decision.Pending:
	case decision.Fails != "":
		it.match.Error = &pb.MatchError{
			Code:      int32(decision.Fails.Code()),
			Reason:    string(decision.Fails),
			Message:   "the fake was told so",
			Retryable: decision.Retryable,
		}
		s.add(it, facematch.StateFailed, &pb.MatchUpdate{Event: &pb.MatchUpdate_Failed{
			Failed: &pb.Failed{Error: it.match.GetError()},
		}})
	default:
		it.match.Result = decision.result()
		s.add(it, facematch.StateFinished, &pb.MatchUpdate{Event: &pb.MatchUpdate_Finished{
			Finished: &pb.Finished{Result: it.match.GetResult()},
		}})
	}
}

func (d Decision) result() *pb.MatchResult {
	if d.Resolution == 0 {
		d.Resolution = facematch.ResolutionSuccess
	}
	if d.Confidence == 0 {
		d.Confidence = 0.3
		if d.Resolution == facematch.ResolutionSuccess {
			d.Confidence = 0.97
		}
	}
	return &pb.MatchResult{Resolution: d.Resolution, MinConfidence: &d.Confidence}
}

func (s *fakeState) cancel(it *fakeMatch) {
	s.add(it, facematch.StateCancelled, &pb.MatchUpdate{Event: &pb.MatchUpdate_Cancelled{Cancelled: &pb.Cancelled{}}})
}

// add appends an update, with a copy of the match after it.
func (s *fakeState) add(it *fakeMatch, state facematch.State, update *pb.MatchUpdate) {
	now := timestamppb.Now()
	it.match.State, it.match.UpdateTime = state, now
	it.match.Sequence++
	if ended(state) {
		it.match.EndTime = now
	}
	update.MatchId, update.Sequence, update.Time = it.match.GetMatchId(), it.match.GetSequence(), now
	update.Match = proto.Clone(it.match).(*pb.Match)
	s.log = append(s.log, update)
	update.ResumeToken = token(len(s.log))
	it.updates = append(it.updates, update)
	s.tell()
}

func (s *fakeState) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func ended(state facematch.State) bool {
	return state >= facematch.StateFinished
}

// token continues after so many updates of the log.
func token(position int) string { return "fake-" + strconv.Itoa(position) }

// position is the place of a token in the log.
func (s *fakeState) position(resume string) (int, error) {
	if resume == "" {
		return len(s.log), nil
	}
	if resume == facematch.Earliest {
		return 0, nil
	}
	var position int
	if _, err := fmt.Sscanf(resume, "fake-%d", &position); err != nil || position > len(s.log) || position < 0 {
		return 0, refusal(facematch.ErrTokenInvalid, nil)
	}
	return position, nil
}

// selects reports whether a match has the folder and the labels.
func selects(match *pb.Match, folder string, labels map[string]string) bool {
	if folder != "" && match.GetFolderId() != folder {
		return false
	}
	for key, value := range labels {
		if had, ok := match.GetLabels()[key]; !ok || had != value {
			return false
		}
	}
	return true
}
