/* node/forward.mjs - events for functions of the functions folder: a handler of Lambda's form gets the
 * event as it is, one that answers HTTP gets it as a POST, and what it answers becomes the result. */
import { ANSWER_MAX_BYTES, httpFault, resultText, tooLarge } from "../common/faults.mjs";
import { writeFault, writeResult } from "./answers.mjs";
import { callHandler } from "./lambda.mjs";
import { readBody } from "./request.mjs";

const EVENT_MAX_BYTES = 64 * 1024 * 1024; /* the node's limits are lower */
const REPLACED = ["writeHead", "flushHeaders", "write", "end"];

/** Call a handler(event, context). @throws what it throws, with nothing answered. */
export async function forwardEvent(handler, message, res, info) {
  const bytes = await readBody(message, EVENT_MAX_BYTES);
  if (bytes === null)
    throw new Error(`the event is longer than ${EVENT_MAX_BYTES} bytes`);
  const event = bytes.length === 0 ? {} : JSON.parse(bytes.toString());
  writeResult(res, resultText(await callHandler(handler, event, info)), ANSWER_MAX_BYTES);
}

function valueOf(fields, wanted) {
  if (!Array.isArray(fields))
    fields = Object.entries(fields ?? {});
  const flat = fields.flat();
  for (let i = 0; i < flat.length; i += 2) {
    if (String(flat[i]).toLowerCase() === wanted)
      return String(flat[i + 1]);
  }
  return undefined;
}

/**
 * Let what a handler answers on @p res become the answer of an event.
 * @param mode  "stream": what is written before the end goes out as it comes.
 */
export function turnIntoResult(res, mode) {
  const parts = [];
  let bytes = 0;
  let type;
  const restore = () => {
    for (const name of REPLACED)
      delete res[name];
    type ??= res.getHeader("content-type");
    for (const name of res.getHeaderNames())
      res.removeHeader(name);
    res.statusMessage = undefined;
  };
  const keep = (chunk, encoding) => {
    if (chunk === undefined || chunk === null || typeof chunk === "function")
      return;
    const part = typeof chunk === "string"
      ? Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8")
      : Buffer.from(chunk);
    bytes += part.length;
    if (bytes <= ANSWER_MAX_BYTES)
      parts.push(part);
  };
  const calledBack = (...args) => {
    const callback = args.find((arg) => typeof arg === "function");
    if (callback)
      queueMicrotask(callback);
  };

  res.writeHead = (status, ...rest) => {
    res.statusCode = status;
    type ??= valueOf(rest.at(-1), "content-type");
    return res;
  };
  res.flushHeaders = () => {};
  res.write = (chunk, encoding, callback) => {
    if (mode === "stream" && res.statusCode < 400) {
      restore();
      res.writeHead(200, ["x-heddle-stream", "1", "content-type",
        String(type ?? "application/octet-stream")]);
      return res.write(chunk, encoding, callback);
    }
    keep(chunk, encoding);
    calledBack(encoding, callback);
    return true;
  };
  res.end = (chunk, encoding, callback) => {
    keep(chunk, encoding);
    restore();
    const status = res.statusCode;
    const body = Buffer.concat(parts);
    if (status >= 400)
      writeFault(res, httpFault(status, body, type));
    else if (bytes > ANSWER_MAX_BYTES)
      writeFault(res, tooLarge(ANSWER_MAX_BYTES));
    else
      writeResult(res, body, ANSWER_MAX_BYTES);
    calledBack(chunk, encoding, callback);
    return res;
  };
  return restore;
}

/** An event says what it is, whoever sent it. */
export function sayJson(message) {
  if (message.headers["content-type"] === undefined) {
    message.headers["content-type"] = "application/json";
    message.rawHeaders.push("Content-Type", "application/json");
  }
}
