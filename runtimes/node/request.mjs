/* node/request.mjs - a Request over node:http without the cost of making web objects that nobody looks
 * at. It answers method, url, headers and whole-body reads straight from the IncomingMessage and becomes
 * a real Request when more is asked. */
import { AsyncResource } from "node:async_hooks";
import { Readable } from "node:stream";

const NativeRequest = globalThis.Request;
const nativeFetch = globalThis.fetch;
const kReal = Symbol("real");

const PLAIN_URL = /^https?:\/\/[a-z0-9.-]+(:[1-9][0-9]*)?\/[\w\-/?&=+,;:@!$*()]*$/;

/** All bytes of a request's body; null: more than @p maxBytes, and the rest is dropped as it comes. */
export function readBody(message, maxBytes) {
  return new Promise((resolve, reject) => {
    const parts = [];
    let size = 0;
    message.on("data", (part) => {
      size += part.length;
      if (size <= maxBytes)
        parts.push(part);
      else
        resolve(null);
    });
    message.on("end", () => resolve(parts.length === 1 ? parts[0] : Buffer.concat(parts)));
    message.on("error", reject);
    message.on("close", () => reject(new Error("the client went away before the body's end")));
  });
}

class LazyRequest {
  #message;
  #res;
  #url;
  #normal = false;
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
    if (!this.#normal) {
      if (!PLAIN_URL.test(this.#url) || /:(80|443)\//.test(this.#url) || this.#url.includes("/."))
        this.#url = new URL(this.#url).href;
      this.#normal = true;
    }
    return this.#url;
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

/** Make the globals know lazy requests. Once. */
export function patchRequest() {
  const real = (input) => (input instanceof LazyRequest ? input[kReal]() : input);
  globalThis.Request = new Proxy(NativeRequest, {
    construct: (target, [input, ...rest], as) =>
      Reflect.construct(target, [real(input), ...rest], as === globalThis.Request ? target : as),
  });
  globalThis.fetch = function fetch(input, init) {
    return nativeFetch(real(input), init);
  };
}

/** @param url  as the client used it; not yet normalised. */
export function makeRequest(message, res, url) {
  return new LazyRequest(message, res, url);
}
