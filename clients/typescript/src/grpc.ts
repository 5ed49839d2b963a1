/** The transport that speaks gRPC. It repeats nothing, and knows nothing of matches. */
import { readFileSync } from "node:fs";
import type { DescMethod, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import type { ChannelOptions, ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";
import { errorCode, UsageError } from "./errors.js";
import { Failure } from "./failure.js";
import type { ClientOptions, Endpoint, Limits, Pem } from "./settings.js";
import type { Incoming, StreamMethod, Transport, Try } from "./transport.js";
import type * as wire from "./wire.js";

/**
 * The longest pause before a channel connects again. The client's own pauses are the ones that
 * spare the server; a channel that waits longer refuses calls without having tried.
 */
const RECONNECT_LONGEST_MS = 1_000;

/** A channel, and since when it has left calls unanswered. */
class Connection {
    readonly client: Client;
    #unansweredSince: number | undefined;

    constructor(client: Client) {
        this.client = client;
    }

    beginCall(): void {
        this.#unansweredSince ??= performance.now();
    }

    /** Notes a sign of life. */
    heard(): void {
        this.#unansweredSince = undefined;
    }

    hasBeenSilentFor(ms: number): boolean {
        const since = this.#unansweredSince;
        return since !== undefined && performance.now() - since >= ms;
    }
}

/** One channel at a time, and those that are retired until their calls have ended. */
export class GrpcTransport implements Transport {
    readonly #endpoint: Endpoint;
    readonly #options: ChannelOptions;
    readonly #patienceMs: number;
    #connection: Connection | undefined;

    constructor(endpoint: Endpoint, limits: Limits, options: ClientOptions) {
        this.#endpoint = endpoint;
        this.#options = channelOptions(endpoint, limits, options);
        this.#patienceMs = limits.silenceLeastMs;
        // A wrong certificate or header is an error of the settings, not of the first call.
        credentialsOf(endpoint);
        try {
            metadataOf(options.headers ?? {});
        } catch {
            throw new UsageError("a header has a name or a value that gRPC doesn't send");
        }
    }

    stream(attempt: Try<StreamMethod>): Incoming {
        const connection = this.#current();
        const call = connection.client.makeServerStreamRequest(
            path(attempt.method),
            asBuffer,
            (bytes) => fromBinary(attempt.method.output, bytes),
            attempt.request,
            metadataOf(attempt.headers),
            callOptions(attempt),
        );
        call.on("metadata", (metadata) => noteVersion(attempt, metadata));
        return new GrpcIncoming(call, connection, {
            retire: () => this.#retire(connection),
            suspect: () => this.#suspect(connection),
        });
    }

    unary<Method extends DescMethodUnary>(attempt: Try<Method>, signal: AbortSignal) {
        const connection = this.#current();
        return new Promise<MessageShape<Method["output"]>>((resolve, reject) => {
            const call = connection.client.makeUnaryRequest(
                path(attempt.method),
                asBuffer,
                (bytes) => fromBinary<Method["output"]>(attempt.method.output, bytes),
                attempt.request,
                metadataOf(attempt.headers),
                callOptions(attempt),
                (error, answer) => {
                    signal.removeEventListener("abort", cancel);
                    if (answer !== undefined && !error) {
                        connection.heard();
                        return resolve(answer);
                    }
                    const failure = failureOf(error);
                    if (failure.isTimeout && attempt.isOwnLimit) this.#retire(connection);
                    else if (failure.isTimeout || signal.aborted) this.#suspect(connection);
                    else connection.heard();
                    reject(failure);
                },
            );
            const cancel = () => call.cancel();
            signal.addEventListener("abort", cancel);
            call.on("metadata", (metadata) => noteVersion(attempt, metadata));
        });
    }

    close(): void {
        this.#connection?.client.close();
        this.#connection = undefined;
    }

    #current(): Connection {
        this.#connection ??= new Connection(
            new Client(this.#endpoint.target, credentialsOf(this.#endpoint), this.#options),
        );
        this.#connection.beginCall();
        return this.#connection;
    }

    #suspect(connection: Connection): void {
        if (connection.hasBeenSilentFor(this.#patienceMs)) this.#retire(connection);
    }

    #retire(connection: Connection): void {
        if (this.#connection !== connection) return;
        // Calls that are open on it continue.
        this.close();
    }
}

class GrpcIncoming implements Incoming {
    readonly #call: ClientReadableStream<wire.MatchUpdate>;
    readonly #connection: Connection;
    readonly #leave: Pick<Incoming, "retire" | "suspect">;
    #failure: Failure | undefined;
    #hasEnded = false;
    #isCancelled = false;
    #waiting: PromiseWithResolvers<wire.MatchUpdate | undefined> | undefined;

    constructor(
        call: ClientReadableStream<wire.MatchUpdate>,
        connection: Connection,
        leave: Pick<Incoming, "retire" | "suspect">,
    ) {
        this.#call = call;
        this.#connection = connection;
        this.#leave = leave;
        call.on("error", (error: ServiceError) => {
            this.#failure = failureOf(error);
            if (!this.#failure.isTimeout && !this.#isCancelled) connection.heard();
            this.#deliver();
        });
        call.on("end", () => {
            this.#hasEnded = true;
            this.#deliver();
        });
        call.on("readable", () => this.#deliver());
    }

    next(): Promise<wire.MatchUpdate | undefined> {
        return new Promise((resolve, reject) => {
            this.#waiting = { resolve, reject };
            this.#deliver();
        });
    }

    cancel(): void {
        this.#isCancelled = true;
        this.#call.cancel();
    }

    retire(): void {
        this.#leave.retire();
    }

    suspect(): void {
        this.#leave.suspect();
    }

    /** Settles the waiting `next`: by a message that is there, before the failure that ends them. */
    #deliver(): void {
        const waiting = this.#waiting;
        if (waiting === undefined) return;
        const message: wire.MatchUpdate | null = this.#call.read();
        if (message === null && this.#failure === undefined && !this.#hasEnded) return;
        this.#waiting = undefined;
        if (message !== null) {
            this.#connection.heard();
            waiting.resolve(message);
        } else if (this.#failure !== undefined) waiting.reject(this.#failure);
        else waiting.resolve(undefined);
    }
}

interface PromiseWithResolvers<Value> {
    readonly resolve: (value: Value) => void;
    readonly reject: (reason: unknown) => void;
}

function channelOptions(endpoint: Endpoint, limits: Limits, options: ClientOptions) {
    const own: ChannelOptions = {
        "grpc.max_receive_message_length": limits.receiveBytes,
        "grpc.max_send_message_length": limits.sendBytes,
        // The client repeats calls itself, by the reasons of their errors.
        "grpc.enable_retries": 0,
        "grpc.service_config_disable_resolution": 1,
        // A new channel must not share the connection of the old one, which may be dead.
        "grpc.use_local_subchannel_pool": 1,
        "grpc.initial_reconnect_backoff_ms": 200,
        "grpc.max_reconnect_backoff_ms": RECONNECT_LONGEST_MS,
    };
    if (endpoint.target.startsWith("dns:")) {
        own["grpc.service_config"] = '{"loadBalancingConfig":[{"round_robin":{}}]}';
    }
    if (endpoint.tls.serverName !== undefined) {
        own["grpc.ssl_target_name_override"] = endpoint.tls.serverName;
        own["grpc.default_authority"] = endpoint.tls.serverName;
    }
    return { ...own, ...options.channelOptions };
}

function credentialsOf({ plaintext, tls }: Endpoint): ChannelCredentials {
    if (plaintext) return credentials.createInsecure();
    const [ca, key, cert] = [pem(tls.ca), pem(tls.key), pem(tls.cert)];
    try {
        return ChannelCredentials.createSsl(ca, key, cert);
    } catch {
        // The cause is not kept: it may quote what was given.
        throw new UsageError("the certificates or the key can't be used");
    }
}

function pem(given: Pem | undefined): Buffer | null {
    if (given === undefined) return null;
    const isContent = typeof given === "string" || given instanceof Uint8Array;
    const content = isContent ? Buffer.from(given) : readPem(given.file);
    // OpenSSL takes anything else for an empty list.
    if (content.includes("-----BEGIN ")) return content;
    throw new UsageError("certificates and keys are expected as PEM");
}

function readPem(file: string | URL): Buffer {
    try {
        return readFileSync(file);
    } catch (error) {
        throw new UsageError(`a file of certificates can't be read: ${errorCode(error)}`);
    }
}

/** The same bytes, not copied. */
function asBuffer(bytes: Uint8Array): Buffer {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function path(method: DescMethod): string {
    return `/${method.parent.typeName}/${method.name}`;
}

function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
    return metadata;
}

function callOptions({ limitMs }: Try): { deadline?: number } {
    return limitMs === undefined ? {} : { deadline: Date.now() + limitMs };
}

function noteVersion(attempt: Try, metadata: Metadata): void {
    const version = metadata.get("facematch-version")[0];
    if (version !== undefined) attempt.onVersion(String(version));
}

function failureOf(error: ServiceError | null): Failure {
    if (error === null) return Failure.broken("the call ended without an answer");
    return Failure.read(error.code, error.details, (key) => error.metadata?.get(key)[0]);
}
