/* common/log.mjs - log records on stderr as doc/host-protocol.md says, and the console that writes
 * them. Runs in Deno and in Node. */
import { Console } from "node:console";
import { formatWithOptions, inspect } from "node:util";

export const LOG_MESSAGE_MAX = 8192;

/** The text of a thrown value: stack and causes of an error, else as the console shows it. */
export function describe(thrown) {
  try {
    return inspect(thrown, { colors: false });
  } catch {
    return "a value that cannot be shown was thrown";
  }
}

/** ANSI colours off: what runtimes put into messages when stderr looks like a terminal. */
export function plain(text) {
  // deno-lint-ignore no-control-regex
  return String(text).replace(/\x1b\[[0-9;]*m/g, "");
}

/**
 * Make log(level, text, id).
 * @param token  proves to the node that a line is a record.
 * @param write  takes one whole line; must not throw.
 */
export function createLog(token, write) {
  const start = `\x1e${token} `;
  return function log(level, text, id) {
    const msg = text.length > LOG_MESSAGE_MAX ? text.slice(0, LOG_MESSAGE_MAX) + "…" : text;
    const record = { id: id ?? null, level, msg: msg.toWellFormed?.() ?? msg, ts: Date.now() };
    write(start + JSON.stringify(record) + "\n");
  };
}

/**
 * Let what the console itself lays out (tables, timers, counters) go to write(level, text).
 * All of it ends in one of the runtime's own two streams.
 */
export function captureTables(write) {
  const sink = (level) => ({
    write(text) {
      write(level, plain(text).replace(/\n$/, ""));
      return true;
    },
    on() {},
    once() {},
    removeListener() {},
    listenerCount: () => 0,
  });
  const inner = new Console({
    stdout: sink("info"),
    stderr: sink("warn"),
    colorMode: false,
    ignoreErrors: true,
  });
  for (const name of ["table", "dir", "dirxml", "time", "timeEnd", "timeLog", "count", "countReset"])
    console[name] = inner[name].bind(inner);
}

/**
 * Make the global console write records.
 * @param log        from createLog().
 * @param currentId  tells the invocation that is running, or undefined.
 */
export function captureConsole(log, currentId) {
  captureTables((level, text) => log(level, text, currentId()));

  let indent = "";
  const levels = { debug: "debug", log: "info", info: "info", warn: "warn", error: "error" };
  for (const [name, level] of Object.entries(levels)) {
    console[name] = (...args) => {
      let text = formatWithOptions({ colors: false }, ...args);
      if (indent)
        text = indent + text.replaceAll("\n", "\n" + indent);
      log(level, text, currentId());
    };
  }
  console.trace = (...args) => {
    const at = new Error();
    at.name = "Trace";
    at.message = formatWithOptions({ colors: false }, ...args);
    Error.captureStackTrace?.(at, console.trace);
    log("debug", at.stack, currentId());
  };
  console.assert = (ok, ...args) => {
    if (!ok)
      console.error(...(args.length ? ["Assertion failed:", ...args] : ["Assertion failed"]));
  };
  console.group = (...args) => {
    if (args.length)
      console.log(...args);
    indent += "  ";
  };
  console.groupCollapsed = console.group;
  console.groupEnd = () => {
    indent = indent.slice(2);
  };
}
