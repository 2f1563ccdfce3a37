/* deno/request.ts - makes the server's Request look as the client sent it: `url` with the client's
 * scheme and path, `headers` without the fields that are between node and host. Both are patched once
 * on the prototype, so that a request that nobody looks at costs nothing: the server makes its fields
 * only when somebody asks, which costs as much as a small handler. So what every request needs, its
 * id and scheme, stands in the path: "/.ID/name/rest", "/.ID;s/name/rest" for https. */

const SCHEME = "http+unix:"; /* what Deno puts in front on a Unix socket; Host and path are right */

const urlOf = Object.getOwnPropertyDescriptor(Request.prototype, "url")!.get!;
const headersOf = Object.getOwnPropertyDescriptor(Request.prototype, "headers")!.get!;

const kUrl = Symbol("url");
const kHeaders = Symbol("headers");
// deno-lint-ignore no-explicit-any
type Marked = any;

const DOT = 46;
const LOWER_H = 104; /* of "/.heddle/"; no id begins with it */
const SEMICOLON = 59;

const pathAt = (url: string) => url.indexOf("/", url.indexOf("://") + 3);

/** The path and query of a request that came from the node, without making its public URL. */
export function rawPath(req: Request): string {
  const url: string = urlOf.call(req);
  return url.slice(pathAt(url));
}

/** A path that belongs to the protocol. No function's name begins with a dot. */
export const CONTROL = -1;

/** Where the id of a request stands in its raw URL; 0: it is in a field; or CONTROL. */
export function idAt(url: string): number {
  const at = pathAt(url) + 1;
  if (url.charCodeAt(at) !== DOT)
    return 0;
  return url.charCodeAt(at + 1) === LOWER_H ? CONTROL : at + 1;
}

const isHttps = (url: string, end: number) => url.charCodeAt(end - 2) === SEMICOLON;

/** The id that stands there. */
export function idIn(url: string, at: number): string {
  const end = url.indexOf("/", at);
  return url.slice(at, isHttps(url, end) ? end - 2 : end);
}

/** The URL as the server has it. */
export function rawUrl(req: Request): string {
  return urlOf.call(req);
}

/** All fields of a request, those of the protocol too. */
export function rawHeaders(req: Request): Headers {
  return headersOf.call(req);
}

function hidden(name: string): boolean {
  const c = name.charCodeAt(0);
  return (c === 120 || c === 88) && name.length > 9 &&
    name.slice(0, 9).toLowerCase() === "x-heddle-";
}

/* A server's Headers cannot be changed, and copying them costs more than most handlers. So the object
 * stays as it is and gets a prototype that does not tell. */
class ClientHeaders extends Headers {
  override get(name: string): string | null {
    return hidden(String(name)) ? null : super.get(name);
  }
  override has(name: string): boolean {
    return hidden(String(name)) ? false : super.has(name);
  }
  override *entries(): HeadersIterator<[string, string]> {
    for (const entry of super.entries()) {
      if (!hidden(entry[0]))
        yield entry;
    }
  }
  override *keys(): HeadersIterator<string> {
    for (const entry of this.entries())
      yield entry[0];
  }
  override *values(): HeadersIterator<string> {
    for (const entry of this.entries())
      yield entry[1];
  }
  override [Symbol.iterator](): HeadersIterator<[string, string]> {
    return this.entries();
  }
  override forEach(
    callback: (value: string, key: string, parent: Headers) => void,
    thisArg?: unknown,
  ): void {
    for (const [key, value] of this.entries())
      callback.call(thisArg, value, key, this);
  }
}
Object.defineProperty(ClientHeaders.prototype, "constructor", { value: Headers });

function clientUrl(req: Request): string {
  const url: string = urlOf.call(req);
  const at = url.startsWith(SCHEME) ? idAt(url) : 0;
  if (at > 0) {
    const end = url.indexOf("/", at);
    return (isHttps(url, end) ? "https:" : "http:") + url.slice(SCHEME.length, at - 2) +
      url.slice(end);
  }
  const headers: Headers = headersOf.call(req);
  if (url.startsWith(SCHEME))
    return (headers.get("x-forwarded-proto") === "https" ? "https:" : "http:") +
      url.slice(SCHEME.length);
  if (url.startsWith("http:") && headers.has("x-heddle-id") &&
    headers.get("x-forwarded-proto") === "https") /* over TCP */
    return "https" + url.slice(4);
  return url;
}

/** Patch Request.prototype. Once, before any user code runs. */
export function patchRequest(): void {
  Object.defineProperty(Request.prototype, "url", {
    configurable: true,
    enumerable: true,
    get(this: Marked): string {
      return this[kUrl] ?? (this[kUrl] = clientUrl(this));
    },
  });
  Object.defineProperty(Request.prototype, "headers", {
    configurable: true,
    enumerable: true,
    get(this: Marked): Headers {
      const known = this[kHeaders];
      if (known !== undefined)
        return known;
      const headers: Headers = headersOf.call(this);
      /* Asked first: before its first look at the fields such an object must stay as it is. */
      if (headers.has("x-heddle-id") || urlOf.call(this).startsWith(SCHEME))
        Object.setPrototypeOf(headers, ClientHeaders.prototype);
      return this[kHeaders] = headers;
    },
  });
}

/** The second argument of Deno.serve handlers, made when it is looked at. */
export class RequestInfo {
  #req: Request;
  #inner: Deno.ServeHandlerInfo;
  constructor(req: Request, inner: Deno.ServeHandlerInfo) {
    this.#req = req;
    this.#inner = inner;
  }
  /** The node's peer: the last hop of x-forwarded-for, which nobody but the node wrote. */
  get remoteAddr(): Deno.NetAddr {
    const hops = headersOf.call(this.#req).get("x-forwarded-for") ?? "";
    const hostname = hops.slice(hops.lastIndexOf(",") + 1).trim() || "127.0.0.1";
    return { transport: "tcp", hostname, port: 0 };
  }
  get completed(): Promise<void> {
    return this.#inner.completed;
  }
}
