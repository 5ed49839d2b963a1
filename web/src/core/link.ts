/**
 * The connection of one stream: open, silent, broken, closed while the page is hidden. Decides when
 * to try again and when silence means that the connection is dead. Makes no call, reads no clock.
 */
import type { Failure } from "./failure";

/** The first pause before a retry, and the longest: a server that restarts is found soon. */
export const FIRST_PAUSE_MS = 200;
export const LONGEST_PAUSE_MS = 5000;
/** A stream is dead after this many heartbeat intervals of silence: one heartbeat may be late. */
export const SILENT_INTERVALS = 3;
/** No stream is called dead sooner than this, however short the interval. */
export const LEAST_SILENCE_MS = 15_000;
/** The same while the interval isn't known yet. */
export const UNKNOWN_SILENCE_MS = 60_000;

export type Phase =
    /** The call is made, and the server hasn't answered. */
    | "connecting"
    /** Messages arrive. */
    | "live"
    /** The call broke, and the next one is due at `retryAt`. */
    | "waiting"
    /** The page is hidden, and the stream is closed. */
    | "paused"
    /** There is nothing more to hear. */
    | "ended"
    /** The server has refused the call, and a repeat wouldn't help. */
    | "refused";

export interface Link {
    readonly phase: Phase;
    /** Retries in a row without news. */
    readonly tries: number;
    /** When the last message came; `undefined` before the first. */
    readonly asOf?: number | undefined;
    /** When the present call was made. */
    readonly openedAt: number;
    /** When the present call was made, or its last message came. */
    readonly activeAt: number;
    readonly retryAt?: number | undefined;
    /** The server's heartbeat interval. */
    readonly intervalMs?: number | undefined;
    readonly failure?: Failure | undefined;
}

export const NEW_LINK: Link = { phase: "connecting", tries: 0, openedAt: 0, activeAt: 0 };

/** The call is made. */
export function opened(link: Link, now: number): Link {
    return { ...link, phase: "connecting", openedAt: now, activeAt: now, retryAt: undefined };
}

/** A message came. `isNews`: it was no repetition, so the retries have helped. */
export function heard(link: Link, now: number, isNews: boolean, intervalMs?: number): Link {
    return {
        ...link,
        phase: "live",
        tries: isNews ? 0 : link.tries,
        asOf: now,
        activeAt: now,
        intervalMs: intervalMs ?? link.intervalMs,
        failure: undefined,
    };
}

/** The call failed. A stream that worked for a while begins anew with its tries. `random` is from 0 to 1: pages that were cut off together return apart. */
export function failed(link: Link, failure: Failure, now: number, random: number): Link {
    if (failure.remedy !== "retry" && failure.remedy !== "restart") {
        return { ...link, phase: "refused", failure, retryAt: undefined };
    }
    const hasWorked = link.phase === "live" && now - link.openedAt >= LONGEST_PAUSE_MS;
    const before = hasWorked ? 0 : link.tries;
    const retryAt = now + pauseMs(before, failure.retryAfterMs, random);
    return { ...link, phase: "waiting", tries: before + 1, failure, retryAt };
}

function pauseMs(tries: number, asked: number | undefined, random: number): number {
    if (asked !== undefined) return asked * (1 + random / 2);
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 10));
    return longest * (0.5 + random / 2);
}

/** The page is hidden: the stream is closed until it is shown. */
export function paused(link: Link): Link {
    return { ...link, phase: "paused", retryAt: undefined };
}

/** The stream has told all that there is. */
export function ended(link: Link): Link {
    return { ...link, phase: "ended", retryAt: undefined, failure: undefined, tries: 0 };
}

/** How long the stream may be silent. */
export function silenceMs({ intervalMs }: Link): number {
    if (intervalMs === undefined) return UNKNOWN_SILENCE_MS;
    return Math.max(SILENT_INTERVALS * intervalMs, LEAST_SILENCE_MS);
}

/** Whether an open stream has been silent for so long that its connection must be dead. */
export function isDead(link: Link, now: number): boolean {
    const isOpen = link.phase === "connecting" || link.phase === "live";
    return isOpen && now - link.activeAt > silenceMs(link);
}
