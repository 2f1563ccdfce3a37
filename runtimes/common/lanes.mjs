/* common/lanes.mjs - emit() and call() for functions in JavaScript (doc/lanes.md, "From a function").
 * Both are one request to the node's lanes; how it is sent is the host's business.
 *
 *   options ─► request ─► send() ─► 2xx: what came of it
 *                                └► LaneTypedError, LaneUnavailable, LaneTimeout, or LaneError */

const TIMEOUT_MS = 30_000;
const CONTENT_TYPES = { false: "application/json", true: "application/vnd.heddle.typed+json" };
const KNOWN_OPTIONS = ["timeoutMs", "contexts", "requestId", "traceparent", "typed", "signal"];

/** What emit() and call() reject with; the other three are kinds of it. */
export class LaneError extends Error {
  /** @param told  {code, status, retryable, cause} */
  constructor(message, told = {}) {
    super(message, told.cause === undefined ? undefined : { cause: told.cause });
    this.name = new.target.name;
    this.code = told.code ?? "UNKNOWN";
    this.status = told.status ?? 0;
    this.retryable = told.retryable === true;
  }
}

/** The task threw an error that `errors:` declares. */
export class LaneTypedError extends LaneError {
  constructor(message, told) {
    super(message, told);
    this.id = told.id;
    this.data = told.data ?? {};
    this.errorData = this.data; /* whoever throws it on passes it on */
    this.httpCode = told.httpCode;
  }
}

/** A queue, a peer or the node cannot be reached now: later may work. */
export class LaneUnavailable extends LaneError {}

/** There was no answer in time; what was asked for may have happened all the same. */
export class LaneTimeout extends LaneError {}

function failure(status, answer) {
  const error = answer?.error ?? {};
  const told = { ...error, status, retryable: answer?.retryable === true };
  const message = typeof error.message === "string" ? error.message : `the lanes answered ${status}`;
  if (typeof error.id === "string")
    return new LaneTypedError(message, told);
  if (error.code === "REQUEST_TIMEOUT")
    return new LaneTimeout(message, told);
  if (told.retryable || status === 503)
    return new LaneUnavailable(message, { ...told, retryable: true });
  return new LaneError(message, told);
}

function checkOptions(what, name, options) {
  if (typeof name !== "string" || name === "")
    throw new TypeError(`${what}(): the first argument must be the name of ${what === "emit" ? "an event" : "a task"}`);
  if (typeof options !== "object" || options === null)
    throw new TypeError(`${what}(): the third argument must be an object of options`);
  for (const key of Object.keys(options)) {
    if (!KNOWN_OPTIONS.includes(key))
      throw new TypeError(`${what}(): options.${key}: is not known; there are ${KNOWN_OPTIONS.join(", ")}`);
  }
  if (options.timeoutMs !== undefined && !(Number.isFinite(options.timeoutMs) && options.timeoutMs >= 1))
    throw new TypeError(`${what}(): options.timeoutMs: must be a number of milliseconds, 1 or more`);
  if (options.contexts !== undefined && (typeof options.contexts !== "object" || options.contexts === null ||
    Object.values(options.contexts).some((value) => typeof value !== "string")))
    throw new TypeError(`${what}(): options.contexts: must be an object of strings`);
}

function jsonOf(what, value) {
  if (value === undefined)
    return "";
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new TypeError(`${what}(): the second argument has no JSON form: ${error.message}`);
  }
  if (text === undefined)
    throw new TypeError(`${what}(): the second argument has no JSON form: it is a ${typeof value}`);
  return text;
}

/** Field values are Latin-1: what lies outside is escaped, which JSON allows. */
const ascii = (text) =>
  text.replace(/[^\x20-\x7e]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

/** The part of a client context that the lanes wrote, or {}. */
export function laneContext(field) {
  if (!field)
    return {};
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(field), (c) => c.charCodeAt(0))))?.heddle ?? {};
  } catch {
    return {}; /* not from the lanes */
  }
}

function fieldsOf(options, current, token) {
  const fields = {
    authorization: `Bearer ${token}`,
    "content-type": CONTENT_TYPES[options.typed === true],
  };
  const context = laneContext(current?.clientContext);
  const traceparent = options.traceparent ?? current?.traceparent;
  const id = options.requestId ?? context.requestId ?? current?.id;
  const contexts = { ...context.contexts, ...options.contexts };
  if (traceparent)
    fields.traceparent = traceparent;
  if (id)
    fields["x-runner-request-id"] = id;
  if (Object.keys(contexts).length > 0)
    fields["x-heddle-contexts"] = ascii(JSON.stringify(contexts));
  return fields;
}

/** A signal that ends with @p given, or after a time. The timer is let go by release(). */
function deadline(given, ms) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(deadline), ms);
  const onAbort = () => controller.abort(given.reason);
  if (given?.aborted)
    onAbort();
  else
    given?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    get late() {
      return controller.signal.reason === deadline;
    },
    release() {
      clearTimeout(timer);
      given?.removeEventListener("abort", onAbort);
    },
  };
}

/**
 * Make emit() and call().
 * @param env      tells a variable of the environment.
 * @param current  tells the invocation under way: {id, traceparent, clientContext, endMs} or undefined;
 *                 endMs is a time of performance.now().
 * @param send     async (url, {headers, body, signal}) => {status, text}; throws when there is none.
 */
export function createLanes(env, current, send) {
  async function ask(what, kind, name, value, options) {
    checkOptions(what, name, options);
    const body = jsonOf(what, value);
    const base = env("HEDDLE_LANES_URL");
    if (!base)
      throw new LaneError(`${what}(): there are no lanes here: heddle.yml of the node has no lanes: section`,
        { code: "LANES_NOT_CONFIGURED" });
    const now = current();
    const left = now?.endMs === undefined ? Infinity : Math.max(1, now.endMs - performance.now());
    const ms = Math.min(options.timeoutMs ?? TIMEOUT_MS, left);
    const until = deadline(options.signal, ms);
    let answer;
    try {
      answer = await send(`${base}/lanes/v1/${kind}/${encodeURIComponent(name)}`, {
        headers: fieldsOf(options, now, env("HEDDLE_LANES_TOKEN")),
        body,
        signal: until.signal,
      });
    } catch (error) {
      if (until.late)
        throw new LaneTimeout(`${what}("${name}"): no answer within ${Math.round(ms)} ms`, { code: "REQUEST_TIMEOUT" });
      if (options.signal?.aborted)
        throw options.signal.reason;
      throw new LaneUnavailable(`${what}("${name}"): the node's lanes cannot be reached: ${error.message}`,
        { code: "UNREACHABLE", retryable: true, cause: error });
    } finally {
      until.release();
    }
    let told;
    try {
      told = JSON.parse(answer.text);
    } catch (error) {
      throw new LaneError(`${what}("${name}"): the answer is no JSON`,
        { code: "INVALID_RESPONSE", status: answer.status, cause: error });
    }
    if (answer.status >= 300 || told?.ok !== true)
      throw failure(answer.status, told);
    return told;
  }
  return {
    async emit(event, data, options = {}) {
      const { ok: _, ...told } = await ask("emit", "events", event, data, options);
      return told;
    },
    async call(task, input, options = {}) {
      return (await ask("call", "tasks", task, input, options)).result;
    },
    LaneError,
    LaneTypedError,
    LaneUnavailable,
    LaneTimeout,
  };
}

/** Where the module "heddle" finds what it exports. */
export const EXPORTS = Symbol.for("heddle.function");

/** Let the module "heddle" export these; @p onTaken is called whenever somebody takes them. */
export function offer(lanes, onTaken = () => {}) {
  Object.freeze(lanes);
  Object.defineProperty(globalThis, EXPORTS, {
    get() {
      onTaken();
      return lanes;
    },
  });
}
