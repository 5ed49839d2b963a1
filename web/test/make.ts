/** Makes messages for tests. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
    type Match,
    MatchSchema,
    MatchState,
    type MatchUpdate,
    MatchUpdateSchema,
} from "../src/gen/facematch/v1/face_match_pb";

/** When the first match of a test is accepted. */
export const BEGIN = Date.UTC(2026, 0, 2, 12, 0, 0);

/** The number-th match: later ones have higher numbers. */
export function match(number: number, more: MessageInitShape<typeof MatchSchema> = {}): Match {
    return create(MatchSchema, {
        matchId: `00000000-0000-7000-8000-${String(number).padStart(12, "0")}`,
        requestId: `order-${number}`,
        state: MatchState.ACCEPTED,
        sequence: 1n,
        createTime: timestampFromMs(BEGIN + number * 1000),
        ...more,
    } as MessageInitShape<typeof MatchSchema>);
}

/** An update of a match, `at` milliseconds after the beginning. */
export function update(
    sequence: number,
    event: MatchUpdate["event"],
    at = 0,
    of: Match = match(1, { sequence: BigInt(sequence) }),
): MatchUpdate {
    const time = timestampFromMs(BEGIN + at);
    return create(MatchUpdateSchema, { sequence: BigInt(sequence), time, match: of, event });
}

/** An event without content. */
export function event<Case extends NonNullable<MatchUpdate["event"]["case"]>>(
    kind: Case,
    value: object = {},
): MatchUpdate["event"] {
    const { event } = create(MatchUpdateSchema, { event: { case: kind, value } as never });
    return event;
}
