/** The present time, once a second, by the clock of the server. */
import { computed, signal } from "@preact/signals";
import { ms } from "../core/time";
import type { MatchUpdate } from "../gen/facematch/v1/face_match_pb";

const TICK_MS = 1000;

/** The time of this machine. */
export const here = signal(Date.now());
const skewMs = signal(0);
/** The time of the server, as far as its last heartbeat tells. */
export const now = computed(() => here.value + skewMs.value);

/** A time of this machine by the clock of the server. */
export function atServer(time: number): number {
    return time + skewMs.value;
}

setInterval(() => {
    here.value = Date.now();
}, TICK_MS);

/** Reads the server's clock from a message that was sent just now. */
export function readClock({ event, time }: MatchUpdate): void {
    if (event.case !== "heartbeat" && event.case !== "progress") return;
    const sent = ms(time);
    if (sent !== undefined) skewMs.value = sent - Date.now();
}
