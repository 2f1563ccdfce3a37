/* node/host.mjs - runs one function in Node.js and speaks doc/host-protocol.md.
 *
 *   start ──► listen, nothing loaded ──POST /.heddle/load──► serving ──SIGTERM──► drained, exit 0
 *                                              └── failed: answers why; the node ends us
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { chmodSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { faultBody } from "../common/faults.mjs";
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
import { writeFault } from "./answers.mjs";
import { Events } from "./events.mjs";
import { findHandler } from "./find.mjs";
import { forwardEvent, sayJson, turnIntoResult } from "./forward.mjs";
import { answerLambda } from "./lambda.mjs";
import { loadLambda } from "./lambdaload.mjs";
import { createSender } from "./lanes.mjs";
import { offerModules } from "./modules.mjs";
import { PATH as REHEARSAL, rehearse } from "./rehearse.mjs";
import { makeRequest, patchRequest, readBody } from "./request.mjs";
import { patchResponse, sendResponse } from "./response.mjs";

const EX_USAGE = 64;
const LOAD_MAX_BYTES = 4 * 1024 * 1024;
const HEAD_MAX_BYTES = 128 * 1024; /* more than the node lets through */
const CLOSE_IDLE_MS = 20;
const IDLE_MS = 50; /* nobody came until then: a host that is kept ready */
const WRITE_TRIES = 1000;

const socket = process.env.HEDDLE_SOCKET;
const port = process.env.PORT;
const token = process.env.HEDDLE_HOST_TOKEN ?? "";
for (const name of ["HEDDLE_HOST_TOKEN", "HEDDLE_SOCKET", "PORT"])
  delete process.env[name];

const exit = process.exit.bind(process);
const log = createLog(token, (line) => {
  const bytes = Buffer.from(line);
  for (let done = 0, tries = 0; done < bytes.length && tries < WRITE_TRIES; tries++) {
    try {
      done += writeSync(2, bytes, done);
    } catch (error) {
      if (error.code !== "EAGAIN") /* nobody reads any more: the node is gone, and we with it */
        return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
});

const invocation = new AsyncLocalStorage();
const currentId = () => (events.loaded ? events.id : invocation.getStore()?.id);
const logThrown = (thrown, id) => log("error", plain(describe(thrown)), id);
const background = createBackground(logThrown, currentId);

let rehearsal = null;
let loading = false;
let what = null; /* the load request */
let serving = null; /* what findHandler() found */

function json(res, status, body) {
  const text = JSON.stringify(body);
  res.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  res.end(text);
}

// Answering --------------------------------------------------------------------------------------

/** Take the protocol's fields out of a message, so that user code does not see them. */
function takeFields(message) {
  const { headers, rawHeaders } = message;
  const taken = { id: "", auth: null, deadline: null, token: null };
  const rest = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name.length > 9 && (name[0] === "x" || name[0] === "X")) {
      const lower = name.toLowerCase();
      if (lower.startsWith("x-heddle-")) {
        taken[lower.slice(9)] = rawHeaders[i + 1];
        delete headers[lower];
        continue;
      }
    }
    rest.push(name, rawHeaders[i + 1]);
  }
  message.rawHeaders = rest;
  taken.traceparent = headers.traceparent;
  return taken;
}

/** The invocation under way, as emit() and call() want to know it. */
function currentForLanes() {
  if (events.loaded)
    return events.current;
  const fields = invocation.getStore();
  return fields && {
    id: fields.id,
    traceparent: fields.traceparent,
    clientContext: fields["client-context"],
    endMs: fields.endMs,
  };
}

function failed(thrown, res) {
  logThrown(thrown, currentId());
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  const text = failureBody(what.dev === true, thrown);
  for (const name of res.getHeaderNames())
    res.removeHeader(name);
  res.writeHead(500, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "x-heddle-error": "unhandled",
  });
  res.end(text);
}

function clientUrl(message) {
  const scheme = message.headers["x-forwarded-proto"] === "https" ? "https" : "http";
  return `${scheme}://${message.headers.host ?? "localhost"}${message.url}`;
}

async function answerFetch(message, res) {
  const response = await serving.handler(makeRequest(message, res, clientUrl(message)));
  if (!(response instanceof Response))
    throw new TypeError(`the handler returned ${describe(response)} instead of a Response`);
  await sendResponse(response, message, res);
}

const decoded = (field) =>
  field === undefined ? undefined : JSON.parse(Buffer.from(field, "base64").toString());

function lambdaInfo(message, fields) {
  return {
    name: what.name,
    id: fields.id,
    version: what.version ?? "",
    memoryMB: what.memoryMB ?? 0,
    deadlineMs: Number(fields.deadline ?? what.timeoutMs ?? 0),
    auth: readAuth(fields.auth, message.headers.authorization ?? null),
    clientContext: decoded(fields["client-context"]),
  };
}

async function answer(message, res, fields) {
  try {
    if (serving.kind === "fetch")
      await answerFetch(message, res);
    else if (serving.kind === "node-http")
      await serving.handler(message, res);
    else
      await answerLambda(serving.handler, message, res, lambdaInfo(message, fields));
  } catch (thrown) {
    failed(thrown, res);
  }
}

/** An event for a function of the functions folder. */
async function answerEvent(message, res, fields) {
  let restore = () => {};
  try {
    if (serving.kind === "lambda") {
      await forwardEvent(serving.handler, message, res, lambdaInfo(message, fields));
      return;
    }
    sayJson(message);
    restore = turnIntoResult(res, fields.event);
    if (serving.kind === "fetch")
      await answerFetch(message, res);
    else
      await serving.handler(message, res);
  } catch (thrown) {
    logThrown(thrown, fields.id);
    if (res.headersSent || res.destroyed) {
      res.destroy();
      return;
    }
    restore();
    writeFault(res, faultBody(thrown));
  }
}

function dispatch(message, res) {
  if (events.loaded && message.url === "/" && message.headers["x-heddle-event"] !== undefined) {
    events.accept(message, res);
    return;
  }
  const fields = takeFields(message);
  if (message.url.charCodeAt(1) === 46)
    control(message, res, fields.token);
  else if (events.loaded)
    json(res, 400, { error: "A Lambda function takes events only: POST / with x-heddle-event" });
  else if (serving === null)
    json(res, 503, { error: "Nothing is loaded yet" });
  else {
    if (fields.deadline !== null)
      fields.endMs = performance.now() + Number(fields.deadline);
    invocation.run(fields, fields.event === undefined ? answer : answerEvent, message, res, fields);
  }
}

// Control ----------------------------------------------------------------------------------------

async function control(message, res, given) {
  if (!sameToken(given, token))
    return json(res, 403, { error: "Wrong or missing x-heddle-token" });
  switch (`${message.method} ${message.url}`) {
    case "POST /.heddle/load":
      return await load(message, res);
    case "GET /.heddle/ping":
      return json(res, 200, { background: background.count });
    case "POST /.heddle/drain":
      await background.idle();
      return json(res, 200, {});
    case `POST ${REHEARSAL}`:
      if (rehearsal !== null)
        return await rehearsal(message, res);
      /* falls through */
    default:
      return json(res, 404, { error: `No control request ${message.method} ${message.url}` });
  }
}

async function load(message, res) {
  if (loading)
    return json(res, 409, { ok: false, message: "load: came before; a host loads one function" });
  loading = true;
  try {
    const body = await readBody(message, LOAD_MAX_BYTES);
    if (body === null)
      throw new Error(`load request: more than ${LOAD_MAX_BYTES} bytes`);
    what = readLoadRequest(body.toString());
    if (what.lambda) {
      json(res, 200, await loadLambda(what, events, log, exit));
      return;
    }
    Object.assign(process.env, what.env);
    process.argv = [process.argv[0], what.entry, ...(what.argv ?? [])];

    const found = await findHandler(what.entry, what.handler);
    if (found.upgrade)
      server.on("upgrade", upgrade);
    serving = found;
    json(res, 200, {
      ok: true,
      kind: found.kind,
      concurrency: found.kind === "lambda" ? 1 : undefined,
      imports: what.dev ? localImports(what.entry, () => null) : undefined,
    });
  } catch (thrown) {
    json(res, 500, loadFailure(thrown, what?.root));
  }
}

function upgrade(message, duplex, head) {
  const fields = takeFields(message);
  const { id } = fields;
  duplex.on("error", () => {}); /* the client broke off: its 'close' follows */
  invocation.run(fields, async () => {
    try {
      await serving.upgrade(message, duplex, head);
    } catch (thrown) {
      logThrown(thrown, id);
      duplex.destroy();
    }
  });
}

// Starting and ending ----------------------------------------------------------------------------

const server = createServer({
  keepAliveTimeout: 0, /* the node decides how long it keeps a connection */
  headersTimeout: 0,
  requestTimeout: 0,
  connectionsCheckingInterval: 60_000,
  maxHeaderSize: HEAD_MAX_BYTES,
});

const events = new Events(server, exit);

function stop() {
  const timer = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_MS).unref();
  server.close(async () => {
    clearInterval(timer);
    await background.idle();
    exit(0);
  });
  server.closeIdleConnections();
}

if (!/^[0-9a-f]{32}$/.test(token) || (socket === undefined && !(Number(port) > 0))) {
  log("error", "node host: HEDDLE_HOST_TOKEN (32 hex digits) and HEDDLE_SOCKET or PORT must be " +
    "set: heddle starts this program, it is not started by hand");
  exit(EX_USAGE);
}
captureConsole(log, currentId);
process.on("uncaughtException", (thrown) => logThrown(thrown, currentId()));
process.on("unhandledRejection", (thrown) => logThrown(thrown, currentId()));
process.removeAllListeners("warning"); /* Node's own writes to stderr, without an id */
process.on("warning", (warning) => log("warn", plain(String(warning)), currentId()));
process.once("SIGTERM", stop);
globalThis.EdgeRuntime = { waitUntil: (promise) => background.waitUntil(promise) };
offer(createLanes((name) => process.env[name], currentForLanes, createSender()));
offerModules();
patchRequest();
patchResponse();
server.on("request", dispatch);
server.on("clientError", (_error, duplex) => {
  if (duplex.writable && !duplex.destroyed)
    duplex.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
});
if (socket !== undefined)
  server.listen(socket, () => chmodSync(socket, 0o600));
else
  server.listen(Number(port));
setTimeout(() => {
  if (!loading)
    rehearsal = rehearse(socket ?? Number(port), token);
}, IDLE_MS).unref();
