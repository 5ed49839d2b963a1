import { Client } from "@facematch/client";

const [server = "facematch:50051", folderId = "", photo = "portrait.jpg"] = process.argv.slice(2);

await using client = new Client(server, {
    onReconnect: ({ error, waitMs }) => console.warn(`again in ${waitMs} ms: ${error.message}`),
});
const stream = client.run({ folderId, photo }, { progress: true, timeoutMs: 60_000 });
for await (const update of stream) {
    if (update.kind === "progress") console.log(`${update.bytesSent} of ${update.bytesTotal}`);
    else console.log(update.sequence, update.kind, update.match.state);
}
