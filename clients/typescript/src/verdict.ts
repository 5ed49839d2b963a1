/** What a match says in the end. It fails closed: what isn't a known success is none. */
import { status } from "@grpc/grpc-js";
import { ContractError, MatchCancelledError, MatchFailedError } from "./errors.js";
import type { LivenessResult, Match, MatchResult } from "./model.js";
import { matchReasons } from "./reasons.js";

const RESOLUTIONS = ["SUCCESS", "DECLINED", "OPERATOR_REQUIRED"] as const;

/** Oz's decision about a photo and the liveness media of a folder. */
export class Verdict {
    readonly resolution: (typeof RESOLUTIONS)[number];
    /** The similarity of the least similar pair, from 0 to 1. This number decides. */
    readonly minConfidence: number;
    /** The similarity of the most similar pair, from 0 to 1. */
    readonly maxConfidence: number | undefined;
    /** The folder's liveness result, if there is one. The verdict doesn't include it. */
    readonly liveness: LivenessResult | undefined;
    readonly matchId: string;
    readonly requestId: string | undefined;
    readonly #match: Match;

    private constructor(match: Match, resolution: Verdict["resolution"], result: MatchResult) {
        if (result.minConfidence === undefined) {
            throw meaningless(match, "the match has a resolution without a score");
        }
        this.resolution = resolution;
        this.minConfidence = result.minConfidence;
        this.maxConfidence = result.maxConfidence;
        this.liveness = result.liveness;
        this.matchId = match.matchId;
        this.requestId = match.requestId;
        this.#match = match;
    }

    /**
     * The verdict of a match that has ended. Throws `MatchFailedError`, `MatchCancelledError`, or
     * `ContractError` if the match has no verdict that this version knows.
     */
    static of(match: Match): Verdict {
        switch (match.state) {
            case "FINISHED":
                return Verdict.#ofFinished(match);
            case "FAILED":
                throw failed(match);
            case "CANCELLED":
                throw new MatchCancelledError("the match was cancelled", match);
            default:
                throw meaningless(match, "the match hasn't ended, as far as this version knows");
        }
    }

    static #ofFinished(match: Match): Verdict {
        const resolution = RESOLUTIONS.find((word) => word === match.result?.resolution);
        if (match.result === undefined || resolution === undefined) {
            throw meaningless(match, "the match has no resolution that this version knows");
        }
        return new Verdict(match, resolution, match.result);
    }

    /** True only for SUCCESS. It says nothing of liveness. */
    get samePerson(): boolean {
        return this.resolution === "SUCCESS";
    }

    /** The match as it ended. Not shown when the verdict is printed, since it has the labels. */
    get match(): Match {
        return this.#match;
    }
}

function failed(match: Match): MatchFailedError {
    const { code = 0, reason, message = "the match failed", metadata } = match.error ?? {};
    const Kind = matchReasons.get(reason ?? "") ?? MatchFailedError;
    return new Kind(message, match, {
        code: codeName(code),
        reason: reason === "" ? undefined : reason,
        metadata,
    });
}

function meaningless(match: Match, message: string): ContractError {
    return new ContractError(message, {
        matchId: match.matchId,
        requestId: match.requestId,
        matchContinues: false,
    });
}

/** The name of a gRPC status code; the number itself for an unknown one. */
export function codeName(code: number): string {
    return status[code] ?? String(code);
}
