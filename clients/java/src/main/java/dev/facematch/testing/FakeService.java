package dev.facematch.testing;

import dev.facematch.Times;
import dev.facematch.v1.CancelMatchRequest;
import dev.facematch.v1.DeleteMatchRequest;
import dev.facematch.v1.DeleteMatchResponse;
import dev.facematch.v1.FaceMatchGrpc;
import dev.facematch.v1.GetMatchRequest;
import dev.facematch.v1.Heartbeat;
import dev.facematch.v1.ListMatchesRequest;
import dev.facematch.v1.ListMatchesResponse;
import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchState;
import dev.facematch.v1.MatchUpdate;
import dev.facematch.v1.WaitMatchRequest;
import dev.facematch.v1.WatchMatchRequest;
import dev.facematch.v1.WatchMatchesRequest;
import io.grpc.StatusException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The fake as gRPC sees it. */
final class FakeService extends FaceMatchGrpc.FaceMatchImplBase {
    /** What a stream is told of its heartbeats: so long that it needs no further ones. */
    private static final Duration HEARTBEAT = Duration.ofHours(1);

    private final FakeState state;

    FakeService(FakeState state) {
        this.state = state;
    }

    /** An answer, or the error of a refused call. */
    private interface Answering<Answer> {
        Answer answer() throws StatusException;
    }

    private <Answer> void answer(StreamObserver<Answer> observer, Answering<Answer> answering) {
        Answer answer;
        try {
            synchronized (state) {
                answer = answering.answer();
            }
        } catch (StatusException e) {
            observer.onError(e);
            return;
        }
        observer.onNext(answer);
        observer.onCompleted();
    }

    @Override
    public void runMatch(MatchRequest request, StreamObserver<MatchUpdate> observer) {
        follow(observer, () -> new Watch(observer, state.accept(request), 0));
    }

    @Override
    public void createMatch(MatchRequest request, StreamObserver<Match> observer) {
        answer(observer, () -> state.accept(request).present());
    }

    @Override
    public void getMatch(GetMatchRequest request, StreamObserver<Match> observer) {
        answer(observer, () -> state.find(request.getMatchId(), request.getRequestId()).present());
    }

    @Override
    public void waitMatch(WaitMatchRequest request, StreamObserver<Match> observer) {
        follow(observer, () -> new Wait(observer,
                state.find(request.getMatchId(), request.getRequestId()), Times.of(request.getTimeout())));
    }

    @Override
    public void watchMatch(WatchMatchRequest request, StreamObserver<MatchUpdate> observer) {
        follow(observer, () -> {
            FakeMatch match = state.find(request.getMatchId(), request.getRequestId());
            if (request.getAfterSequence() > match.updates.size()) {
                throw FakeFaceMatch.refusal("WATCH_AHEAD", null);
            }
            return new Watch(observer, match, (int) request.getAfterSequence());
        });
    }

    @Override
    public void watchMatches(WatchMatchesRequest request, StreamObserver<MatchUpdate> observer) {
        follow(observer, () -> new WatchAll(observer, request, state.position(request.getResumeToken())));
    }

    @Override
    public void cancelMatch(CancelMatchRequest request, StreamObserver<Match> observer) {
        answer(observer, () -> {
            FakeMatch match = state.find(request.getMatchId(), request.getRequestId());
            if (!match.hasEnded()) {
                match.cancel();
            } else if (match.present().getState() != MatchState.MATCH_STATE_CANCELLED) {
                throw FakeFaceMatch.refusal("MATCH_ENDED", null);
            }
            return match.present();
        });
    }

    @Override
    public void deleteMatch(DeleteMatchRequest request, StreamObserver<DeleteMatchResponse> observer) {
        answer(observer, () -> {
            FakeMatch match = state.find(request.getMatchId(), request.getRequestId());
            if (!match.hasEnded()) {
                throw FakeFaceMatch.refusal("MATCH_RUNNING", null);
            }
            state.matches.remove(match);
            String id = match.present().getMatchId();
            state.log.replaceAll(it -> it.getMatchId().equals(id) ? MatchUpdate.getDefaultInstance() : it);
            return DeleteMatchResponse.newBuilder()
                    .setMatchId(id)
                    .setPhotoMediaId(match.present().getPhotoMediaId())
                    .setDeleteTime(FakeMatch.now())
                    .build();
        });
    }

    /** Answers with one page. */
    @Override
    public void listMatches(ListMatchesRequest request, StreamObserver<ListMatchesResponse> observer) {
        answer(observer, () -> {
            ListMatchesResponse.Builder page = ListMatchesResponse.newBuilder();
            for (int i = state.matches.size() - 1; i >= 0; i--) {
                Match match = state.matches.get(i).present();
                if (isListed(match, request)) {
                    page.addMatches(match);
                }
            }
            return page.build();
        });
    }

    private static boolean isListed(Match match, ListMatchesRequest request) {
        List<MatchState> states = request.getStatesList();
        Instant created = Times.of(match.getCreateTime());
        return FakeState.selects(match, request.getFolderId(), request.getLabelsMap())
                && (states.isEmpty() || states.contains(match.getState()))
                && !(request.hasCreatedAfter() && created.isBefore(Times.of(request.getCreatedAfter())))
                && !(request.hasCreatedBefore() && !created.isBefore(Times.of(request.getCreatedBefore())));
    }

    /** Begins a call that stays open, unless it is refused or over at once. */
    private void follow(StreamObserver<?> observer, Answering<Open> opening) {
        try {
            synchronized (state) {
                Open open = opening.answer();
                state.follow(open);
                ((ServerCallStreamObserver<?>) observer).setOnCancelHandler(() -> state.leave(open));
                open.begin();
            }
        } catch (StatusException e) {
            observer.onError(e);
        }
    }

    /** A call that stays open. */
    private abstract class Open implements FakeState.Follower {
        private final StreamObserver<?> observer;

        private Open(StreamObserver<?> observer) {
            this.observer = observer;
        }

        abstract void begin();

        @Override
        public void broken(StatusException error) {
            observer.onError(error);
        }

        void end() {
            state.leave(this);
            observer.onCompleted();
        }
    }

    /** Sends the updates of a match after the first ones. */
    private final class Watch extends Open {
        private final StreamObserver<MatchUpdate> observer;
        private final FakeMatch match;
        private final int seen;

        private Watch(StreamObserver<MatchUpdate> observer, FakeMatch match, int seen) {
            super(observer);
            this.observer = observer;
            this.match = match;
            this.seen = seen;
        }

        @Override
        void begin() {
            match.updates.stream().skip(seen).forEach(observer::onNext);
            if (match.hasEnded()) {
                end();
                return;
            }
            observer.onNext(heartbeat(MatchUpdate.newBuilder()
                    .setMatchId(match.present().getMatchId())
                    .setSequence(match.present().getSequence())
                    .setMatch(match.present())));
        }

        @Override
        public void updated(FakeMatch changed, MatchUpdate update) {
            if (changed == match) {
                observer.onNext(update);
                if (match.hasEnded()) {
                    end();
                }
            }
        }
    }

    /** Sends the updates of the matches that a filter selects, after the first ones of the log. */
    private final class WatchAll extends Open {
        private final StreamObserver<MatchUpdate> observer;
        private final WatchMatchesRequest request;
        private final int position;

        private WatchAll(StreamObserver<MatchUpdate> observer, WatchMatchesRequest request, int position) {
            super(observer);
            this.observer = observer;
            this.request = request;
            this.position = position;
        }

        @Override
        void begin() {
            observer.onNext(heartbeat(
                    MatchUpdate.newBuilder().setResumeToken(FakeState.token(position))));
            state.log.stream().skip(position).filter(MatchUpdate::hasMatch).forEach(this::send);
        }

        @Override
        public void updated(FakeMatch changed, MatchUpdate update) {
            send(update);
        }

        private void send(MatchUpdate update) {
            if (FakeState.selects(update.getMatch(), request.getFolderId(), request.getLabelsMap())) {
                observer.onNext(update);
            }
        }
    }

    /** Answers when a match has ended, or when the time is over. */
    private final class Wait extends Open {
        private final StreamObserver<Match> observer;
        private final FakeMatch match;
        private final Duration timeout;
        private final CompletableFuture<Void> over = new CompletableFuture<>();

        private Wait(StreamObserver<Match> observer, FakeMatch match, Duration timeout) {
            super(observer);
            this.observer = observer;
            this.match = match;
            this.timeout = timeout;
        }

        @Override
        void begin() {
            over.thenRun(this::answer);
            if (match.hasEnded()) {
                over.complete(null);
            } else {
                over.completeOnTimeout(null, timeout.toNanos(), TimeUnit.NANOSECONDS);
            }
        }

        @Override
        public void updated(FakeMatch changed, MatchUpdate update) {
            if (changed == match && match.hasEnded()) {
                over.complete(null);
            }
        }

        @Override
        public void broken(StatusException error) {
            if (over.cancel(false)) {
                super.broken(error);
            }
        }

        private void answer() {
            synchronized (state) {
                observer.onNext(match.present());
                end();
            }
        }
    }

    private static MatchUpdate heartbeat(MatchUpdate.Builder update) {
        return update.setTime(FakeMatch.now())
                .setHeartbeat(Heartbeat.newBuilder().setInterval(Times.of(HEARTBEAT)))
                .build();
    }
}
