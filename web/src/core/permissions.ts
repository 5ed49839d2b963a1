/** What the reader may do, as the server tells it. Makes no call. */

export interface Permissions {
    /** Run, create and cancel matches. */
    readonly match: boolean;
    /** Delete matches. */
    readonly erase: boolean;
    /** Name a photo by its key. */
    readonly library: boolean;
}

export const NOTHING: Permissions = { match: false, erase: false, library: false };

/** Reads the answer of `/page/access`. What it doesn't say isn't offered. */
export function permissions(answer: unknown): Permissions {
    if (typeof answer !== "object" || answer === null) return NOTHING;
    const methods = "methods" in answer && Array.isArray(answer.methods) ? answer.methods : [];
    const match = ["RunMatch", "CreateMatch", "CancelMatch"].every((it) => methods.includes(it));
    return {
        match,
        erase: methods.includes("DeleteMatch"),
        library: match && "library" in answer && answer.library === true,
    };
}
