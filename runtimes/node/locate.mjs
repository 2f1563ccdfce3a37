/* node/locate.mjs - finds the handler of a Lambda function: "path/to/file.export.nested". The file is
 * looked for in the code folder, then where NODE_PATH points; `export` and what follows it in what the
 * file exports. */
import { readFileSync, statSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { RuntimeFault } from "../common/faults.mjs";
import { located } from "./find.mjs";
import { prepareImport } from "./modules.mjs";

const SUFFIXES = ["", ".js", ".mjs", ".cjs"];

export const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
export const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");

/** @return {file, path}: the file without its suffix, and the names that lead to the handler. */
export function splitHandler(handler) {
  const slash = handler.lastIndexOf("/");
  const dot = handler.indexOf(".", slash + 1);
  if (handler.includes(".."))
    throw new RuntimeFault("MalformedHandlerName", `'${handler}' is not a valid handler name. ` +
      "Use absolute paths when specifying root directories in handler names.");
  if (dot <= slash + 1 || dot === handler.length - 1)
    throw new RuntimeFault("MalformedHandlerName", `Bad handler: '${handler}' must be like ` +
      "'index.handler' or 'folder/file.export'");
  return { file: handler.slice(0, dot), path: handler.slice(dot + 1).split(".") };
}

function isFile(path) {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Does the package of a .js file say that it is an ES module? */
function isModule(file) {
  switch (extname(file)) {
    case ".mjs":
      return true;
    case ".js":
      break;
    default:
      return false;
  }
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    try {
      return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).type === "module";
    } catch (error) {
      if (error instanceof SyntaxError)
        throw new RuntimeFault("ImportModuleError", `${join(folder, "package.json")}: ${error.message}`);
      if (folder === dirname(folder))
        return false;
    }
  }
}

function find(root, file, require) {
  const base = resolve(root, file);
  for (const suffix of SUFFIXES) {
    if (isFile(base + suffix))
      return base + suffix;
  }
  try {
    return require.resolve(file); /* node_modules and NODE_PATH */
  } catch {
    throw new RuntimeFault("ImportModuleError", `Error: Cannot find module '${file}': there is no ` +
      `${base}.js, .mjs or .cjs, and none in NODE_PATH`);
  }
}

async function importFile(file, require) {
  prepareImport(file);
  if (isModule(file))
    return await import(pathToFileURL(file).href);
  try {
    return require(file); /* faster than import() for what is CommonJS */
  } catch (error) {
    if (error?.code === "ERR_REQUIRE_ESM" || error?.code === "ERR_REQUIRE_ASYNC_MODULE")
      return await import(pathToFileURL(file).href);
    throw error;
  }
}

async function failure(thrown, file) {
  if (thrown instanceof RuntimeFault)
    return thrown;
  if (thrown instanceof SyntaxError) {
    const told = await located(thrown, file);
    return new RuntimeFault("UserCodeSyntaxError", `SyntaxError: ${thrown.message}`, told);
  }
  if (thrown?.code === "MODULE_NOT_FOUND" || thrown?.code === "ERR_MODULE_NOT_FOUND")
    return new RuntimeFault("ImportModuleError", String(thrown), thrown);
  return thrown;
}

/**
 * Import a function's code and find its handler.
 * @return {handler, streaming, highWaterMark}
 * @throws RuntimeFault, or what the code itself threw.
 */
export async function locateHandler(root, name) {
  const { file, path } = splitHandler(name ?? "");
  Module._initPaths?.(); /* NODE_PATH came with the environment, after the start */
  const require = createRequire(join(root, "handler.js"));
  let found = file;
  let handler;
  try {
    found = find(root, file, require);
    handler = await importFile(found, require);
  } catch (thrown) {
    throw await failure(thrown, found);
  }
  for (const key of path)
    handler = handler?.[key];
  if (handler === undefined || handler === null)
    throw new RuntimeFault("HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function")
    throw new RuntimeFault("HandlerNotFound", `${name} is not a function`);
  const streaming = handler[STREAMING];
  if (streaming !== undefined && streaming !== "response")
    throw new RuntimeFault("MalformedStreamingHandler", "Only response streaming is supported.");
  return { handler, streaming: streaming !== undefined, highWaterMark: handler[HIGH_WATER_MARK] };
}
