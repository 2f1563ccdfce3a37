/* common/imports.mjs - which local files a module graph holds, for hot reload. Reads the sources and
 * looks for import specifiers: a word too many costs a needless reload, nothing else. */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const FILES_MAX = 2000;
const FILE_BYTES_MAX = 4 * 1024 * 1024;
const SPECIFIER =
  /\b(?:from|import|require|import\.meta\.resolve)\s*\(?\s*(?:"([^"\n]+)"|'([^'\n]+)'|`([^`$\n]+)`)/g;
const SUFFIXES = ["", ".js", ".mjs", ".cjs", ".ts", ".json", "/index.js"];

function isFile(path) {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Go through a graph; @p wants tells of a specifier whether that was what is looked for. */
function walk(entry, resolveBare, wants) {
  const seen = new Set([entry]);
  const queue = [entry];
  while (queue.length > 0 && seen.size < FILES_MAX) {
    const file = queue.pop();
    let source;
    try {
      if (statSync(file).size > FILE_BYTES_MAX)
        continue;
      source = readFileSync(file, "utf8");
    } catch {
      continue; /* gone since, or not ours to read */
    }
    for (const match of source.matchAll(SPECIFIER)) {
      const specifier = match[1] ?? match[2] ?? match[3];
      if (wants(specifier))
        return null;
      const path = locate(specifier, file, resolveBare);
      if (path && !seen.has(path) && !path.includes("/node_modules/")) {
        seen.add(path);
        queue.push(path);
      }
    }
  }
  seen.delete(entry);
  return seen;
}

/**
 * @param entry    absolute path of the entry file; not in the result.
 * @param resolveBare  gives a file: URL for a specifier that is no path (import maps), or null.
 * @return absolute paths, sorted.
 */
export function localImports(entry, resolveBare) {
  return [...walk(entry, resolveBare, () => false)].sort();
}

/** @return whether the entry file, or a local file that it imports, imports the package @p name. */
export function importsModule(entry, name) {
  return walk(entry, () => null, (specifier) => specifier === name) === null;
}

function locate(specifier, from, resolveBare) {
  let base;
  if (specifier.startsWith("./") || specifier.startsWith("../") || specifier.startsWith("/"))
    base = resolve(dirname(from), specifier.replace(/[?#].*$/, ""));
  else if (specifier.startsWith("file:"))
    base = fileURLToPath(specifier.replace(/[?#].*$/, ""));
  else if (/^(node|npm|jsr|https?|data|blob):/.test(specifier))
    return null;
  else {
    const url = resolveBare(specifier);
    if (!url?.startsWith("file:"))
      return null;
    base = fileURLToPath(url);
  }
  for (const suffix of SUFFIXES) {
    if (isFile(base + suffix))
      return base + suffix;
  }
  return null;
}
