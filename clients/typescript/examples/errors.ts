import * as facematch from "@facematch/client";

const [server = "facematch:50051", folderId = "", photo = "portrait.jpg"] = process.argv.slice(2);

await using client = new facematch.Client(server);
try {
    await client.match({ folderId, photo }, { signal: AbortSignal.timeout(60_000) });
} catch (error) {
    if (error instanceof facematch.OzFolderNotFoundError) console.log("check the folder's id");
    else if (error instanceof facematch.MatchFailedError)
        console.log(error.reason, error.retryable);
    else if (error instanceof facematch.FaceMatchError) console.log(error.code, error.requestId);
    else throw error;
}
