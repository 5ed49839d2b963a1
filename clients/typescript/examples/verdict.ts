import { Client } from "@facematch/client";

const [server = "facematch:50051", folderId = "", photo = "portrait.jpg"] = process.argv.slice(2);

await using client = new Client(server);
const verdict = await client.match({ folderId, photo });
if (verdict.samePerson) console.log(`the same person, by ${verdict.minConfidence}`);
else console.log(`no success: ${verdict.resolution}`);
