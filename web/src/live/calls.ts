/** The calls of the service, by gRPC-Web over fetch. The credential is held in memory alone. */
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { FaceMatch } from "../gen/facematch/v1/face_match_pb";

/** How long a call that doesn't stream may take, in milliseconds. */
export const UNARY_TIMEOUT_MS = 30_000;

let credential = "";

/** Sends this token with every later call. */
export function useCredential(token: string): void {
    credential = token.trim();
}

/** The headers that say who calls. */
export function authorization(): Record<string, string> {
    return credential === "" ? {} : { authorization: `Bearer ${credential}` };
}

const authorize: Interceptor = (next) => (request) => {
    for (const [name, value] of Object.entries(authorization())) request.header.set(name, value);
    return next(request);
};

/** The service, at the origin of the page. */
export const service: Client<typeof FaceMatch> = createClient(
    FaceMatch,
    createGrpcWebTransport({ baseUrl: location.origin, interceptors: [authorize] }),
);
