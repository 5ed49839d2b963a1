import { Client, type Heartbeat, type Update, type Verdict } from "@facematch/client";
import { FakeFaceMatch } from "@facematch/client/testing";
import type { Match } from "@facematch/client/wire";

export async function follow(client: Client, folderId: string): Promise<Verdict> {
    const stream = client.run({ folderId, photo: "portrait.jpg" });
    for await (const update of stream) {
        const handed: Update = update;
        const wire: Match = handed.match.wire;
        if (update.kind === "attempt_failed") console.log(update.cause, wire.sequence);
    }
    for await (const update of client.watch("m", { heartbeats: true })) {
        const handed: Update | Heartbeat = update;
        if (handed.kind === "heartbeat") return await stream.verdict();
    }
    await using other = new FakeFaceMatch().client();
    return await other.match({ folderId, photo: { referenceKey: "key" } });
}
