/**
 * The list of matches: pages of ListMatches and updates of WatchMatches, merged. Both may say the
 * same or overtake each other: of two states of a match, the one with the higher sequence holds.
 */
import { type Match, MatchState } from "../gen/facematch/v1/face_match_pb";
import { type Filters, STATES, type StateFilter, selects } from "./route";
import { ms } from "./time";

/** The most matches that the page keeps. Older ones are dropped: 1,000 rows are a long list. */
export const ROWS_MAX = 2000;

/** The matches that the page has, newest first. */
export interface MatchList {
    readonly byId: ReadonlyMap<string, Match>;
    readonly rows: readonly Match[];
    /** The token of the page after the last row. Empty if that row is the oldest match of all. */
    readonly nextPage: string;
    /** Whether older matches were dropped, which no token brings back. */
    readonly isCut: boolean;
}

export const EMPTY_LIST: MatchList = { byId: new Map(), rows: [], nextPage: "", isCut: false };

function newestFirst(a: Match, b: Match): number {
    const times = (ms(b.createTime) ?? 0) - (ms(a.createTime) ?? 0);
    if (times !== 0 || a.matchId === b.matchId) return times;
    return a.matchId < b.matchId ? 1 : -1;
}

/** Adds a page, whose token leads to the next one. */
export function addPage(list: MatchList, matches: readonly Match[], nextPage: string): MatchList {
    const byId = new Map(list.byId);
    for (const match of matches) put(byId, match);
    const last = matches.at(-1);
    const rows = [...byId.values()].sort(newestFirst);
    // An update of an old match may have come first: its row would seem to follow the page.
    const isShown = (match: Match) => !nextPage || !last || newestFirst(match, last) <= 0;
    return cut({ byId, rows: rows.filter(isShown), nextPage, isCut: list.isCut });
}

/** Applies updates. An unknown match older than the list's end is left to its page. */
export function addUpdates(list: MatchList, matches: readonly Match[]): MatchList {
    const byId = new Map(list.byId);
    const last = list.rows.at(-1);
    const isOpen = list.nextPage !== "" || list.isCut;
    for (const match of matches) {
        const isBelow = isOpen && last !== undefined && newestFirst(match, last) > 0;
        if (!isBelow || byId.has(match.matchId)) put(byId, match);
    }
    return cut({ ...list, byId, rows: [...byId.values()].sort(newestFirst) });
}

/** Takes an erased match out. */
export function remove(list: MatchList, matchId: string): MatchList {
    if (!list.byId.has(matchId)) return list;
    return keep(list, (match) => match.matchId !== matchId);
}

/** Takes out what the server has erased by now: WatchMatches doesn't tell of erased matches. */
export function withoutExpired(list: MatchList, now: number): MatchList {
    const isKept = (match: Match) => (ms(match.expireTime) ?? Number.POSITIVE_INFINITY) > now;
    return list.rows.every(isKept) ? list : keep(list, isKept);
}

function put(byId: Map<string, Match>, match: Match): void {
    const known = byId.get(match.matchId);
    if (known === undefined || match.sequence > known.sequence) byId.set(match.matchId, match);
}

function keep(list: MatchList, isKept: (match: Match) => boolean): MatchList {
    const rows = list.rows.filter(isKept);
    return { ...list, rows, byId: new Map(rows.map((match) => [match.matchId, match])) };
}

function cut(list: MatchList): MatchList {
    if (list.rows.length <= ROWS_MAX && list.rows.length === list.byId.size) return list;
    const rows = list.rows.slice(0, ROWS_MAX);
    const isCut = list.isCut || rows.length < list.rows.length;
    const byId = new Map(rows.map((match) => [match.matchId, match]));
    return { rows, byId, isCut, nextPage: isCut ? "" : list.nextPage };
}

/** What the reader sees of the list. */
export interface Shown {
    readonly rows: readonly Match[];
    /** How many newer matches wait above, so that the rows don't move under the reader. */
    readonly held: number;
}

/** The rows that filters select; none newer than `top`, which is the first row while scrolled. */
export function shown(list: MatchList, filters: Filters, top: Match | undefined): Shown {
    const rows = list.rows.filter((match) => selects(filters, match));
    if (top === undefined) return { rows, held: 0 };
    const from = rows.findIndex((match) => newestFirst(match, top) >= 0);
    const held = from < 0 ? rows.length : from;
    return { rows: rows.slice(held), held };
}

/** How many matches of the list are in each state of the filter. */
export function counts(list: MatchList): Record<StateFilter, number> {
    const found = { running: 0, finished: 0, failed: 0, cancelled: 0 };
    for (const { state } of list.rows) {
        if (state === MatchState.FINISHED) found.finished += 1;
        else if (state === MatchState.FAILED) found.failed += 1;
        else if (state === MatchState.CANCELLED) found.cancelled += 1;
        else if ((STATES.running as readonly MatchState[]).includes(state)) found.running += 1;
    }
    return found;
}
