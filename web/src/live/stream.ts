/** Keeps one stream open: opens it again after a break or silence, and closes it while hidden. */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Signal, signal } from "@preact/signals";
import { broken, type Failure, readFailure } from "../core/failure";
import * as links from "../core/link";
import type { MatchUpdate } from "../gen/facematch/v1/face_match_pb";

/** How often an open stream is asked whether it is still alive. */
const WATCHDOG_MS = 1000;

/** What a stream brings, and where it goes on. */
export interface Source {
    /** Makes the call, from the last message that was taken. */
    open(signal: AbortSignal): AsyncIterable<MatchUpdate>;
    /** Takes a message. Says whether it was news. */
    take(update: MatchUpdate, signal: AbortSignal): boolean | Promise<boolean>;
    /** Whether everything has been told, when a call ended with OK. */
    isComplete(): boolean;
    /** The server doesn't know the place where the stream was. */
    restart(): void;
    /** Whether the stream may be closed while the page is hidden. */
    mayPause(): boolean;
}

/** A stream that lasts until it is closed. */
export class Stream {
    readonly link: Signal<links.Link> = signal(links.NEW_LINK);
    readonly #source: Source;
    #call: AbortController | undefined;
    #wake: (() => void) | undefined;

    constructor(source: Source) {
        this.#source = source;
    }

    start(): void {
        void this.#run();
    }

    /** Ends the stream for good. */
    close(): void {
        const call = this.#call;
        this.#call = undefined;
        call?.abort();
        this.#wake?.();
    }

    /** Closes the call until `resume`. */
    pause(): void {
        const { phase } = this.link.value;
        if (phase === "ended" || phase === "refused" || !this.#source.mayPause()) return;
        this.close();
        this.link.value = links.paused(this.link.value);
    }

    resume(): void {
        if (this.link.value.phase === "paused") this.start();
    }

    /** Doesn't wait for the next try. */
    retryNow(): void {
        if (this.link.value.phase === "refused") this.start();
        else this.#wake?.();
    }

    async #run(): Promise<void> {
        const call = new AbortController();
        this.#call = call;
        while (this.#call === call) {
            const failure = await this.#try(call);
            if (this.#call !== call) return;
            if (failure === undefined) {
                this.link.value = links.ended(this.link.value);
                return;
            }
            if (failure.remedy === "restart") this.#source.restart();
            const link = links.failed(this.link.value, failure, Date.now(), Math.random());
            this.link.value = link;
            if (link.phase === "refused") return;
            await this.#sleep((link.retryAt ?? 0) - Date.now());
        }
    }

    /** Makes one call. `undefined` if everything has been told. */
    async #try(run: AbortController): Promise<Failure | undefined> {
        this.link.value = links.opened(this.link.value, Date.now());
        const call = new AbortController();
        const abort = () => call.abort();
        run.signal.addEventListener("abort", abort);
        let isSilent = false;
        const watchdog = setInterval(() => {
            isSilent = links.isDead(this.link.value, Date.now());
            if (isSilent) call.abort();
        }, WATCHDOG_MS);
        try {
            for await (const update of this.#source.open(call.signal)) {
                const isNews = await this.#source.take(update, call.signal);
                if (run.signal.aborted) return undefined;
                const link = links.heard(this.link.value, Date.now(), isNews, intervalOf(update));
                this.link.value = link;
            }
            if (this.#source.isComplete()) return undefined;
            return broken("the stream ended early");
        } catch (thrown) {
            return isSilent ? broken("the server is silent") : readFailure(thrown);
        } finally {
            clearInterval(watchdog);
            run.signal.removeEventListener("abort", abort);
            call.abort();
        }
    }

    #sleep(length: number): Promise<void> {
        return new Promise((resolve) => {
            const timer = setTimeout(resolve, Math.max(0, length));
            this.#wake = () => {
                clearTimeout(timer);
                resolve();
            };
        });
    }
}

function intervalOf({ event }: MatchUpdate): number | undefined {
    if (event.case !== "heartbeat" || !event.value.interval) return undefined;
    return durationMs(event.value.interval);
}
