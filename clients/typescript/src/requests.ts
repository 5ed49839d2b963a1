/** Requests of the contract from the arguments of the verbs. */
import { randomUUID } from "node:crypto";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { UsageError } from "./errors.js";
import type { LivenessPolicy, MatchState, PhotoKind } from "./model.js";
import type { Photo } from "./photo.js";
import { photoOf } from "./photo.js";
import * as wire from "./wire.js";

/** How a single call may end early. */
export interface CallOptions {
    /** Cancels the call. A match that was accepted goes on. */
    readonly signal?: AbortSignal | undefined;
    /** The time limit of the call, all its retries included. It doesn't limit the match. */
    readonly timeoutMs?: number | undefined;
}

/** What to match. */
export interface MatchRequest {
    /** The Oz folder that holds the person's liveness media: a UUID. */
    readonly folderId: string;
    readonly photo: Photo;
    /** What the photo shows. Default: SELFIE. */
    readonly photoKind?: PhotoKind | undefined;
    /**
     * The caller's own id of the match, 1 to 128 printable ASCII characters. The same id with the
     * same content is the same match: store it before the first call, and a crash can't double the
     * match. Default: a new UUID, which errors and streams show.
     */
    readonly requestId?: string | undefined;
    /** How long the match may take: more than 0, at most 24 hours. Default: the server's limit. */
    readonly matchTimeoutMs?: number | undefined;
    /** How the match uses the folder's liveness analysis. Default: REPORT, which decides nothing. */
    readonly livenessPolicy?: LivenessPolicy | undefined;
    /** The liveness media to compare with, at most 8. Default: the newest of the folder. */
    readonly livenessMediaIds?: readonly string[] | undefined;
    /** The caller's own labels, at most 16. Never personal data. */
    readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Names a match: by its `matchId` (as a string, too) or by the caller's `requestId`. */
export type MatchName = string | { readonly matchId: string } | { readonly requestId: string };

/** Selects matches. */
export interface Filter {
    readonly folderId?: string | undefined;
    /** All of these labels must be there. */
    readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Selects matches to list. */
export interface ListFilter extends Filter {
    readonly states?: readonly Exclude<MatchState, number | "UNSPECIFIED">[] | undefined;
    /** Only matches accepted at this time or later. */
    readonly createdAfter?: Date | undefined;
    /** Only matches accepted before this time. */
    readonly createdBefore?: Date | undefined;
    /** The most matches of one request to the server, at most 1,000. Default: 50. */
    readonly pageSize?: number | undefined;
}

/** A new id for a match. */
export function newRequestId(): string {
    return randomUUID();
}

/** The `id` of a request that names a match. */
export function idOf(
    name: MatchName,
): { case: "matchId"; value: string } | { case: "requestId"; value: string } {
    if (typeof name === "string" && name !== "") return { case: "matchId", value: name };
    if (typeof name === "object" && name !== null) {
        if ("matchId" in name && name.matchId) return { case: "matchId", value: name.matchId };
        if ("requestId" in name && name.requestId) {
            return { case: "requestId", value: name.requestId };
        }
    }
    throw new UsageError("a match is named by its matchId or its requestId");
}

/** The request of a match, with its `requestId` already chosen. Reads the photo. */
export async function matchRequestOf(
    request: MatchRequest,
    requestId: string,
    includeProgress: boolean,
): Promise<wire.MatchRequest> {
    const policy = request.livenessPolicy ?? "UNSPECIFIED";
    if (wire.LivenessPolicy[policy] === undefined) {
        throw new UsageError("livenessPolicy is REPORT, REQUIRE or RUN");
    }
    const message = create(wire.MatchRequestSchema, {
        requestId,
        folderId: request.folderId,
        photo: await photoOf(request.photo, request.photoKind),
        livenessPolicy: wire.LivenessPolicy[policy],
        livenessMediaIds: [...(request.livenessMediaIds ?? [])],
        labels: { ...request.labels },
        includeProgress,
    });
    if (request.matchTimeoutMs !== undefined) message.timeout = durationOf(request.matchTimeoutMs);
    return message;
}

/** The id of a request: the caller's, or a new one. */
export function requestIdOf(request: MatchRequest): string {
    if (request.requestId === "") throw new UsageError("an empty requestId names no match");
    return request.requestId ?? newRequestId();
}

/** The request of the first page. */
export function listRequestOf(filter: ListFilter): wire.ListMatchesRequest {
    const states = filter.states ?? [];
    if (states.some((state) => wire.MatchState[state] === undefined)) {
        throw new UsageError("states are words such as FINISHED");
    }
    const message = create(wire.ListMatchesRequestSchema, {
        pageSize: filter.pageSize ?? 0,
        folderId: filter.folderId ?? "",
        labels: { ...filter.labels },
        states: states.map((state) => wire.MatchState[state]),
    });
    if (filter.createdAfter) message.createdAfter = timestampFromDate(filter.createdAfter);
    if (filter.createdBefore) message.createdBefore = timestampFromDate(filter.createdBefore);
    return message;
}

/** A sequence as the contract has it. */
export function sequenceOf(sequence: bigint | number | undefined): bigint {
    try {
        const value = BigInt(sequence ?? 0);
        if (value >= 0n) return value;
    } catch {
        // A fraction, or no number at all.
    }
    throw new UsageError("afterSequence is a whole number, 0 or more");
}

export function durationOf(milliseconds: number): Duration {
    if (!Number.isFinite(milliseconds)) throw new UsageError("a duration is a finite number");
    return durationFromMs(Math.round(milliseconds));
}

/** Encodes a request. The error of a wrong type doesn't quote the value. */
export function encode<Desc extends DescMessage>(
    schema: Desc,
    message: MessageShape<Desc>,
): Uint8Array {
    try {
        return toBinary(schema, message);
    } catch {
        throw new UsageError("the request has a field of a wrong type");
    }
}
