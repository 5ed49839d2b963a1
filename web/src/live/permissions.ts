/** What the reader may do here, so that nothing is offered that the server would refuse. */
import { signal } from "@preact/signals";
import { NOTHING, permissions } from "../core/permissions";
import { authorization, UNARY_TIMEOUT_MS } from "./calls";

/** Nothing is offered until the server has answered. */
export const may = signal(NOTHING);

/** The statuses after which only another credential helps, which the reader is asked for. */
const REFUSALS = [401, 403];
/** How long to wait before asking again, if the server couldn't answer. */
const AGAIN_MS = 5000;

let asked = 0;

/** Asks what the reader may do, by the credential of calls. */
export async function askPermissions(): Promise<void> {
    const question = ++asked;
    const answer = await ask();
    // A later question, with another credential, counts.
    if (question !== asked) return;
    may.value = answer?.ok ? permissions(answer.body) : NOTHING;
    if (!answer?.ok && !REFUSALS.includes(answer?.status ?? 0))
        setTimeout(askPermissions, AGAIN_MS);
}

async function ask() {
    try {
        const answer = await fetch("/page/access", {
            headers: authorization(),
            signal: AbortSignal.timeout(UNARY_TIMEOUT_MS),
        });
        const body: unknown = answer.ok ? await answer.json() : undefined;
        return { ok: answer.ok, status: answer.status, body };
    } catch {
        return undefined;
    }
}
