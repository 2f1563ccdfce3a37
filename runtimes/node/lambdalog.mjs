/* node/lambdalog.mjs - the console of a Lambda function. Each message is one log line, in AWS's text
 * format ("time, request id, level, message" with tabs between) or as a JSON object; a line goes out as
 * a record, or several when it is longer than a record may be. */
import { formatWithOptions } from "node:util";
import { faultLine, faultRecord } from "../common/faults.mjs";
import { captureTables, LOG_MESSAGE_MAX } from "../common/log.mjs";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const RECORD_LEVEL = {
  TRACE: "debug",
  DEBUG: "debug",
  INFO: "info",
  WARN: "warn",
  ERROR: "error",
  FATAL: "error",
};
const METHODS = {
  trace: "TRACE",
  debug: "DEBUG",
  log: "INFO",
  info: "INFO",
  warn: "WARN",
  error: "ERROR",
  fatal: "FATAL",
};
const UTF8_MOST = 3; /* bytes of one UTF-16 unit */

const format = (args) => formatWithOptions({ colors: false }, ...args);
const withErrors = (_key, value) =>
  value instanceof Error ? { ...faultRecord(value), ...value } : value;

function jsonLine(level, id, args) {
  const line = { timestamp: new Date().toISOString(), level, requestId: id };
  if (args.length === 1) {
    try {
      return JSON.stringify({ ...line, message: args[0] }, withErrors);
    } catch { /* a circle, or a BigInt: as text */
      return JSON.stringify({ ...line, message: format(args) });
    }
  }
  const error = args.find((arg) => arg instanceof Error);
  return JSON.stringify({ ...line, message: format(args), ...(error && faultRecord(error)) });
}

function textLine(level, id, args) {
  return `${new Date().toISOString()}\t${id}\t${level}\t${format(args)}`.replaceAll("\n", "\r");
}

/** Write a line as records that the node takes whole. */
function writeWhole(log, level, line, id) {
  if (Buffer.byteLength(line) <= LOG_MESSAGE_MAX) {
    log(level, line, id);
    return;
  }
  const step = Buffer.byteLength(line) === line.length
    ? LOG_MESSAGE_MAX
    : Math.floor(LOG_MESSAGE_MAX / UTF8_MOST);
  for (let at = 0; at < line.length;) {
    let end = at + step;
    if (end < line.length && (line.charCodeAt(end) & 0xfc00) === 0xdc00)
      end--; /* not between the two halves of a character */
    log(level, line.slice(at, end), id);
    at = end;
  }
}

/**
 * Make the global console write such lines.
 * @param log        from createLog().
 * @param currentId  tells the request id, or undefined: none is running yet.
 * @param env        AWS_LAMBDA_LOG_FORMAT, AWS_LAMBDA_LOG_LEVEL.
 * @return fault(title, thrown): logs an error that nobody caught.
 */
export function captureLambdaConsole(log, currentId, env) {
  const json = env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";
  const line = json ? jsonLine : textLine;
  const lowest = Math.max(0, LEVELS.indexOf(env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
  const write = (level, args) => {
    const id = currentId();
    writeWhole(log, RECORD_LEVEL[level], line(level, id, args), id);
  };
  const writer = (level) =>
    LEVELS.indexOf(level) < lowest ? () => {} : (...args) => write(level, args);

  captureTables((level, text) => writer(level.toUpperCase())(text));
  for (const [method, level] of Object.entries(METHODS))
    console[method] = writer(level);
  console.assert = (ok, ...args) => {
    if (!ok)
      console.warn(...(args.length ? ["Assertion failed:", ...args] : ["Assertion failed"]));
  };
  console.group = (...args) => {
    if (args.length)
      console.log(...args);
  };
  console.groupCollapsed = console.group;
  console.groupEnd = () => {};

  return (title, thrown) => {
    if (json)
      write("ERROR", [thrown instanceof Error ? thrown : new Error(String(thrown))]);
    else
      write("ERROR", [title, "\t" + faultLine(thrown)]);
  };
}
