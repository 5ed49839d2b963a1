/** The match that is open: its stream, and what can be done with it. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { batch, effect, type Signal, signal } from "@preact/signals";
import { type Failure, readFailure } from "../core/failure";
import { isOver } from "../core/match";
import { NEW_TIMELINE, seen, type Timeline, take } from "../core/timeline";
import {
    type MatchRequest,
    MatchRequestSchema,
    type MatchUpdate,
} from "../gen/facematch/v1/face_match_pb";
import { closeMatch, go, route } from "./address";
import { service, UNARY_TIMEOUT_MS } from "./calls";
import { readClock } from "./clock";
import * as lists from "./list";
import { may } from "./permissions";
import { type Source, Stream } from "./stream";

/** A match whose updates the page follows. */
export class OpenMatch implements Source {
    readonly timeline: Signal<Timeline> = signal(NEW_TIMELINE);
    readonly stream = new Stream(this);
    /** The server's id; empty until a match that is being tried is accepted. */
    matchId: string;
    /** The request with its photo, until the photo is at Oz: a server that crashes loses it. */
    #request: MatchRequest | undefined;
    #accepted: (() => void) | undefined;

    constructor(matchId: string, request?: MatchRequest, accepted?: () => void) {
        this.matchId = matchId;
        this.#request = request;
        this.#accepted = accepted;
    }

    open(signal: AbortSignal): AsyncIterable<MatchUpdate> {
        if (this.#request) return service.runMatch(this.#request, { signal });
        const id = { case: "matchId", value: this.matchId } as const;
        const afterSequence = seen(this.timeline.value);
        return service.watchMatch({ id, afterSequence, includeProgress: true }, { signal });
    }

    take(update: MatchUpdate): boolean {
        readClock(update);
        this.#name(update.matchId);
        const before = this.timeline.value;
        const after = take(before, update);
        if (after === undefined) throw new Error("an update is missing");
        this.timeline.value = after;
        const { match } = after;
        if (match && (match.photoMediaId !== "" || isOver(match))) this.#request = undefined;
        if (match && after !== before) lists.show(match);
        if (this.matchId !== "") {
            this.#accepted?.();
            this.#accepted = undefined;
        }
        return after.updates.length > before.updates.length;
    }

    /** Follows the id: a repeated request made another match if the store was lost meanwhile. */
    #name(matchId: string): void {
        if (matchId === "" || matchId === this.matchId) return;
        const isOpen = open.peek() === this;
        this.restart();
        this.matchId = matchId;
        if (isOpen) go({ ...route.peek(), match: matchId });
    }

    isComplete(): boolean {
        const { match } = this.timeline.value;
        return match !== undefined && isOver(match);
    }

    restart(): void {
        this.timeline.value = NEW_TIMELINE;
    }

    mayPause(): boolean {
        return this.#request === undefined;
    }

    close(): void {
        this.#request = undefined;
        this.stream.close();
    }
}

export const open = signal<OpenMatch | undefined>(undefined);

/** Follows the match that the address names. */
export function followAddress(): void {
    effect(() => {
        const { match } = route.value;
        const before = open.peek();
        if (before?.matchId === match || (match === undefined && before === undefined)) return;
        before?.close();
        if (match === undefined) {
            open.value = undefined;
            return;
        }
        const next = new OpenMatch(match);
        batch(() => {
            open.value = next;
            action.value = {};
        });
        next.stream.start();
    });
}

/** Takes a match out of the list when its stream says that it was erased. */
export function followErasure(): void {
    effect(() => {
        const link = open.value?.stream.link.value;
        if (link?.phase !== "refused" || link.failure?.remedy !== "gone") return;
        lists.forget(open.peek()?.matchId ?? "");
    });
}

/** A match that is being tried, until the server has accepted it. */
export const trying = signal<OpenMatch | undefined>(undefined);

/** Sends a match. Once it is accepted, it is the open match. */
export function tryMatch(request: MessageInitShape<typeof MatchRequestSchema>): void {
    const tried = new OpenMatch("", create(MatchRequestSchema, request), () => {
        open.peek()?.close();
        batch(() => {
            trying.value = undefined;
            open.value = tried;
            action.value = {};
            go({ ...route.peek(), match: tried.matchId });
        });
    });
    trying.peek()?.close();
    // A page has two streams at most.
    open.peek()?.stream.pause();
    trying.value = tried;
    tried.stream.start();
}

/** Gives up a match that isn't accepted yet. */
export function stopTrying(): void {
    trying.peek()?.close();
    trying.value = undefined;
    open.peek()?.stream.resume();
}

/** What is being done with the open match, and how it failed. */
export const action = signal<{ busy?: "cancel" | "erase"; failure?: Failure }>({});

/** Cancels the open match. */
export async function cancel(matchId: string): Promise<void> {
    action.value = { busy: "cancel" };
    try {
        const id = { case: "matchId", value: matchId } as const;
        lists.show(await service.cancelMatch({ id }, { timeoutMs: UNARY_TIMEOUT_MS }));
        action.value = {};
    } catch (thrown) {
        refuse(readFailure(thrown), "match");
    }
}

/** Erases the open match. A match that is gone already is erased, too. */
export async function erase(matchId: string): Promise<void> {
    action.value = { busy: "erase" };
    try {
        const id = { case: "matchId", value: matchId } as const;
        await service.deleteMatch({ id }, { timeoutMs: UNARY_TIMEOUT_MS });
    } catch (thrown) {
        const failure = readFailure(thrown);
        if (failure.remedy !== "gone") {
            refuse(failure, "erase");
            return;
        }
    }
    action.value = {};
    lists.forget(matchId);
    if (route.peek().match === matchId) closeMatch();
}

function refuse(failure: Failure, permission: "match" | "erase"): void {
    action.value = { failure };
    if (failure.remedy === "forbidden") may.value = { ...may.value, [permission]: false };
}

/** The match_id of a match, by either id. `undefined` if there is none. */
export async function find(id: string): Promise<string | undefined> {
    const options = { timeoutMs: UNARY_TIMEOUT_MS };
    const isMatchId = /^[0-9a-f-]{36}$/i.test(id);
    const names = [
        ...(isMatchId ? [{ case: "matchId", value: id.toLowerCase() } as const] : []),
        { case: "requestId", value: id } as const,
    ];
    for (const name of names) {
        try {
            const match = await service.getMatch({ id: name }, options);
            return match.matchId;
        } catch (thrown) {
            const failure = readFailure(thrown);
            if (failure.remedy !== "gone" && failure.word !== "FIELD_INVALID") throw thrown;
        }
    }
    return undefined;
}
