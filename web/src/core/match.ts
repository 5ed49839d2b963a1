/** How a match is named and judged on the page. An unknown state or resolution is never a success. */
import {
    type Match,
    MatchState,
    type MatchUpdate,
    Resolution,
} from "../gen/facematch/v1/face_match_pb";
import { ms } from "./time";

/** The colour of a verdict. It never stands alone: a word and a shape say the same. */
export type Tone = "running" | "good" | "bad" | "attention" | "failed" | "ended";

/** What a match has come to, in a word and a shape. */
export interface Verdict {
    readonly word: string;
    readonly shape: string;
    readonly tone: Tone;
}

const RUNNING: ReadonlyMap<MatchState, string> = new Map([
    [MatchState.ACCEPTED, "Accepted"],
    [MatchState.UPLOADED, "Photo uploaded"],
    [MatchState.PROCESSING, "Processing"],
]);

/** Whether the match goes on. */
export function isRunning(match: Match): boolean {
    return RUNNING.has(match.state);
}

/** Whether the match can't change any more. */
export function isOver({ state }: Match): boolean {
    return (
        state === MatchState.FINISHED ||
        state === MatchState.FAILED ||
        state === MatchState.CANCELLED
    );
}

/** The verdict of a match, or the state in which it is. */
export function verdict(match: Match): Verdict {
    const word = RUNNING.get(match.state);
    if (word !== undefined && match.trouble) {
        return { word: `${word}, in trouble`, shape: "▲", tone: "attention" };
    }
    if (word !== undefined) return { word, shape: "◔", tone: "running" };
    if (match.state === MatchState.FINISHED) return resolved(match.result?.resolution);
    if (match.state === MatchState.FAILED) return { word: "Failed", shape: "!", tone: "failed" };
    if (match.state === MatchState.CANCELLED) {
        return { word: "Cancelled", shape: "–", tone: "ended" };
    }
    return { word: "Unknown state", shape: "·", tone: "ended" };
}

/** The verdict that a resolution of Oz is. */
export function resolved(resolution: Resolution | undefined): Verdict {
    if (resolution === Resolution.SUCCESS) return { word: "Success", shape: "✓", tone: "good" };
    if (resolution === Resolution.DECLINED) return { word: "Declined", shape: "✕", tone: "bad" };
    if (resolution === Resolution.OPERATOR_REQUIRED) {
        return { word: "Operator required", shape: "?", tone: "attention" };
    }
    return { word: "No decision", shape: "·", tone: "ended" };
}

/** How a reader knows the match: by the caller's own id if there is one. */
export function nameOf(match: Match): string {
    return match.requestId || match.matchId;
}

/** How long the match has taken, or takes already. */
export function lengthMs(match: Match, now: number): number {
    const begin = ms(match.createTime) ?? now;
    return (ms(match.endTime) ?? now) - begin;
}

/** The similarity that decides, as a percentage and as Oz gave it. */
export function similarity(match: Match): number | undefined {
    return match.result?.minConfidence;
}

/** The first digits of a number from 0 to 1, never rounded: 0.8499 must not look like 0.85. */
export function shortNumber(number: number): string {
    return number < 0.0001 ? "0" : String(number).slice(0, 6);
}

/** A sentence for a screen reader about a match that has ended. */
export function endSentence(match: Match): string {
    const number = similarity(match);
    const how = number === undefined ? "" : `, similarity ${number}`;
    const why = match.error ? `: ${match.error.reason}` : "";
    return `${nameOf(match)}: ${verdict(match).word}${how}${why}.`;
}

/** What the live region says about matches that have ended together: at most one sentence. */
export function announcement(ended: readonly Match[]): string {
    const [first] = ended;
    if (first === undefined) return "";
    if (ended.length === 1) return endSentence(first);
    const counts = new Map<string, number>();
    for (const match of ended) {
        const { word } = verdict(match);
        counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const parts = [...counts].map(([word, count]) => `${count} ${word.toLowerCase()}`);
    return `${ended.length} matches ended: ${parts.join(", ")}.`;
}

/** Whether an update is a fact of the journal, rather than progress or a heartbeat. */
export function isDurable({ event }: MatchUpdate): boolean {
    return event.case !== "progress" && event.case !== "heartbeat";
}
