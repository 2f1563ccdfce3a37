/* node/find.mjs - imports a user's module and finds what handles requests in it. */
import { execFile } from "node:child_process";
import { basename, extname } from "node:path";
import { pathToFileURL } from "node:url";
import { localImports } from "../common/imports.mjs";
import { prepareImport } from "./modules.mjs";

const CHECK_MS = 5000;
const CHECK_FILES_MAX = 50;

export const NO_HANDLER = "loaded without registering a handler: write " +
  "`export default { fetch(request) { ... } }`, or a default function (req, res), or export " +
  '`handler(event, context)`; what listens by itself is "runtime": "http"';

/**
 * Import the entry file.
 * @return {kind, handler, upgrade}: kind "fetch", "node-http" or "lambda"; upgrade may be undefined.
 * @throws Error whose message tells file and line where the runtime knows them.
 */
export async function findHandler(entry, handlerName) {
  if (/^\.[cm]?tsx?$/.test(extname(entry)))
    throw new Error(`${entry}: the node runtime runs JavaScript: set "runtime": "deno" in ` +
      "heddle.json to run TypeScript as it is, or compile it");
  let module;
  prepareImport(entry);
  try {
    module = await import(pathToFileURL(entry).href);
  } catch (thrown) {
    throw thrown instanceof SyntaxError ? advised(await located(thrown, entry), entry) : thrown;
  }
  const main = module.default;
  const upgrade = [module.upgrade, main?.upgrade].find((f) => typeof f === "function");

  if (typeof handlerName === "string" && handlerName !== "") {
    const path = handlerName.replace(/^.*\//, "").split(".").slice(1);
    if (path.length === 0)
      throw new Error(`handler: "${handlerName}" must be like "index.handler"`);
    const from = (root) => path.reduce((value, key) => value?.[key], root);
    const handler = from(module) ?? from(main);
    if (typeof handler !== "function")
      throw new Error(`handler: "${handlerName}": ${entry} exports no function ${path.join(".")}`);
    return { kind: "lambda", handler };
  }
  if (typeof main?.fetch === "function")
    return { kind: "fetch", handler: (req) => main.fetch(req), upgrade };
  if (typeof main === "function") /* one argument cannot answer by node's way */
    return { kind: main.length >= 2 ? "node-http" : "fetch", handler: main, upgrade };
  const handler = module.handler ?? main?.handler;
  if (typeof handler === "function")
    return { kind: "lambda", handler };
  throw new Error(NO_HANDLER);
}

/** Older versions of Node take each .js file for CommonJS. */
function advised(error, entry) {
  if (extname(entry) === ".js" && /\b(import|export)\b/.test(error.message + error.stack))
    error.message += `\nIs it an ES module? Then rename it to ${basename(entry, ".js")}.mjs, or ` +
      'put a package.json with {"type": "module"} beside it';
  return error;
}

/** Node tells where a syntax error is only to the terminal, so ask it about each file. */
export async function located(error, entry) {
  if (/^(file:|\/).*:\d+$/m.test((error.stack ?? "").split("\n")[0]))
    return error;
  for (const file of [entry, ...localImports(entry, () => null)].slice(0, CHECK_FILES_MAX)) {
    const told = await new Promise((resolve) => {
      execFile(process.execPath, ["--check", file], { timeout: CHECK_MS, env: {} },
        (failed, _, stderr) => resolve(failed ? stderr : ""));
    });
    const where = /^(?:file:\/\/)?(\/.*:\d+)\n([\s\S]*?)\n\n/m.exec(told);
    if (where)
      return Object.assign(new SyntaxError(`${error.message}\n${where[2]}\n    at ${where[1]}`),
        { stack: told });
  }
  return error;
}
