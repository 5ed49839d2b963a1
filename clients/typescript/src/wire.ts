/**
 * The messages of the contract, as `@bufbuild/protobuf` has them. The client's own types hold what
 * they say in JavaScript's types; `match.wire` and `update.wire` are the messages themselves.
 */
export * from "./gen/facematch/v1/face_match_pb.js";
