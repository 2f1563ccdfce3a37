/* deno/host.ts - runs one function in Deno and speaks doc/host-protocol.md.
 *
 *   start ──► listen, nothing loaded ──POST /.heddle/load──► serving ──SIGTERM──► drained, exit 0
 *                                              └── failed: answers why; the node ends us
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { pathToFileURL } from "node:url";
import { captureConsole, createLog, describe, plain } from "../common/log.mjs";
import {
  createBackground,
  failureBody,
  loadFailure,
  readAuth,
  readLoadRequest,
  sameToken,
} from "../common/control.mjs";
import { localImports } from "../common/imports.mjs";
import { createLanes, offer } from "../common/lanes.mjs";
import { answerEvent, eventMode } from "./events.ts";
import {
  CONTROL,
  idAt,
  idIn,
  patchRequest,
  rawHeaders,
  rawPath,
  rawUrl,
  RequestInfo,
} from "./request.ts";
import { Registry } from "./register.ts";
import type { Registered } from "./register.ts";

const EX_USAGE = 64;
const PLAIN_PATH = /^(\/[\w-][\w.-]*)+$/; /* its URL is written the same */
const JSON_HEADERS = { "content-type": "application/json" };

const socket = Deno.env.get("HEDDLE_SOCKET");
const port = Deno.env.get("PORT");
const token = Deno.env.get("HEDDLE_HOST_TOKEN") ?? "";
for (const name of ["HEDDLE_HOST_TOKEN", "HEDDLE_SOCKET", "PORT", "DENO_DIR"])
  Deno.env.delete(name);

const encoder = new TextEncoder();
const stderr = Deno.stderr;
const exit = Deno.exit;
const log = createLog(token, (line: string) => {
  try {
    let bytes = encoder.encode(line);
    while (bytes.length > 0)
      bytes = bytes.subarray(stderr.writeSync(bytes));
  } catch {
    /* nobody reads any more: the node is gone, and we with it */
  }
});

/* The invocation under way. What it is asked for is read when it is asked, as long as the request is
 * there: its fields are made only for a function that has emit() and call(), whose background work may
 * want them when it is gone. */
class Invocation {
  #req: Request;
  #url: string;
  #idAt: number;
  #headers: Headers | null = null;
  #beganMs: number | undefined;
  constructor(req: Request, url: string, at: number) {
    this.#req = req;
    this.#url = url;
    this.#idAt = at;
    if (at === 0 || lanesWanted) {
      this.#beganMs = performance.now();
      this.field("x-heddle-id"); /* the first look makes them all */
    }
  }
  get id(): string {
    return this.#idAt > 0 ? idIn(this.#url, this.#idAt) : this.field("x-heddle-id") ?? "";
  }
  get beganMs(): number {
    return this.#beganMs ?? performance.now();
  }
  /** A field that came from the node, whatever user code may see of it. */
  field(name: string): string | undefined {
    try {
      this.#headers ??= rawHeaders(this.#req);
      return Headers.prototype.get.call(this.#headers, name) ?? undefined;
    } catch {
      return undefined; /* the request is over, and nobody looked before */
    }
  }
}

let lanesWanted = false;
const invocation = new AsyncLocalStorage<Invocation>();
const currentId = () => invocation.getStore()?.id;
const logThrown = (thrown: unknown, id?: string) => log("error", plain(describe(thrown)), id);
const background = createBackground(logThrown, currentId);
const registry = new Registry();

let dev = false;
let loading = false;
let serving: Registered | null = null;

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: JSON_HEADERS });
}

// Answering --------------------------------------------------------------------------------------

function failed(thrown: unknown): Response {
  logThrown(thrown, currentId());
  return new Response(failureBody(dev, thrown), {
    status: 500,
    headers: { ...JSON_HEADERS, "x-heddle-error": "unhandled" },
  });
}

function checked(result: unknown): Response {
  return result instanceof Response
    ? result
    : failed(new TypeError(`the handler returned ${describe(result)} instead of a Response`));
}

async function failedHow(thrown: unknown): Promise<Response> {
  if (typeof serving!.onError !== "function")
    return failed(thrown);
  try {
    return checked(await serving!.onError(thrown));
  } catch (again) {
    return failed(again);
  }
}

function answer(req: Request, inner: Deno.ServeHandlerInfo): Response | Promise<Response> {
  try {
    const second = serving!.kind === "serve"
      ? readAuth(rawHeaders(req).get("x-heddle-auth"), rawHeaders(req).get("authorization"))
      : new RequestInfo(req, inner);
    const result = serving!.kind === "serve" && serving!.public
      ? serving!.handler(req)
      : serving!.handler(req, second);
    if (result instanceof Response)
      return result;
    return Promise.resolve(result).then(checked, failedHow);
  } catch (thrown) {
    return failedHow(thrown);
  }
}

/** An event, by the same handler. */
function answerAsEvent(req: Request, inner: Deno.ServeHandlerInfo): Promise<Response> {
  const { handler, kind, onError } = serving!;
  const second = kind === "serve"
    ? readAuth(rawHeaders(req).get("x-heddle-auth"), null)
    : new RequestInfo(req, inner);
  const call = async (post: Request) => {
    let result: unknown;
    try {
      result = await (kind === "serve" && serving!.public ? handler(post) : handler(post, second));
    } catch (thrown) {
      if (typeof onError !== "function")
        throw thrown;
      result = await onError(thrown);
    }
    if (!(result instanceof Response))
      throw new TypeError(`the handler returned ${describe(result)} instead of a Response`);
    return result;
  };
  return answerEvent(req, call, (thrown) => logThrown(thrown, currentId()));
}

function dispatch(req: Request, info: Deno.ServeHandlerInfo): Response | Promise<Response> {
  const url = rawUrl(req);
  const at = idAt(url);
  if (at === CONTROL)
    return control(req, info);
  if (serving === null)
    return json(503, { error: "Nothing is loaded yet" });
  return serve(req, info, url, at);
}

function serve(
  req: Request,
  info: Deno.ServeHandlerInfo,
  url: string,
  at: number,
): Response | Promise<Response> {
  const isEvent = at === 0 && eventMode(req) !== null;
  return invocation.run(new Invocation(req, url, at), isEvent ? answerAsEvent : answer, req, info);
}

// Lanes ------------------------------------------------------------------------------------------

function currentForLanes() {
  const now = invocation.getStore();
  if (now === undefined)
    return undefined;
  const left = now.field("x-heddle-deadline");
  return {
    id: now.id,
    traceparent: now.field("traceparent"),
    clientContext: now.field("x-heddle-client-context"),
    endMs: left === undefined ? undefined : now.beganMs + Number(left),
  };
}

const ownFetch = globalThis.fetch; /* its connections stay open between requests */

async function sendToLanes(url: string, init: RequestInit): Promise<{ status: number; text: string }> {
  const answer = await ownFetch(url, { ...init, method: "POST" });
  return { status: answer.status, text: await answer.text() };
}

// Control ----------------------------------------------------------------------------------------

async function control(req: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
  if (!sameToken(rawHeaders(req).get("x-heddle-token"), token))
    return json(403, { error: "Wrong or missing x-heddle-token" });
  switch (`${req.method} ${rawPath(req)}`) {
    case "POST /.heddle/load":
      return await load(await req.text());
    case "GET /.heddle/ping":
      return json(200, { background: background.count });
    case "POST /.heddle/rehearsal":
      return loading ? json(200, {}) : await rehearse(req, info);
    case "POST /.heddle/drain":
      await background.idle();
      return json(200, {});
    default:
      return json(404, { error: `No control request ${req.method} ${rawPath(req)}` });
  }
}

function urlOfFile(path: string): string {
  return PLAIN_PATH.test(path) ? `file://${path}` : pathToFileURL(path).href;
}

async function findHandler(url: string, registry: Registry): Promise<Registered> {
  const module = import(url);
  const first = await Promise.race([module, registry.parked.then(() => null)]);
  const found = registry.take(first);
  if (first === null)
    module.catch((thrown) => logThrown(thrown));
  return found;
}

async function load(text: string): Promise<Response> {
  if (loading)
    return json(409, { ok: false, message: "load: came before; a host loads one function" });
  loading = true;
  let root: string | undefined;
  try {
    const what = readLoadRequest(text);
    root = what.root;
    if (what.lambda)
      throw new Error("load request: lambda: Lambda functions run in the node or the python host");
    dev = what.dev === true;
    for (const [key, value] of Object.entries(what.env))
      Deno.env.set(key, value as string);
    if (Array.isArray(what.argv))
      Object.defineProperty(Deno, "args", { value: what.argv, configurable: true });
    const found = await findHandler(urlOfFile(what.entry), registry);
    serving = found;
    return json(200, {
      ok: true,
      kind: found.kind,
      public: found.public,
      timeoutMs: found.timeoutMs,
      require: found.require,
      imports: dev ? localImports(what.entry, resolveBare) : undefined,
    });
  } catch (thrown) {
    return json(500, loadFailure(thrown, root));
  }
}

/**
 * Have what a load and a first request need run once while nobody waits: the first run of loader,
 * compiler and server costs as much as loading a small function. The text is one that was never seen
 * before, so that no cache answers for the compiler.
 */
async function rehearse(req: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
  const text = "export default { fetch: (): Response => Response.json({ a: [1, " +
    `${JSON.stringify(crypto.randomUUID())}] }) };`;
  const url = URL.createObjectURL(new Blob([text], { type: "application/typescript" }));
  try {
    await req.text();
    readLoadRequest('{"name": "rehearsal", "root": "/", "entry": "/", "env": {}}');
    await import(new URL("rehearsal.ts", import.meta.url).href).catch(() => {}); /* not ours to read */
    const found = await findHandler(url, new Registry());
    if (!loading)
      return await serveOnce(found, req, info);
  } catch {
    /* then it is not rehearsed */
  } finally {
    URL.revokeObjectURL(url);
  }
  return json(200, {});
}

/** Answer one request by another function than what is loaded. It must not wait for anything. */
function serveOnce(
  found: Registered,
  req: Request,
  info: Deno.ServeHandlerInfo,
): Response | Promise<Response> {
  const url = rawUrl(req);
  serving = found;
  try {
    return serve(req, info, url, url.indexOf("/.") + 2); /* as if it had an id there */
  } finally {
    serving = null;
  }
}

function resolveBare(specifier: string): string | null {
  try {
    return import.meta.resolve(specifier);
  } catch {
    return null;
  }
}

// Starting and ending ----------------------------------------------------------------------------

function stop(server: Deno.HttpServer): void {
  dispatchEvent(new Event("beforeunload"));
  server.shutdown().then(() => background.idle()).then(() => exit(0));
}

/** User code has no way to its own host, unless everything is allowed anyway. */
function giveUpSocket(path: string): void {
  if (Deno.permissions.querySync({ name: "net" }).state !== "granted")
    Deno.permissions.revokeSync({ name: "net", host: `unix:${path}` });
}

function listen(): Deno.HttpServer {
  const onListen = () => {};
  if (socket === undefined)
    return Deno.serve({ port: Number(port), onListen }, dispatch) as Deno.HttpServer;
  const server = Deno.serve({ path: socket, onListen }, dispatch) as unknown as Deno.HttpServer;
  Deno.chmodSync(socket, 0o600);
  return server;
}

function start(): void {
  if (!/^[0-9a-f]{32}$/.test(token) || (socket === undefined && !(Number(port) > 0))) {
    log("error", "deno host: HEDDLE_HOST_TOKEN (32 hex digits) and HEDDLE_SOCKET or PORT must be " +
      "set: heddle starts this program, it is not started by hand");
    exit(EX_USAGE);
  }
  captureConsole(log, currentId);
  addEventListener("error", (event) => {
    event.preventDefault();
    logThrown(event.error ?? event.message, currentId());
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    logThrown(event.reason, currentId());
  });
  Object.defineProperty(globalThis, "EdgeRuntime", {
    value: { waitUntil: (promise: unknown) => background.waitUntil(promise) },
    configurable: true,
    writable: true,
    enumerable: true,
  });
  const ownEnv = Deno.env.get.bind(Deno.env);
  offer(createLanes(ownEnv, currentForLanes, sendToLanes), () => {
    lanesWanted = true;
  });
  patchRequest();
  const server = listen();
  if (socket !== undefined)
    giveUpSocket(socket);
  registry.install();
  Deno.addSignalListener("SIGTERM", () => stop(server));
}

start();
