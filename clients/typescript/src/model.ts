/**
 * What the client hands out: matches and updates in JavaScript's own types.
 *
 * Times are `Date`s, which cut microseconds off; durations are milliseconds; enum values are the
 * contract's words without their prefix. Sequences and other uint64 are `bigint`, as in the
 * contract's messages, so that none is rounded. `JSON.stringify` writes a match or an update in the
 * contract's JSON form, where a uint64 is a string.
 */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { create, toJson } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import * as wire from "./wire.js";

/** A number stands for a value that only a later version of the service knows. */
export type MatchState = keyof typeof wire.MatchState | number;
/** A number stands for a value that only a later version of the service knows: never a success. */
export type Resolution = keyof typeof wire.Resolution | number;
export type PhotoKind = Exclude<keyof typeof wire.PhotoKind, "UNSPECIFIED">;
export type LivenessPolicy = Exclude<keyof typeof wire.LivenessPolicy, "UNSPECIFIED">;

/** Something that was made from a message of the contract. */
interface Made<Message> {
    /** The message itself, with the fields that only a later version knows. Not enumerable. */
    readonly wire: Message;
    /** The message in the contract's JSON form. Not enumerable. */
    toJSON(): unknown;
}

/** A match, as of its last durable update. */
export interface Match extends Made<wire.Match> {
    readonly matchId: string;
    /** The caller's own id of the match. */
    readonly requestId: string | undefined;
    readonly folderId: string;
    readonly state: MatchState;
    /** The number of the last durable update. */
    readonly sequence: bigint;
    /** Oz's id of the photo, from UPLOADED on. */
    readonly photoMediaId: string | undefined;
    /** Oz's id of the BIOMETRY analysis, from PROCESSING on. */
    readonly analysisId: string | undefined;
    /** Only if FINISHED. */
    readonly result: MatchResult | undefined;
    /** Only if FAILED. */
    readonly error: MatchFailure | undefined;
    readonly labels: Readonly<Record<string, string>>;
    readonly createTime: Date | undefined;
    readonly updateTime: Date | undefined;
    readonly endTime: Date | undefined;
    /** When the match will be erased. `undefined` while it runs. */
    readonly expireTime: Date | undefined;
    /** When the match fails unless it ends earlier. `undefined` once it has ended. */
    readonly deadline: Date | undefined;
    /** The present trouble at Oz, if there is one. */
    readonly trouble: Trouble | undefined;
    /** Oz's own words, from PROCESSING on. */
    readonly oz: OzStatus | undefined;
    readonly livenessPolicy: LivenessPolicy | "UNSPECIFIED" | number;
    readonly photoKind: PhotoKind | "UNSPECIFIED" | number;
    readonly livenessMediaIds: readonly string[];
    readonly livenessAnalysisId: string | undefined;
}

/** The verdict of a finished match. */
export interface MatchResult {
    readonly resolution: Resolution;
    /** The similarity of the least similar pair, from 0 to 1. This number decides. */
    readonly minConfidence: number | undefined;
    /** The similarity of the most similar pair, from 0 to 1. */
    readonly maxConfidence: number | undefined;
    readonly liveness: LivenessResult | undefined;
}

/** The result of a QUALITY (liveness) analysis. */
export interface LivenessResult {
    /** SUCCESS: a living person. DECLINED: an attack. UNSPECIFIED: the analysis failed. */
    readonly resolution: Resolution;
    /** The likelihood of an attack, from 0 to 1. */
    readonly confidenceSpoofing: number | undefined;
    readonly analysisId: string;
}

/** Why a match FAILED. */
export interface MatchFailure {
    /** The number of a gRPC status code. */
    readonly code: number;
    readonly reason: string;
    readonly message: string;
    /** Whether a new match, with a new `requestId`, may succeed without any other change. */
    readonly retryable: boolean;
    readonly metadata: Readonly<Record<string, string>>;
}

/** Trouble at Oz that a match waits to pass. */
export interface Trouble {
    readonly cause: string;
    readonly message: string;
    readonly since: Date | undefined;
    readonly nextAttemptTime: Date | undefined;
    readonly metadata: Readonly<Record<string, string>>;
}

/** Oz's own words about the BIOMETRY analysis. */
export interface OzStatus {
    readonly state: string;
    readonly resolution: string;
    readonly resolutionStatus: string;
    readonly polls: bigint;
    readonly lastPollTime: Date | undefined;
}

interface OfStream extends Made<wire.MatchUpdate> {
    /** The number of the update; progress has that of the last durable one. */
    readonly sequence: bigint;
    readonly time: Date | undefined;
    /** The token with which `watchAll` resumes after this update. Progress has none. */
    readonly resumeToken: string | undefined;
}

interface OfMatch<Kind extends string> extends OfStream {
    readonly kind: Kind;
    readonly matchId: string;
    /** The match after this update. */
    readonly match: Match;
}

export interface Accepted extends OfMatch<"accepted"> {
    readonly deadline: Date | undefined;
}

export interface PhotoUploaded extends OfMatch<"photo_uploaded"> {
    readonly photoMediaId: string;
    readonly livenessMediaIds: readonly string[];
}

export interface AnalysisStarted extends OfMatch<"analysis_started"> {
    readonly analysisId: string;
    readonly livenessAnalysisId: string | undefined;
}

export interface AttemptFailed extends OfMatch<"attempt_failed"> {
    readonly cause: string;
    readonly message: string;
    readonly nextAttemptTime: Date | undefined;
    readonly metadata: Readonly<Record<string, string>>;
}

export interface Finished extends OfMatch<"finished"> {
    readonly result: MatchResult | undefined;
}

export interface Failed extends OfMatch<"failed"> {
    readonly error: MatchFailure | undefined;
}

export interface Cancelled extends OfMatch<"cancelled"> {}

/** Best effort, and only if it was asked for. */
export interface Progress extends OfMatch<"progress"> {
    readonly bytesSent: bigint;
    /** 0 if there is no photo to send. */
    readonly bytesTotal: bigint;
    readonly polls: bigint;
    readonly failedAttempts: bigint;
    readonly elapsedMs: number | undefined;
}

/** An event that only a later version of the service knows. Its `match` is there. */
export interface UnknownUpdate extends OfMatch<"unknown"> {}

/** One update of one match. */
export type Update =
    | Accepted
    | PhotoUploaded
    | AnalysisStarted
    | AttemptFailed
    | Finished
    | Failed
    | Cancelled
    | Progress
    | UnknownUpdate;

/** The stream is alive, and nothing has happened for a while. Handed out only if asked for. */
export interface Heartbeat extends OfStream {
    readonly kind: "heartbeat";
    /** Not in a heartbeat of `watchAll`. */
    readonly matchId: string | undefined;
    /** Not in a heartbeat of `watchAll`. */
    readonly match: Match | undefined;
    /** The longest normal silence of the stream. */
    readonly intervalMs: number | undefined;
}

/** The updates of a stream: with `heartbeats: true`, heartbeats as well. */
export type Handed<Heartbeats extends boolean> = Heartbeats extends true
    ? Update | Heartbeat
    : Update;

/** A match that is erased. */
export interface Deleted {
    /** `undefined` if the answer was lost and the match had been named by its `requestId`. */
    readonly matchId: string | undefined;
    readonly deleteTime: Date | undefined;
    /** Oz's id of the photo, which stays at Oz. */
    readonly photoMediaId: string | undefined;
    /** Whether the answer was lost, and a repeat found no match any more. */
    readonly alreadyGone: boolean;
}

/** The match of a message. */
export function matchOf(message: wire.Match): Match {
    return made(wire.MatchSchema, message, {
        matchId: message.matchId,
        requestId: text(message.requestId),
        folderId: message.folderId,
        state: word(wire.MatchState, message.state),
        sequence: message.sequence,
        photoMediaId: text(message.photoMediaId),
        analysisId: text(message.analysisId),
        result: message.result && resultOf(message.result),
        error: message.error && failureOf(message.error),
        labels: message.labels,
        createTime: date(message.createTime),
        updateTime: date(message.updateTime),
        endTime: date(message.endTime),
        expireTime: date(message.expireTime),
        deadline: date(message.deadline),
        trouble: message.trouble && troubleOf(message.trouble),
        oz: message.oz && ozOf(message.oz),
        livenessPolicy: word(wire.LivenessPolicy, message.livenessPolicy),
        photoKind: word(wire.PhotoKind, message.photoKind),
        livenessMediaIds: message.livenessMediaIds,
        livenessAnalysisId: text(message.livenessAnalysisId),
    });
}

/** The update, or the heartbeat, of a message. */
export function updateOf(message: wire.MatchUpdate): Update | Heartbeat {
    const ofStream = {
        sequence: message.sequence,
        time: date(message.time),
        resumeToken: text(message.resumeToken),
    };
    if (message.event.case === "heartbeat") {
        return made(wire.MatchUpdateSchema, message, {
            kind: "heartbeat",
            ...ofStream,
            matchId: text(message.matchId),
            match: message.match && matchOf(message.match),
            intervalMs: milliseconds(message.event.value.interval),
        });
    }
    return made(wire.MatchUpdateSchema, message, {
        ...eventOf(message.event),
        ...ofStream,
        matchId: message.matchId,
        match: matchOf(message.match ?? create(wire.MatchSchema)),
    });
}

type Event = wire.MatchUpdate["event"];
type Own<U> = U extends Update ? Omit<U, keyof OfStream | "matchId" | "match"> : never;

function eventOf(event: Exclude<Event, { case: "heartbeat" }>): Own<Update> {
    switch (event.case) {
        case "accepted":
            return { kind: "accepted", deadline: date(event.value.deadline) };
        case "photoUploaded":
            return {
                kind: "photo_uploaded",
                photoMediaId: event.value.photoMediaId,
                livenessMediaIds: event.value.livenessMediaIds,
            };
        case "analysisStarted":
            return {
                kind: "analysis_started",
                analysisId: event.value.analysisId,
                livenessAnalysisId: text(event.value.livenessAnalysisId),
            };
        case "attemptFailed":
            return {
                kind: "attempt_failed",
                cause: event.value.cause,
                message: event.value.message,
                nextAttemptTime: date(event.value.nextAttemptTime),
                metadata: event.value.metadata,
            };
        case "finished":
            return {
                kind: "finished",
                result: event.value.result && resultOf(event.value.result),
            };
        case "failed":
            return {
                kind: "failed",
                error: event.value.error && failureOf(event.value.error),
            };
        case "cancelled":
            return { kind: "cancelled" };
        case "progress":
            return {
                kind: "progress",
                bytesSent: event.value.bytesSent,
                bytesTotal: event.value.bytesTotal,
                polls: event.value.polls,
                failedAttempts: event.value.failedAttempts,
                elapsedMs: milliseconds(event.value.elapsed),
            };
        case undefined:
            return { kind: "unknown" };
    }
}

/** What an answer to DeleteMatch says. */
export function deletedOf(message: wire.DeleteMatchResponse): Deleted {
    return {
        matchId: message.matchId,
        deleteTime: date(message.deleteTime),
        photoMediaId: text(message.photoMediaId),
        alreadyGone: false,
    };
}

function resultOf(message: wire.MatchResult): MatchResult {
    return {
        resolution: word(wire.Resolution, message.resolution),
        minConfidence: message.minConfidence,
        maxConfidence: message.maxConfidence,
        liveness: message.liveness && {
            resolution: word(wire.Resolution, message.liveness.resolution),
            confidenceSpoofing: message.liveness.confidenceSpoofing,
            analysisId: message.liveness.analysisId,
        },
    };
}

function failureOf(message: wire.MatchError): MatchFailure {
    const { code, reason, message: sentence, retryable, metadata } = message;
    return { code, reason, message: sentence, retryable, metadata };
}

function troubleOf(message: wire.Trouble): Trouble {
    return {
        cause: message.cause,
        message: message.message,
        since: date(message.since),
        nextAttemptTime: date(message.nextAttemptTime),
        metadata: message.metadata,
    };
}

function ozOf(message: wire.OzStatus): OzStatus {
    return {
        state: message.state,
        resolution: message.resolution,
        resolutionStatus: message.resolutionStatus,
        polls: message.polls,
        lastPollTime: date(message.lastPollTime),
    };
}

function made<Desc extends DescMessage, Value extends object>(
    schema: Desc,
    message: MessageShape<Desc>,
    value: Value,
): Value & Made<MessageShape<Desc>> {
    return Object.defineProperties(value, {
        wire: { value: message },
        toJSON: { value: () => toJson(schema, message) },
    }) as Value & Made<MessageShape<Desc>>;
}

/** The word of an enum's value; its number if this version doesn't know it. */
function word<Enum extends Record<string, string | number>>(
    words: Enum,
    value: number,
): Exclude<keyof Enum, number> | number {
    return (words[value] as Exclude<keyof Enum, number> | undefined) ?? value;
}

function text(value: string): string | undefined {
    return value === "" ? undefined : value;
}

function date(value: Timestamp | undefined): Date | undefined {
    return value && timestampDate(value);
}

function milliseconds(value: Duration | undefined): number | undefined {
    return value && durationMs(value);
}
