import { Client, newRequestId } from "@facematch/client";

const [server = "facematch:50051", folderId = "", photo = "portrait.jpg"] = process.argv.slice(2);
const order = { requestId: newRequestId() }; // Stored before the first call.

await using client = new Client(server);
const first = await client.match({ folderId, photo, requestId: order.requestId });
// After a crash, the same call continues the same match, or returns its verdict again.
const again = await client.match({ folderId, photo, requestId: order.requestId });
console.log(first.matchId === again.matchId);
