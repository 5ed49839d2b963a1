/** Sentences of the page that depend on its state. Reads no clock. */
import type { Link } from "./link";
import { clock, wholeSeconds } from "./time";

/** How long a call may go unanswered before the page says so. */
export const SLOW_ANSWER_MS = 5000;

/** 1st, 2nd, 3rd, 4th, 11th. */
export function ordinal(number: number): string {
    const isTeen = number % 100 > 10 && number % 100 < 14;
    const ending = isTeen ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
    return `${number}${ending}`;
}

/** What the banner says of a connection; `undefined` while there is nothing to say. */
export function connection(link: Link, now: number): string | undefined {
    const shown =
        link.asOf === undefined ? "nothing was read yet" : `shown as of ${clock(link.asOf)}`;
    const verb = link.asOf === undefined ? "Connecting" : "Reconnecting";
    if (link.phase === "waiting" || (link.phase === "connecting" && link.tries > 0)) {
        const wait = (link.retryAt ?? now) - now;
        const when = wait > 500 ? ` in ${wholeSeconds(wait)}` : "";
        const cause = link.failure ? ` (${link.failure.message})` : "";
        return `${verb}, ${ordinal(link.tries)} try${when}; ${shown}${cause}`;
    }
    if (link.phase === "connecting" && now - link.activeAt > SLOW_ANSWER_MS) {
        return (
            `No answer yet; ${shown}. A browser has six connections to a server without TLS, ` +
            "and each open page of this server takes one or two: close some if there are many."
        );
    }
    return undefined;
}

/** When the next attempt is due. */
export function nextTry(at: number | undefined, now: number): string {
    if (at === undefined) return "";
    if (at <= now) return "It is being tried again.";
    return `Next try in ${wholeSeconds(at - now)}.`;
}

/** "1 match", "12 matches". */
export function matches(count: number): string {
    return `${count} ${count === 1 ? "match" : "matches"}`;
}

/** The command that shows a match with grpcurl. ADDRESS is the server's port for gRPC. */
export function grpcurl(matchId: string): string {
    const request = JSON.stringify({ match_id: matchId });
    return `grpcurl -plaintext -d '${request}' ADDRESS facematch.v1.FaceMatch/WatchMatch`;
}

/** The command that shows a match with curl, at the page's own origin. */
export function curl(origin: string, matchId: string): string {
    return `curl -sN '${origin}/facematch.v1.FaceMatch/WatchMatch?matchId=${matchId}'`;
}
