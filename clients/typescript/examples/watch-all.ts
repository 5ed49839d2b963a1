import { Client } from "@facematch/client";

const [server = "facematch:50051", stored = "earliest"] = process.argv.slice(2);
const save = (token: string) => console.log(`stored ${token.length > 0}`);

await using client = new Client(server);
const stream = client.watchAll({ resumeToken: stored });
for await (const update of stream) {
    console.log(update.matchId, update.kind);
    stream.ack(); // Done with this update: the token moves past it.
    save(stream.resumeToken);
    if (update.kind === "finished") break;
}
