package dev.facematch.testing;

import dev.facematch.v1.Match;
import dev.facematch.v1.MatchRequest;
import dev.facematch.v1.MatchUpdate;
import io.grpc.StatusException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The matches of a fake, and their updates in one order. Calls hold its monitor: what a follower is
 * told has the order of the log. Clients of a fake never wait while they take a message.
 */
final class FakeState {
    /** An open call that is told of what changes. */
    interface Follower {
        /** Tells of an update of any match, which may be followed by others. */
        void updated(FakeMatch match, MatchUpdate update);

        /** Ends the call. */
        void broken(StatusException error);
    }

    private static final String TOKEN = "fake-";

    final List<FakeMatch> matches = new ArrayList<>();
    final List<MatchUpdate> log = new ArrayList<>();
    private final Map<String, Match> outcomes = new HashMap<>();
    private final List<MatchRequest> requests = new ArrayList<>();
    private final Set<Follower> followers = new LinkedHashSet<>();

    /** Says how the matches of a folder end. An outcome without a state leaves them running. */
    synchronized void decide(String folderId, Match outcome) {
        outcomes.put(folderId, outcome);
        for (FakeMatch match : List.copyOf(matches)) {
            if (match.request.getFolderId().equals(folderId)) {
                match.decide(outcome);
            }
        }
    }

    synchronized List<MatchRequest> requests() {
        return List.copyOf(requests);
    }

    synchronized void cut(StatusException error) {
        List.copyOf(followers).forEach(it -> it.broken(error));
        followers.clear();
    }

    synchronized void follow(Follower follower) {
        followers.add(follower);
    }

    synchronized void leave(Follower follower) {
        followers.remove(follower);
    }

    /** The match of a request, which may be there already. */
    synchronized FakeMatch accept(MatchRequest request) throws StatusException {
        requests.add(request);
        boolean isComplete = !request.getFolderId().isEmpty()
                && request.getPhoto().getSourceCase().getNumber() != 0;
        if (!isComplete) {
            throw FakeFaceMatch.refusal("FIELD_INVALID", null);
        }
        FakeMatch known = byRequestId(request.getRequestId());
        if (known == null) {
            return begin(request);
        }
        if (!content(known.request).equals(content(request))) {
            throw FakeFaceMatch.refusal("REQUEST_ID_REUSED", null);
        }
        return known;
    }

    /** What a repeated request has in common with the first one. */
    private static MatchRequest content(MatchRequest request) {
        return request.toBuilder().clearIncludeProgress().build();
    }

    private FakeMatch begin(MatchRequest request) {
        FakeMatch[] made = new FakeMatch[1];
        made[0] = new FakeMatch(request, update -> publish(made[0], update));
        matches.add(made[0]);
        made[0].start();
        made[0].decide(outcomes.getOrDefault(request.getFolderId(), FakeFaceMatch.usual()));
        return made[0];
    }

    private MatchUpdate publish(FakeMatch match, MatchUpdate update) {
        MatchUpdate published = update.toBuilder().setResumeToken(token(log.size() + 1)).build();
        log.add(published);
        List.copyOf(followers).forEach(it -> it.updated(match, published));
        return published;
    }

    /** The match with an id. */
    synchronized FakeMatch find(String matchId, String requestId) throws StatusException {
        FakeMatch match = requestId.isEmpty() ? byMatchId(matchId) : byRequestId(requestId);
        if (match == null) {
            throw FakeFaceMatch.refusal("MATCH_NOT_FOUND", null);
        }
        return match;
    }

    private FakeMatch byMatchId(String id) {
        return matches.stream().filter(it -> it.present().getMatchId().equals(id)).findFirst().orElse(null);
    }

    private FakeMatch byRequestId(String id) {
        return matches.stream()
                .filter(it -> !id.isEmpty() && it.request.getRequestId().equals(id))
                .findFirst().orElse(null);
    }

    /** A token that continues after so many updates of the log. */
    static String token(int position) {
        return TOKEN + position;
    }

    /** The place of a token in the log. */
    synchronized int position(String token) throws StatusException {
        if (token.isEmpty()) {
            return log.size();
        }
        if (token.equals("earliest")) {
            return 0;
        }
        if (token.matches(TOKEN + "\\d{1,9}")) {
            int position = Integer.parseInt(token.substring(TOKEN.length()));
            if (position <= log.size()) {
                return position;
            }
        }
        throw FakeFaceMatch.refusal("TOKEN_INVALID", null);
    }

    /** Whether a match has the folder and the labels. */
    static boolean selects(Match match, String folderId, Map<String, String> labels) {
        return (folderId.isEmpty() || folderId.equals(match.getFolderId()))
                && match.getLabelsMap().entrySet().containsAll(labels.entrySet());
    }
}
