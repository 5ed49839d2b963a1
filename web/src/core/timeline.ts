/** One match as its updates tell it: the steps, their times, and the gaps between them. */
import type { Match, MatchUpdate, Progress } from "../gen/facematch/v1/face_match_pb";
import { isDurable, similarity, verdict } from "./match";
import { clock, ms } from "./time";

/** What is known of a match. */
export interface Timeline {
    readonly match?: Match | undefined;
    /** The durable updates, in order and without a gap. */
    readonly updates: readonly MatchUpdate[];
    /** The latest progress since the last durable update. */
    readonly progress?: Progress | undefined;
}

export const NEW_TIMELINE: Timeline = { updates: [] };

/** The sequence of the last durable update; 0 before the first. */
export function seen({ updates }: Timeline): bigint {
    return updates.at(-1)?.sequence ?? 0n;
}

/** A timeline with one more message; `undefined` if updates are missing before it. */
export function take(timeline: Timeline, update: MatchUpdate): Timeline | undefined {
    if (update.event.case === "progress") return { ...timeline, progress: update.event.value };
    if (!isDurable(update) || update.sequence <= seen(timeline)) return timeline;
    if (update.sequence !== seen(timeline) + 1n) return undefined;
    return {
        match: update.match ?? timeline.match,
        updates: [...timeline.updates, update],
        progress: undefined,
    };
}

/** A row of the timeline. */
export interface Step {
    readonly title: string;
    readonly detail: string;
    /** In milliseconds since 1970, by the clock of the server. */
    readonly at: number;
    /** The time since the previous step; `undefined` for the first. */
    readonly gapMs?: number | undefined;
    readonly isTrouble: boolean;
}

/** The rows of a timeline. */
export function steps({ updates }: Timeline): Step[] {
    let before: number | undefined;
    return updates.map((update) => {
        const at = ms(update.time) ?? 0;
        const gapMs = before === undefined ? undefined : at - before;
        before = at;
        const isTrouble = update.event.case === "attemptFailed";
        return { ...words(update), at, gapMs, isTrouble };
    });
}

function words({ event, match }: MatchUpdate): { title: string; detail: string } {
    switch (event.case) {
        case "accepted": {
            const deadline = ms(event.value.deadline);
            const detail = deadline === undefined ? "" : `Deadline ${clock(deadline)}`;
            return { title: "Accepted", detail };
        }
        case "photoUploaded":
            return { title: "Photo is at Oz", detail: "" };
        case "analysisStarted":
            return { title: "Analysis started", detail: "" };
        case "attemptFailed":
            return { title: `Trouble: ${event.value.cause}`, detail: event.value.message };
        case "finished": {
            const number = match && similarity(match);
            const detail = number === undefined ? "" : `Similarity ${number}`;
            return { title: match ? verdict(match).word : "Finished", detail };
        }
        case "failed": {
            const { reason, message } = event.value.error ?? { reason: "", message: "" };
            return { title: `Failed: ${reason}`, detail: message };
        }
        case "cancelled":
            return { title: "Cancelled", detail: "A caller cancelled the match." };
        default:
            return { title: "Update of a kind that this page doesn't know", detail: "" };
    }
}
