/** What the client needs of a connection: one try of one call. grpc.ts has gRPC's, fake.ts a fake. */
import type {
    DescMethod,
    DescMethodServerStreaming,
    DescMethodUnary,
    MessageShape,
} from "@bufbuild/protobuf";
import type * as wire from "./wire.js";

/** One try of a call. */
export interface Try<Method extends DescMethod = DescMethod> {
    readonly method: Method;
    /** The request, encoded. */
    readonly request: Uint8Array;
    readonly headers: Readonly<Record<string, string>>;
    /** How long the try may take. */
    readonly limitMs: number | undefined;
    /** Whether that is a limit of this library, and not the caller's. */
    readonly isOwnLimit: boolean;
    /** Called with the server's version, once the answer begins. */
    readonly onVersion: (version: string) => void;
}

export type StreamMethod = DescMethodServerStreaming & {
    readonly output: typeof wire.MatchUpdateSchema;
};

/** The answer of a call that streams. */
export interface Incoming {
    /** The next message; `undefined` after the last one. Rejects with a `Failure`. */
    next(): Promise<wire.MatchUpdate | undefined>;
    /** Ends the call. Its `next` rejects, or never settles. */
    cancel(): void;
    /** Says that the connection seems dead: later calls use another one. */
    retire(): void;
    /**
     * Says that the call ended unanswered by its caller's deadline or signal, which may be early:
     * later calls use another connection only if this one has left calls unanswered for long.
     */
    suspect(): void;
}

export interface Transport {
    stream(attempt: Try<StreamMethod>): Incoming;
    /**
     * Rejects with a `Failure`; a signal that is aborted ends the call. A call that ran into a limit
     * of this library retires the connection; one that its caller ended makes it suspect.
     */
    unary<Method extends DescMethodUnary>(
        attempt: Try<Method>,
        signal: AbortSignal,
    ): Promise<MessageShape<Method["output"]>>;
    /** Closes all connections. Calls that are open end by their own signals. */
    close(): void;
}
