/** Times and durations as the page writes them. Reads no clock. */
import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** A time in milliseconds since 1970; `undefined` if the message has none. */
export function ms(time: Timestamp | undefined): number | undefined {
    return time && Number(time.seconds) * 1000 + time.nanos / 1e6;
}

const two = (number: number): string => String(number).padStart(2, "0");

/** The time of day in the reader's own time zone, such as 14:03:22. */
export function clock(at: number): string {
    const date = new Date(at);
    return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The same with milliseconds. */
export function preciseClock(at: number): string {
    return `${clock(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`;
}

/** The time of day; with the date in front, unless it is that of `now`. */
export function moment(at: number, now: number): string {
    const [date, today] = [new Date(at), new Date(now)];
    if (date.toDateString() === today.toDateString()) return clock(at);
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    return `${day} ${clock(at)}`;
}

/** A measured duration: 12 ms, 3.4 s, 2 min 5 s, 1 h 2 min. */
export function duration(length: number): string {
    const least = Math.max(0, length);
    if (least < 1000) return `${Math.round(least)} ms`;
    if (least < 59_950) return `${(least / 1000).toFixed(1)} s`;
    return wholeSeconds(least);
}

/** A duration that a reader watches: whole seconds, never less than none. */
export function wholeSeconds(length: number): string {
    const seconds = Math.max(0, Math.round(length / 1000));
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A number of bytes: 812 B, 340 KB, 2.1 MB. */
export function bytes(count: number): string {
    if (count < 1000) return `${count} B`;
    if (count < 1e6) return `${Math.round(count / 1000)} KB`;
    return `${(count / 1e6).toFixed(1)} MB`;
}
