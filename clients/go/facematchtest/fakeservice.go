package facematchtest

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/facematch/facematch/clients/go/facematch"
	pb "github.com/facematch/facematch/clients/go/facematchv1"
)

// fakeHeartbeat is the interval of a fake's heartbeats.
const fakeHeartbeat = time.Second

// fakeService is the fake as gRPC sees it.
type fakeService struct {
	pb.UnimplementedFaceMatchServer
	fake *Fake
}

// An anyID is a request that names a match.
type anyID interface {
	GetMatchId() string
	GetRequestId() string
}

// find returns a match. The fake must be locked.
func (s *fakeService) find(id anyID) (*fakeMatch, error) {
	it := s.fake.state.byMatchID(id.GetMatchId())
	if id.GetRequestId() != "" {
		it = s.fake.state.byRequestID(id.GetRequestId())
	}
	if it == nil {
		return nil, refusal(facematch.ErrMatchNotFound, nil)
	}
	return it, nil
}

// with calls a function with a match, and returns a copy of it.
func (s *fakeService) with(id anyID, change func(*fakeMatch) error) (*pb.Match, error) {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	it, err := s.find(id)
	if err != nil {
		return nil, err
	}
	if err := change(it); err != nil {
		return nil, err
	}
	return proto.Clone(it.match).(*pb.Match), nil
}

func unchanged(*fakeMatch) error { return nil }

func (s *fakeService) RunMatch(request *pb.MatchRequest, stream grpc.ServerStreamingServer[pb.MatchUpdate]) error {
	it, err := s.fake.admit(request)
	if err != nil {
		return err
	}
	return s.watch(stream, it, 0)
}

func (s *fakeService) CreateMatch(_ context.Context, request *pb.MatchRequest) (*pb.Match, error) {
	it, err := s.fake.admit(request)
	if err != nil {
		return nil, err
	}
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	return proto.Clone(it.match).(*pb.Match), nil
}

func (s *fakeService) GetMatch(_ context.Context, request *pb.GetMatchRequest) (*pb.Match, error) {
	return s.with(request, unchanged)
}

func (s *fakeService) WaitMatch(ctx context.Context, request *pb.WaitMatchRequest) (*pb.Match, error) {
	timer := time.NewTimer(request.GetTimeout().AsDuration())
	defer timer.Stop()
	for {
		changed := s.changes()
		match, err := s.with(request, unchanged)
		if err != nil || ended(match.GetState()) {
			return match, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return match, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *fakeService) CancelMatch(_ context.Context, request *pb.CancelMatchRequest) (*pb.Match, error) {
	return s.with(request, func(it *fakeMatch) error {
		switch it.match.GetState() {
		case facematch.StateCancelled:
			return nil
		case facematch.StateFinished, facematch.StateFailed:
			return refusal(facematch.ErrMatchEnded, nil)
		default:
			s.fake.state.cancel(it)
			return nil
		}
	})
}

func (s *fakeService) DeleteMatch(_ context.Context, request *pb.DeleteMatchRequest) (*pb.DeleteMatchResponse, error) {
	match, err := s.with(request, func(it *fakeMatch) error {
		if !ended(it.match.GetState()) {
			return refusal(facematch.ErrMatchRunning, nil)
		}
		s.fake.state.remove(it)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &pb.DeleteMatchResponse{
		MatchId:      match.GetMatchId(),
		DeleteTime:   timestamppb.Now(),
		PhotoMediaId: match.GetPhotoMediaId(),
	}, nil
}

// ListMatches has one page.
func (s *fakeService) ListMatches(_ context.Context, request *pb.ListMatchesRequest) (*pb.ListMatchesResponse, error) {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	page := &pb.ListMatchesResponse{}
	for _, it := range slices.Backward(s.fake.state.matches) {
		if listed(it.match, request) {
			page.Matches = append(page.Matches, proto.Clone(it.match).(*pb.Match))
		}
	}
	return page, nil
}

func listed(match *pb.Match, request *pb.ListMatchesRequest) bool {
	created := match.GetCreateTime().AsTime()
	switch {
	case !selects(match, request.GetFolderId(), request.GetLabels()):
		return false
	case len(request.GetStates()) > 0 && !slices.Contains(request.GetStates(), match.GetState()):
		return false
	case request.CreatedAfter != nil && created.Before(request.GetCreatedAfter().AsTime()):
		return false
	case request.CreatedBefore != nil && !created.Before(request.GetCreatedBefore().AsTime()):
		return false
	default:
		return true
	}
}

func (s *fakeService) WatchMatch(request *pb.WatchMatchRequest, stream grpc.ServerStreamingServer[pb.MatchUpdate]) error {
	s.fake.mu.Lock()
	it, err := s.find(request)
	if err == nil && request.GetAfterSequence() > it.match.GetSequence() {
		err = refusal(facematch.ErrWatchAhead, nil)
	}
	s.fake.mu.Unlock()
	if err != nil {
		return err
	}
	return s.watch(stream, it, int(request.GetAfterSequence()))
}

// watch sends the updates of a match after the first ones.
func (s *fakeService) watch(stream grpc.ServerStreamingServer[pb.MatchUpdate], it *fakeMatch, seen int) error {
	for {
		s.fake.mu.Lock()
		changed, cut := s.fake.state.changed, s.fake.state.cut
		news := slices.Clone(it.updates[min(seen, len(it.updates)):])
		isEnded := ended(it.match.GetState())
		isErased := s.fake.state.byMatchID(it.match.GetMatchId()) == nil
		last := proto.Clone(it.match).(*pb.Match)
		s.fake.mu.Unlock()
		if isErased {
			return refusal(facematch.ErrMatchNotFound, nil)
		}
		for _, update := range news {
			if err := stream.Send(update); err != nil {
				return err
			}
		}
		if isEnded {
			return nil
		}
		seen += len(news)
		silent := &pb.MatchUpdate{MatchId: last.GetMatchId(), Sequence: last.GetSequence(), Match: last}
		if err := await(stream, changed, cut, silent); err != nil {
			return err
		}
	}
}

func (s *fakeService) WatchMatches(request *pb.WatchMatchesRequest, stream grpc.ServerStreamingServer[pb.MatchUpdate]) error {
	s.fake.mu.Lock()
	position, err := s.fake.state.position(request.GetResumeToken())
	s.fake.mu.Unlock()
	if err != nil {
		return err
	}
	if err := stream.Send(heartbeat(&pb.MatchUpdate{ResumeToken: token(position)})); err != nil {
		return err
	}
	for {
		s.fake.mu.Lock()
		changed, cut := s.fake.state.changed, s.fake.state.cut
		news := slices.Clone(s.fake.state.log[position:])
		s.fake.mu.Unlock()
		for _, update := range news {
			position++
			if !selects(update.GetMatch(), request.GetFolderId(), request.GetLabels()) {
				continue
			}
			if err := stream.Send(update); err != nil {
				return err
			}
		}
		if err := await(stream, changed, cut, &pb.MatchUpdate{ResumeToken: token(position)}); err != nil {
			return err
		}
	}
}

func (s *fakeService) changes() <-chan struct{} {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	return s.fake.state.changed
}

// await waits for news, and sends heartbeats meanwhile. A cut is an error.
func await(stream grpc.ServerStreamingServer[pb.MatchUpdate], changed, cut <-chan struct{}, silent *pb.MatchUpdate) error {
	ticker := time.NewTicker(fakeHeartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-changed:
			return nil
		case <-cut:
			return errBroken
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-ticker.C:
			if err := stream.Send(heartbeat(silent)); err != nil {
				return err
			}
		}
	}
}

func heartbeat(update *pb.MatchUpdate) *pb.MatchUpdate {
	update.Time = timestamppb.Now()
	update.Event = &pb.MatchUpdate_Heartbeat{Heartbeat: &pb.Heartbeat{Interval: durationpb.New(fakeHeartbeat)}}
	return update
}
