/** The live list: WatchMatches first, whose first message is a token, then ListMatches. */
import { batch, effect, signal } from "@preact/signals";
import type { Failure } from "../core/failure";
import { readFailure } from "../core/failure";
import * as lists from "../core/list";
import { announcement, isOver } from "../core/match";
import { type Filters, STATES, selectSame } from "../core/route";
import type { Match, MatchUpdate } from "../gen/facematch/v1/face_match_pb";
import { filters } from "./address";
import { service, UNARY_TIMEOUT_MS } from "./calls";
import { now, readClock } from "./clock";
import { type Source, Stream } from "./stream";

/** Matches of one call, and the most calls for one page: the server may send empty pages. */
const PAGE_SIZE = 200;
const PAGE_CALLS_MAX = 20;
/** Updates are shown together, so that a burst costs one drawing. */
const GATHER_MS = 50;
/** Ends are announced together. */
const ANNOUNCE_MS = 1000;

export const list = signal(lists.EMPTY_LIST);
/** Whether the list has been read for the present filters. */
export const isRead = signal(false);
/** The page that is being read on demand, and how that failed. */
export const more = signal<{ isBusy: boolean; failure?: Failure }>({ isBusy: false });
/** What the live region says. */
export const announced = signal("");
/** Whether the list had to begin anew, since the server has forgotten where it was. */
export const wasReadAnew = signal(false);
export const stream = signal<Stream | undefined>(undefined);

let waiting: Match[] = [];
let ends: Match[] = [];
let gathering: ReturnType<typeof setTimeout> | undefined;

/** Shows a newer state of matches. */
export function show(...matches: Match[]): void {
    waiting.push(...matches);
    gathering ??= setTimeout(flush, GATHER_MS);
}

/** Takes an erased match out. */
export function forget(matchId: string): void {
    flush();
    list.value = lists.remove(list.peek(), matchId);
}

function flush(): void {
    clearTimeout(gathering);
    gathering = undefined;
    if (waiting.length === 0) return;
    const matches = waiting;
    waiting = [];
    list.value = lists.addUpdates(list.peek(), matches);
}

function announce(match: Match): void {
    ends.push(match);
    if (ends.length > 1) return;
    setTimeout(() => {
        announced.value = announcement(ends);
        ends = [];
    }, ANNOUNCE_MS);
}

class ListSource implements Source {
    readonly #filters: Filters;
    #token = "";
    #isAnew = false;

    constructor(selected: Filters) {
        this.#filters = selected;
    }

    open(signal: AbortSignal): AsyncIterable<MatchUpdate> {
        const { folder, labels } = this.#filters;
        const request = { resumeToken: this.#token, folderId: folder ?? "", labels };
        return service.watchMatches(request, { signal });
    }

    async take(update: MatchUpdate, signal: AbortSignal): Promise<boolean> {
        readClock(update);
        if (this.#token === "") await this.#read(signal);
        if (update.match) {
            show(update.match);
            if (isOver(update.match)) announce(update.match);
        }
        const isNews = update.resumeToken !== this.#token;
        this.#token = update.resumeToken || this.#token;
        return isNews;
    }

    isComplete(): boolean {
        return false;
    }

    restart(): void {
        this.#token = "";
        this.#isAnew = true;
    }

    mayPause(): boolean {
        return true;
    }

    async #read(signal: AbortSignal): Promise<void> {
        const page = await readPage(this.#filters, "", signal);
        if (signal.aborted) return;
        waiting = [];
        batch(() => {
            list.value = lists.addPage(lists.EMPTY_LIST, page.matches, page.next);
            isRead.value = true;
            wasReadAnew.value = this.#isAnew;
        });
    }
}

interface Page {
    readonly matches: Match[];
    readonly next: string;
}

async function readPage(selected: Filters, token: string, signal?: AbortSignal): Promise<Page> {
    const request = {
        pageSize: PAGE_SIZE,
        folderId: selected.folder ?? "",
        labels: selected.labels,
        states: selected.state ? [...STATES[selected.state]] : [],
    };
    let next = token;
    for (let calls = 0; calls < PAGE_CALLS_MAX; calls += 1) {
        const options = { timeoutMs: UNARY_TIMEOUT_MS, ...(signal && { signal }) };
        const page = await service.listMatches({ ...request, pageToken: next }, options);
        next = page.nextPageToken;
        if (page.matches.length > 0 || next === "") return { matches: page.matches, next };
    }
    return { matches: [], next };
}

/** Reads the next page of older matches. */
export async function readMore(): Promise<void> {
    const [selected, token] = [filters.value, list.value.nextPage];
    more.value = { isBusy: true };
    try {
        const page = await readPage(selected, token);
        if (selectSame(selected, filters.value) && list.value.nextPage === token) {
            list.value = lists.addPage(list.value, page.matches, page.next);
        }
        more.value = { isBusy: false };
    } catch (thrown) {
        more.value = { isBusy: false, failure: readFailure(thrown) };
    }
}

/** Begins to follow the list, again after each change of the filters. */
export function followList(): void {
    let followed: Filters | undefined;
    effect(() => {
        const selected = filters.value;
        if (followed && selectSame(followed, selected)) return;
        followed = selected;
        restartList(selected);
    });
    effect(() => {
        const kept = lists.withoutExpired(list.peek(), now.value);
        if (kept !== list.peek()) list.value = kept;
    });
}

/** Reads the list from its beginning, over a new stream. */
export function restartList(selected = filters.peek()): void {
    stream.peek()?.close();
    const fresh = new Stream(new ListSource(selected));
    batch(() => {
        list.value = lists.EMPTY_LIST;
        isRead.value = false;
        more.value = { isBusy: false };
        stream.value = fresh;
    });
    fresh.start();
}
