/* node/response.mjs - the Response of fetch handlers, and how it is written. One that was made of text
 * keeps status, fields and text as they are and becomes a real Response only when somebody looks closer:
 * a real one costs a stream that the host would only have to read out again. */
import { AsyncResource } from "node:async_hooks";

const NativeResponse = globalThis.Response;
const kReal = Symbol("real");

const NO_BODY_STATUS = new Set([101, 204, 205, 304]);

/** The fields of an init as a flat list with names in lower case; null: only the real one can tell. */
function flatFields(init) {
  const given = init?.headers;
  const flat = [];
  if (given === undefined)
    return flat;
  if (given === null || typeof given !== "object")
    return null;
  const pairs = typeof given[Symbol.iterator] === "function" ? given : Object.entries(given);
  for (const pair of pairs) {
    if (pair?.length !== 2)
      return null;
    flat.push(String(pair[0]).toLowerCase(), String(pair[1]));
  }
  return flat;
}

function hasField(flat, name) {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name)
      return true;
  }
  return false;
}

class TextResponse {
  #text;
  #status;
  #fields;
  #native;

  constructor(text, status, fields) {
    this.#text = text;
    this.#status = status;
    this.#fields = fields;
  }

  [kReal]() {
    if (this.#native === undefined) {
      const headers = [];
      for (let i = 0; i < this.#fields.length; i += 2)
        headers.push([this.#fields[i], this.#fields[i + 1]]);
      this.#native = new NativeResponse(this.#text, { status: this.#status, headers });
    }
    return this.#native;
  }

  get status() {
    return this.#status;
  }

  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }

  get bodyUsed() {
    return this.#native?.bodyUsed ?? false;
  }

  /** Write it, if nothing of it was used up. @return was it written? */
  write(message, res) {
    let fields = this.#fields;
    if (this.#native !== undefined) {
      if (this.#native.bodyUsed || this.#native.body?.locked)
        return false;
      fields = flatFields(this.#native); /* they may have been changed */
    }
    const text = this.#text;
    if (!hasField(fields, "content-length") && !NO_BODY_STATUS.has(this.#status))
      fields.push("content-length", String(text === null ? 0 : Buffer.byteLength(text)));
    res.writeHead(this.#status, fields);
    res.end(message.method === "HEAD" || text === null ? undefined : text);
    return true;
  }
}
for (const name of ["body", "headers", "redirected", "statusText", "type", "url"]) {
  Object.defineProperty(TextResponse.prototype, name, {
    configurable: true,
    get() {
      return this[kReal]()[name];
    },
  });
}
for (const name of ["arrayBuffer", "blob", "bytes", "clone", "formData", "json", "text"])
  TextResponse.prototype[name] = function () {
    return this[kReal]()[name]();
  };
Object.setPrototypeOf(TextResponse.prototype, NativeResponse.prototype);
Object.defineProperty(TextResponse.prototype, "constructor", { value: NativeResponse });

/** A Response of text; a real one where anything about it is unusual. */
function makeResponse(text, init, type) {
  const status = init?.status ?? 200;
  const plain = Number.isInteger(status) && status >= 200 && status <= 599 &&
    init?.statusText === undefined && (text === null || !NO_BODY_STATUS.has(status));
  const fields = plain ? flatFields(init) : null;
  if (fields === null)
    return null;
  if (text !== null && !hasField(fields, "content-type"))
    fields.push("content-type", type);
  return new TextResponse(text, status, fields);
}

/** Put the cheap way behind the global Response. Once. */
export function patchResponse() {
  const json = (data, init) => {
    const text = JSON.stringify(data);
    return (typeof text === "string" && makeResponse(text, init, "application/json")) ||
      NativeResponse.json(data, init);
  };
  globalThis.Response = new Proxy(NativeResponse, {
    construct(target, args, as) {
      const own = as === globalThis.Response;
      const body = args[0] ?? null;
      const made = own && (body === null || typeof body === "string")
        ? makeResponse(body, args[1], "text/plain;charset=UTF-8")
        : null;
      return made ?? Reflect.construct(target, args, own ? target : as);
    },
    get: (target, key) => (key === "json" ? json : Reflect.get(target, key)),
  });
}

/**
 * Write a Response as the answer. Resolves when it is written or the client is gone; rejects when the
 * body's stream fails, with the connection broken off.
 */
export async function sendResponse(response, message, res) {
  if (response instanceof TextResponse && response.write(message, res))
    return;
  if (response.bodyUsed || response.body?.locked)
    throw new TypeError("the handler returned a Response whose body was read already");
  const fields = flatFields(response);
  const bare = message.method === "HEAD" || NO_BODY_STATUS.has(response.status);
  if (response.body === null && !bare)
    fields.push("content-length", "0");
  res.writeHead(response.status, response.statusText || undefined, fields);
  if (bare || response.body === null) {
    res.end();
    await response.body?.cancel();
  } else {
    await pump(response.body, res);
  }
}

async function pump(stream, res) {
  const reader = stream.getReader();
  let wake = () => {};
  const onClose = AsyncResource.bind(() => {
    reader.cancel(new DOMException("The client went away", "AbortError")).catch(() => {});
    wake();
  });
  const onDrain = () => wake();
  res.once("close", onClose);
  res.on("drain", onDrain);
  res.flushHeaders();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || res.destroyed)
        break;
      if (!res.write(value) && !res.destroyed)
        await new Promise((resolve) => (wake = resolve));
    }
    res.removeListener("close", onClose);
    res.end();
  } catch (thrown) {
    res.removeListener("close", onClose);
    res.destroy();
    throw thrown;
  } finally {
    res.removeListener("drain", onDrain);
  }
}
