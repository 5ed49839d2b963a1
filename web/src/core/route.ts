/** The page's address: which matches the list shows, and which match is open. */
import { type Match, MatchState } from "../gen/facematch/v1/face_match_pb";

/** The states of the filter, and what each selects. */
export const STATES = {
    running: [MatchState.ACCEPTED, MatchState.UPLOADED, MatchState.PROCESSING],
    finished: [MatchState.FINISHED],
    failed: [MatchState.FAILED],
    cancelled: [MatchState.CANCELLED],
} as const;

export type StateFilter = keyof typeof STATES;

/** What the list shows. An absent filter selects every match. */
export interface Filters {
    readonly state?: StateFilter | undefined;
    /** A UUID. */
    readonly folder?: string | undefined;
    /** Labels that a match must have, all of them. */
    readonly labels: Readonly<Record<string, string>>;
    /** A part of either id. */
    readonly id?: string | undefined;
}

/** What the address says. */
export interface Route {
    readonly filters: Filters;
    /** The match that is open: its match_id. */
    readonly match?: string | undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text is a UUID, as the ids of Oz and of matches are. */
export function isUuid(text: string): boolean {
    return UUID.test(text.trim().toLowerCase());
}

/** Reads `branch=riga`. `undefined` if there is no key. */
export function parseLabel(text: string): [string, string] | undefined {
    const at = text.indexOf("=");
    if (at < 1) return undefined;
    return [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/** Reads an address. What it can't read is left out. */
export function parseRoute(search: string): Route {
    const parameters = new URLSearchParams(search);
    const state = parameters.get("state") ?? "";
    const folder = (parameters.get("folder") ?? "").trim().toLowerCase();
    const labels = parameters.getAll("label").map(parseLabel);
    return {
        filters: {
            state: Object.hasOwn(STATES, state) ? (state as StateFilter) : undefined,
            folder: isUuid(folder) ? folder : undefined,
            labels: Object.fromEntries(labels.filter((label) => label !== undefined)),
            id: parameters.get("id")?.trim() || undefined,
        },
        match: parameters.get("match")?.trim().toLowerCase() || undefined,
    };
}

/** The filters of an address that `parseRoute` leaves out, as they stand there. */
export function unreadFilters(search: string): string[] {
    const { filters } = parseRoute(search);
    const isRead: Readonly<Record<string, (value: string) => boolean>> = {
        state: () => filters.state !== undefined,
        folder: () => filters.folder !== undefined,
        label: (value) => parseLabel(value) !== undefined,
    };
    return [...new URLSearchParams(search)]
        .filter(([name, value]) => value.trim() !== "" && isRead[name]?.(value) === false)
        .map(([name, value]) => `${name}=${value}`);
}

/** The address of a route, from the path on. */
export function toAddress({ filters, match }: Route): string {
    const parameters = new URLSearchParams();
    if (filters.state) parameters.set("state", filters.state);
    if (filters.folder) parameters.set("folder", filters.folder);
    for (const [key, value] of Object.entries(filters.labels)) {
        parameters.append("label", `${key}=${value}`);
    }
    if (filters.id) parameters.set("id", filters.id);
    if (match) parameters.set("match", match);
    const search = parameters.toString();
    return search === "" ? "/" : `/?${search}`;
}

/** Whether both need the same matches from the server: the id is looked for on the page. */
export function selectSame(a: Filters, b: Filters): boolean {
    const of = (filters: Filters) =>
        toAddress({ filters: { ...filters, id: undefined, labels: sorted(filters.labels) } });
    return of(a) === of(b);
}

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether the list shows a match. */
export function selects(filters: Filters, match: Match): boolean {
    if (filters.state) {
        const states: readonly MatchState[] = STATES[filters.state];
        if (!states.includes(match.state)) return false;
    }
    if (filters.folder && match.folderId !== filters.folder) return false;
    if (Object.entries(filters.labels).some(([key, value]) => match.labels[key] !== value)) {
        return false;
    }
    const id = filters.id?.trim().toLowerCase();
    if (!id) return true;
    return match.matchId.includes(id) || match.requestId.toLowerCase().includes(id);
}

/** Whether any filter is set. */
export function isFiltered({ state, folder, labels, id }: Filters): boolean {
    return Boolean(state || folder || id || Object.keys(labels).length > 0);
}
