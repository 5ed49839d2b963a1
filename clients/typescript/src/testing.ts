/** Tests of programs that use the client: a real server in a process, or a fake in memory. */
export type { FakeCall, FakeOutcome } from "./fake.js";
export { FakeFaceMatch } from "./fake.js";
export type { ServerOptions } from "./server.js";
export { noServer, startServer, TestServer } from "./server.js";
export type {
    FolderOptions,
    Outcome,
    Person,
    RecordedRequest,
    Rule,
} from "./simulator.js";
export { Simulator } from "./simulator.js";
