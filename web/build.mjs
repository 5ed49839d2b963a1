// Writes the files of the page: the bundle, the style sheet, the document and the icon. The same
// sources and packages give the same bytes.
import { copyFile, mkdir, rm } from "node:fs/promises";
import { build } from "esbuild";

const to = process.argv[2] ?? "dist";

await rm(to, { recursive: true, force: true });
await mkdir(to, { recursive: true });
await build({
    entryPoints: { app: "src/main.tsx" },
    outdir: to,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    charset: "utf8",
    logLevel: "warning",
});
await build({
    entryPoints: ["src/app.css"],
    outdir: to,
    minify: true,
    target: ["chrome123", "firefox120", "safari17.5"],
    logLevel: "warning",
});
await copyFile("src/index.html", `${to}/index.html`);
await copyFile("src/icon.svg", `${to}/icon.svg`);
