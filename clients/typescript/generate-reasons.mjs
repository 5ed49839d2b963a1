// Prints src/reasons.ts: an error class for each reason of ../reasons.json.
import { readFileSync } from "node:fs";

const BASES = { call: "CallRefusedError", match: "MatchFailedError" };

const { reasons } = JSON.parse(readFileSync(new URL("../reasons.json", import.meta.url), "utf8"));

function className(reason) {
    const words = reason.toLowerCase().split("_");
    return `${words.map((word) => word[0].toUpperCase() + word.slice(1)).join("")}Error`;
}

function comment(sentence) {
    const lines = [""];
    for (const word of sentence.split(" ")) {
        if (lines.at(-1).length + word.length > 94) lines.push("");
        lines[lines.length - 1] += ` ${word}`;
    }
    if (lines.length === 1) return `/**${lines[0]} */`;
    return ["/**", ...lines.map((line) => ` *${line}`), " */"].join("\n");
}

function classOf({ reason, kind, sentence }) {
    return [
        comment(sentence),
        `export class ${className(reason)} extends ${BASES[kind]} {`,
        `    declare readonly reason: "${reason}";`,
        "}",
    ].join("\n");
}

function table(kind, name) {
    const rows = reasons
        .filter((entry) => entry.kind === kind)
        .map(({ reason }) => `    ["${reason}", ${className(reason)}],`);
    const type = `ReadonlyMap<string, typeof ${BASES[kind]}>`;
    return [
        `/** The class of each reason of a ${kind === "call" ? "refused call" : "match that FAILED"}. */`,
        `export const ${name}: ${type} = new Map<string, typeof ${BASES[kind]}>([`,
        ...rows,
        "]);",
    ].join("\n");
}

function codes() {
    return [
        "/** The gRPC code of each reason. */",
        "export const reasonCodes: ReadonlyMap<string, string> = new Map([",
        ...reasons.map(({ reason, code }) => `    ["${reason}", "${code}"],`),
        "]);",
    ].join("\n");
}

process.stdout.write(
    `${[
        "/** The error class of each reason. `generate` makes it from clients/reasons.json. */",
        'import { CallRefusedError, MatchFailedError } from "./errors.js";',
        "",
        reasons.map(classOf).join("\n\n"),
        "",
        table("call", "callReasons"),
        "",
        table("match", "matchReasons"),
        "",
        codes(),
    ].join("\n")}\n`,
);
