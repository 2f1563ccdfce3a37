/* common/control.mjs - what the JavaScript hosts share of doc/host-protocol.md: the token, the load
 * request, what code declares about itself, and background work. */
import { pathToFileURL } from "node:url";
import { describe, plain } from "./log.mjs";

/** Compare two secrets in a time that does not tell where they differ. */
export function sameToken(given, expected) {
  if (typeof given !== "string" || given.length !== expected.length)
    return false;
  let different = 0;
  for (let i = 0; i < expected.length; i++)
    different |= given.charCodeAt(i) ^ expected.charCodeAt(i);
  return different === 0;
}

/** Check the body of a load request. @throws Error that names the key. */
export function readLoadRequest(text) {
  const load = JSON.parse(text);
  if (typeof load !== "object" || load === null)
    throw new Error("load request: must be a JSON object");
  if (load.lambda !== undefined && (typeof load.lambda !== "object" || load.lambda === null))
    throw new Error("load request: lambda: must be an object");
  for (const key of load.lambda ? ["name", "root"] : ["name", "root", "entry"]) {
    if (typeof load[key] !== "string" || load[key] === "")
      throw new Error(`load request: ${key}: must be a string that is not empty`);
  }
  if (load.handler !== undefined && load.handler !== null && typeof load.handler !== "string")
    throw new Error("load request: handler: must be a string");
  load.env ??= {};
  for (const [key, value] of Object.entries(load.env)) {
    if (typeof value !== "string")
      throw new Error(`load request: env.${key}: must be a string`);
  }
  return load;
}

/**
 * Read the second argument of serve(handler, options).
 * @return {public, timeoutMs, require}, each undefined when not declared.
 * @throws TypeError that names the key.
 */
export function readServeOptions(options) {
  if (options === undefined || options === null)
    return {};
  if (typeof options !== "object")
    throw new TypeError("serve(): the second argument must be an object like {public: true}");
  const declared = {};
  if (options.public !== undefined) {
    if (typeof options.public !== "boolean")
      throw new TypeError("serve(): public: must be true or false");
    declared.public = options.public;
  }
  if (options.timeoutMs !== undefined) {
    if (!Number.isFinite(options.timeoutMs) || options.timeoutMs < 1)
      throw new TypeError("serve(): timeoutMs: must be a number of milliseconds, 1 or more");
    declared.timeoutMs = Math.floor(options.timeoutMs);
  }
  if (options.require === "public") {
    declared.public = true;
  } else if (options.require !== undefined) {
    const roles = typeof options.require === "string" ? [options.require] : options.require;
    if (!Array.isArray(roles) || !roles.every((role) => typeof role === "string" && role))
      throw new TypeError('serve(): require: must be "public" or a list of role names');
    declared.require = roles;
  }
  return declared;
}

/**
 * Who is calling, as handlers of protected functions get it.
 * @param field    value of x-heddle-auth, or null.
 * @param bearer   value of the Authorization field, or null.
 * @return {userId, email, rawToken, payload}, or null: nobody was verified.
 */
export function readAuth(field, bearer) {
  if (!field)
    return null;
  const bytes = Uint8Array.from(
    atob(field.replaceAll("-", "+").replaceAll("_", "/")),
    (c) => c.charCodeAt(0),
  );
  const payload = JSON.parse(new TextDecoder().decode(bytes));
  return {
    userId: payload.sub ?? "",
    email: payload.email ?? "",
    rawToken: /^bearer +(.*)$/i.exec(bearer ?? "")?.[1] ?? "",
    payload,
  };
}

/**
 * Background work: promises given to EdgeRuntime.waitUntil().
 * @param onError  called with the reason and the invocation id of a promise that was rejected.
 * @param currentId  tells the invocation that is running.
 */
export function createBackground(onError, currentId) {
  const waiting = [];
  let count = 0;
  const settled = () => {
    if (--count === 0) {
      for (const resolve of waiting.splice(0))
        resolve();
    }
  };
  return {
    get count() {
      return count;
    },
    waitUntil(promise) {
      const id = currentId();
      count++;
      Promise.resolve(promise).catch((reason) => onError(reason, id)).then(settled);
    },
    /** @return a promise for the moment when nothing is pending. */
    idle() {
      return count === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

/**
 * The answer to a load that failed: what was thrown, with the first place in the functions folder
 * that its stack names in front ("hello/index.ts:3:7: ReferenceError: x is not defined").
 */
export function loadFailure(thrown, root) {
  if (!(thrown instanceof Error))
    return { ok: false, message: describe(thrown) };
  const stack = plain(thrown.stack ?? "");
  let message = plain(thrown.message);
  if (thrown.name !== "Error" && !/^\w*Error\b/.test(message))
    message = `${thrown.name}: ${message}`;
  const place = placeIn(root, stack);
  if (place !== null && !message.split("\n", 1)[0].includes(place))
    message = `${place}: ${message}`;
  return { ok: false, message, stack };
}

function placeIn(root, stack) {
  if (typeof root !== "string")
    return null;
  for (const folder of [`${root}/`, `${pathToFileURL(root).pathname}/`]) {
    const at = stack.indexOf(folder);
    const found = at < 0 ? null : /^[^\s:()]+:\d+(:\d+)?/.exec(stack.slice(at + folder.length));
    if (found !== null)
      return found[0];
  }
  return null;
}

/** The body of an answer for a handler that failed: opaque, but for development. */
export function failureBody(dev, thrown) {
  const body = { error: "Internal server error" };
  if (dev)
    body.message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  return JSON.stringify(body);
}
