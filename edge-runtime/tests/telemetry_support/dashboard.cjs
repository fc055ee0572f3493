// Holds a Grafana dashboard to Grafana's own types, by the TypeScript compiler.
//
// usage: node dashboard.cjs FOLDER DASHBOARD. FOLDER holds the unpacked npm packages `grafana` (@grafana/schema) and `typescript`.
"use strict";
const fs = require("fs");
const path = require("path");

const [folder, dashboard] = process.argv.slice(2);
const ts = require(path.join(folder, "typescript/lib/typescript.js"));

// JSON has the values of enumerations, not their names.
let types = fs.readFileSync(path.join(folder, "grafana/dist/types/raw/dashboard/x/types.gen.d.ts"), "utf8");
for (const [whole, name, body] of types.matchAll(/export declare enum (\w+) \{([^}]*)\}/g)) {
  const members = [...body.matchAll(/(\w+)\s*=\s*([^,\n]+)/g)];
  types = types.replace(whole, `export type ${name} = ${members.map(([, , value]) => value).join(" | ")};`);
  for (const [, member, value] of members) types = types.replaceAll(`${name}.${member}`, value);
}
const files = {
  "/types.ts": types,
  "/dashboard.ts": `import type { Dashboard } from "./types";\nexport const dashboard: Dashboard = ${fs.readFileSync(dashboard, "utf8").trim()};\n`,
};
const options = { noEmit: true, strict: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, moduleResolution: ts.ModuleResolutionKind.Bundler, module: ts.ModuleKind.ES2022 };
const host = ts.createCompilerHost(options);
const [readFile, fileExists] = [host.readFile, host.fileExists];
host.readFile = (name) => files[name] ?? readFile(name);
host.fileExists = (name) => name in files || fileExists(name);
host.getSourceFile = (name, target) => {
  const text = host.readFile(name);
  return text === undefined ? undefined : ts.createSourceFile(name, text, target);
};
const found = ts.getPreEmitDiagnostics(ts.createProgram(["/dashboard.ts"], options, host));
for (const { file, start, messageText } of found) {
  const line = file ? file.getLineAndCharacterOfPosition(start).line : 0;
  console.error(`${file?.fileName ?? ""} line ${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
}
process.exit(found.length ? 1 : 0);
