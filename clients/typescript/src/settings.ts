/** What a client is told once: where the server is, how to reach it, and when to give up. */
import { isIP } from "node:net";
import type { ChannelOptions } from "@grpc/grpc-js";
import type { FaceMatchError } from "./errors.js";
import { UsageError } from "./errors.js";

const MIB = 1 << 20;

/** A PEM: its text, its bytes, or a file that is read at each connect. */
export type Pem = string | Uint8Array | { readonly file: string | URL };

/** How the server's certificate is checked, and the client's own. */
export interface TlsOptions {
    /** The authorities of the server. Default: Node's own. */
    readonly ca?: Pem | undefined;
    /** The client's own certificate, with its chain. */
    readonly cert?: Pem | undefined;
    readonly key?: Pem | undefined;
    /** The name to check, instead of the address's. */
    readonly serverName?: string | undefined;
}

/**
 * When a broken call is repeated, and when the client gives up.
 *
 * The pause before retry number n (from 0) is random, from 0 to `firstMs * 2 ** n`, and at most
 * `longestMs`. A delay that the server asks for takes its place.
 */
export interface RetryOptions {
    /** Default: 200. */
    readonly firstMs?: number | undefined;
    /** Default: 5,000. */
    readonly longestMs?: number | undefined;
    /**
     * The longest time from the first broken call without progress in between. Default: 5 minutes.
     * `watchAll` has no such limit.
     */
    readonly giveUpAfterMs?: number | undefined;
    /** The most retries in a row without progress. Default: no limit. */
    readonly tries?: number | undefined;
}

/** Limits of single calls and messages. */
export interface LimitOptions {
    /**
     * Of get, list, cancel and delete, retries included, if the caller gives no `timeoutMs`.
     * Default: 30,000.
     */
    readonly callTimeoutMs?: number | undefined;
    /** How long one request of `wait` asks the server to wait. Default: 30,000. */
    readonly waitStepMs?: number | undefined;
    /**
     * A stream is dead after three heartbeat intervals of silence, but at least this long.
     * Default: 15,000.
     */
    readonly silenceLeastMs?: number | undefined;
    /** The same, before the first heartbeat has told the interval. Default: 60,000. */
    readonly silenceUnknownMs?: number | undefined;
    /** Of one answer. Default: 16 MiB. */
    readonly receiveBytes?: number | undefined;
    /** Of one request; a photo has at most 10 MiB. Default: 12 MiB. */
    readonly sendBytes?: number | undefined;
}

/** A broken call that is about to be repeated. */
export interface Reconnect {
    /** The number of the retry, from 1; again from 1 after progress. */
    readonly attempt: number;
    /** Why the call broke: the error that would be thrown without a retry. */
    readonly error: FaceMatchError;
    /** The pause before the retry. */
    readonly waitMs: number;
    /** The rpc that broke, such as `RunMatch`. */
    readonly rpc: string;
    readonly matchId: string | undefined;
    readonly requestId: string | undefined;
}

/** The settings of a client. The client logs nothing: `onReconnect` tells what is worth it. */
export interface ClientOptions {
    /**
     * Whether to connect without TLS. Default: only for an address on this machine, or for an
     * address that begins with `http://`.
     */
    readonly plaintext?: boolean | undefined;
    readonly tls?: TlsOptions | undefined;
    /** The bearer token, or a function that gives it and is asked for each call. */
    readonly token?: string | (() => string | Promise<string>) | undefined;
    /** Whether a token may be sent in plaintext to another machine. Default: false. */
    readonly allowPlaintextToken?: boolean | undefined;
    /** Further metadata of every call. */
    readonly headers?: Readonly<Record<string, string>> | undefined;
    readonly retry?: RetryOptions | undefined;
    readonly limits?: LimitOptions | undefined;
    /** Called before each retry. */
    readonly onReconnect?: ((reconnect: Reconnect) => void) | undefined;
    /** Options of `@grpc/grpc-js`, such as keepalive pings, which are off by default. */
    readonly channelOptions?: ChannelOptions | undefined;
}

export type Retry = { readonly [Key in keyof RetryOptions]-?: number };
export type Limits = { readonly [Key in keyof LimitOptions]-?: number };

/** The settings of retries, checked. */
export function retryOf(options: RetryOptions = {}): Retry {
    const retry = {
        firstMs: options.firstMs ?? 200,
        longestMs: options.longestMs ?? 5_000,
        giveUpAfterMs: options.giveUpAfterMs ?? 300_000,
        tries: options.tries ?? Number.POSITIVE_INFINITY,
    };
    demand(retry.firstMs > 0 && retry.firstMs <= retry.longestMs, "0 < firstMs <= longestMs");
    demand(retry.giveUpAfterMs > 0, "giveUpAfterMs > 0");
    demand(retry.tries >= 0, "tries >= 0");
    return retry;
}

/** The limits, checked. */
export function limitsOf(options: LimitOptions = {}): Limits {
    const limits = {
        callTimeoutMs: options.callTimeoutMs ?? 30_000,
        waitStepMs: options.waitStepMs ?? 30_000,
        silenceLeastMs: options.silenceLeastMs ?? 15_000,
        silenceUnknownMs: options.silenceUnknownMs ?? 60_000,
        receiveBytes: options.receiveBytes ?? 16 * MIB,
        sendBytes: options.sendBytes ?? 12 * MIB,
    };
    for (const [name, value] of Object.entries(limits)) demand(value > 0, `${name} > 0`);
    demand(limits.waitStepMs <= 600_000, "waitStepMs <= 600000");
    return limits;
}

/** A server's address, and whether it is reached without TLS. */
export interface Endpoint {
    readonly target: string;
    readonly plaintext: boolean;
    readonly tls: TlsOptions;
}

/** The endpoint that an address and its options describe. */
export function endpointOf(address: string, options: ClientOptions): Endpoint {
    demand(typeof address === "string" && address.trim() !== "", "an address, as HOST:PORT");
    const { target, scheme } = splitScheme(address.trim());
    const tls = options.tls ?? {};
    const asked = options.plaintext ?? scheme;
    const plaintext = asked ?? (options.tls === undefined && isLoopback(target));
    demand(scheme === undefined || plaintext === scheme, "plaintext as the address's scheme says");
    demand(!(plaintext && options.tls), "tls and plaintext exclude each other");
    demand((tls.cert === undefined) === (tls.key === undefined), "tls.cert and tls.key together");
    const mayBeRead = plaintext && options.token !== undefined && !isLoopback(target);
    demand(
        !mayBeRead || options.allowPlaintextToken === true,
        "TLS for a token that leaves this machine, or allowPlaintextToken",
    );
    return { target, plaintext, tls };
}

function splitScheme(address: string): { target: string; scheme?: boolean } {
    const url = /^(https?):\/\/([^/]+)\/?$/.exec(address);
    if (url?.[2] === undefined) {
        demand(!/^https?:/.test(address), "an address without a path");
        return { target: address };
    }
    const plaintext = url[1] === "http";
    const hasPort = /(^\[.*\]|^[^:]*):\d+$/.test(url[2]);
    const port = plaintext ? 80 : 443;
    return { target: hasPort ? url[2] : `${url[2]}:${port}`, scheme: plaintext };
}

/** Whether a target of gRPC is on this machine for certain. */
export function isLoopback(target: string): boolean {
    if (/^unix(-abstract)?:/.test(target)) return true;
    const hostPort = target.replace(/^(dns|ipv4|ipv6):/, "").replace(/^\/\/[^/]*\//, "");
    const [, bracketed, named] = /^(?:\[(.+)\](?::\d+)?|([^:]+)(?::\d+)?)$/.exec(hostPort) ?? [];
    const host = bracketed ?? named ?? hostPort;
    return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function demand(holds: boolean, rule: string): void {
    if (!holds) throw new UsageError(`the client needs: ${rule}`);
}
