/* node/fetch.mjs - handlers that take a Request and give a Response, over node:http without the cost
 * of making web objects that nobody looks at.
 *
 * LazyRequest answers method, url, headers and whole-body reads straight from the IncomingMessage and
 * becomes a real Request when more is asked. Responses remember the body they were made of, so that
 * it need not come back out of a stream. */
import { AsyncResource } from "node:async_hooks";
import { Readable } from "node:stream";

const NativeRequest = globalThis.Request;
const NativeResponse = globalThis.Response;
const nativeFetch = globalThis.fetch;
const kReal = Symbol("real");
const kSource = Symbol("source");

const NO_BODY_STATUS = new Set([101, 204, 205, 304]);

/** All bytes of a request's body. */
export async function readBody(message, maxBytes) {
  const parts = [];
  let size = 0;
  for await (const part of message) {
    size += part.length;
    if (size > maxBytes)
      return null;
    parts.push(part);
  }
  return parts.length === 1 ? parts[0] : Buffer.concat(parts, size);
}

class LazyRequest {
  #message;
  #res;
  #url;
  #headers;
  #abort;
  #native;
  #used = false;

  constructor(message, res, url) {
    this.#message = message;
    this.#res = res;
    this.#url = url;
  }

  get method() {
    return this.#message.method;
  }

  get url() {
    return this.#native?.url ?? (this.#url = new URL(this.#url).href);
  }

  get headers() {
    if (this.#native)
      return this.#native.headers;
    if (this.#headers === undefined) {
      const raw = this.#message.rawHeaders;
      this.#headers = new Headers();
      for (let i = 0; i < raw.length; i += 2)
        this.#headers.append(raw[i], raw[i + 1]);
    }
    return this.#headers;
  }

  get signal() {
    return this.#native?.signal ?? this.#controller().signal;
  }

  #controller() {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      const closed = AsyncResource.bind(() => { /* its listeners belong to this invocation */
        if (!this.#res.writableFinished)
          this.#abort.abort(new DOMException("The client went away", "AbortError"));
      });
      if (this.#res.closed || this.#res.destroyed)
        closed();
      else
        this.#res.once("close", closed);
    }
    return this.#abort;
  }

  #hasBody() {
    const { method, headers } = this.#message;
    return method !== "GET" && method !== "HEAD" &&
      (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined);
  }

  /** The real Request; what was looked at before goes on being the same. */
  [kReal]() {
    if (this.#native === undefined) {
      const init = {
        method: this.method,
        headers: this.headers,
        signal: this.#controller().signal,
      };
      if (this.#hasBody()) {
        init.body = this.#used ? new ReadableStream() : Readable.toWeb(this.#message);
        init.duplex = "half";
      }
      const real = new NativeRequest(this.url, init);
      if (this.#used)
        real.body?.getReader(); /* locked, as a body that was read must be */
      this.#native = real;
    }
    return this.#native;
  }

  get bodyUsed() {
    return this.#used || (this.#native?.bodyUsed ?? false);
  }

  async #bytes() {
    if (this.#native)
      return Buffer.from(await this.#native.arrayBuffer());
    if (this.#used)
      throw new TypeError("Body is unusable: Body has already been read");
    if (!this.#hasBody())
      return Buffer.alloc(0);
    this.#used = true;
    return await readBody(this.#message, Infinity);
  }

  async text() {
    return new TextDecoder().decode(await this.#bytes()); /* without a byte order mark, as it must be */
  }

  async json() {
    return JSON.parse(await this.text());
  }

  async arrayBuffer() {
    const bytes = await this.#bytes();
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }

  async bytes() {
    return new Uint8Array(await this.arrayBuffer());
  }
}
for (const name of ["body", "cache", "credentials", "destination", "duplex", "integrity", "keepalive",
  "mode", "redirect", "referrer", "referrerPolicy"]) {
  Object.defineProperty(LazyRequest.prototype, name, {
    configurable: true,
    get() {
      return this[kReal]()[name];
    },
  });
}
for (const name of ["blob", "clone", "formData"])
  LazyRequest.prototype[name] = function () {
    return this[kReal]()[name]();
  };
Object.setPrototypeOf(LazyRequest.prototype, NativeRequest.prototype);
Object.defineProperty(LazyRequest.prototype, "constructor", { value: NativeRequest });

/** Make the globals know lazy requests, and responses remember what they were made of. Once. */
export function patchGlobals() {
  const real = (input) => (input instanceof LazyRequest ? input[kReal]() : input);
  globalThis.Request = new Proxy(NativeRequest, {
    construct: (target, [input, ...rest], as) =>
      Reflect.construct(target, [real(input), ...rest], as === globalThis.Request ? target : as),
  });
  globalThis.fetch = function fetch(input, init) {
    return nativeFetch(real(input), init);
  };
  const remember = (response, body) => {
    if (typeof body === "string" || body === null || body === undefined)
      response[kSource] = body ?? null;
    return response;
  };
  const json = (data, init) => {
    const text = JSON.stringify(data);
    return remember(NativeResponse.json(data, init), text);
  };
  globalThis.Response = new Proxy(NativeResponse, {
    construct: (target, args, as) =>
      remember(Reflect.construct(target, args, as === globalThis.Response ? target : as), args[0]),
    get: (target, key) => (key === "json" ? json : Reflect.get(target, key)),
  });
}

/** @param url  as the client used it; not yet normalised. */
export function makeRequest(message, res, url) {
  return new LazyRequest(message, res, url);
}

/**
 * Write a Response as the answer. Resolves when it is written or the client is gone; rejects when the
 * body's stream fails, with the connection broken off.
 */
export async function sendResponse(response, message, res) {
  const fields = [];
  let length;
  for (const [name, value] of response.headers) {
    fields.push(name, value);
    if (name === "content-length")
      length = value;
  }
  const bare = message.method === "HEAD" || NO_BODY_STATUS.has(response.status);
  const source = response.bodyUsed ? undefined : response[kSource];
  if (source !== undefined || bare) {
    if (length === undefined && source !== undefined && !NO_BODY_STATUS.has(response.status))
      fields.push("content-length", String(source === null ? 0 : Buffer.byteLength(source)));
    res.writeHead(response.status, response.statusText || undefined, fields);
    res.end(bare ? undefined : source ?? undefined);
    if (source === undefined)
      await response.body?.cancel();
    return;
  }
  res.writeHead(response.status, response.statusText || undefined, fields);
  if (response.body === null)
    res.end();
  else
    await pump(response.body, res);
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
