/* common/faults.mjs - what went wrong in a function, as the caller and the log get it: AWS's shapes;
 * and what a result may be. Runs in Deno and in Node. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { types } from "node:util";

const OURS = dirname(dirname(fileURLToPath(import.meta.url)));

/** A mistake that the runtime itself finds: "Runtime.HandlerNotFound" and its kin. */
export class RuntimeFault extends Error {
  /** @param cause  what was thrown; the trace is its own. */
  constructor(kind, message, cause) {
    super(message);
    this.name = `Runtime.${kind}`;
    const frames = typeof cause?.stack === "string" ? "\n" + cause.stack : "";
    Object.defineProperty(this, "stack", { value: `${this.name}: ${message}${frames}` });
  }
}

function isError(thrown) {
  return types.isNativeError(thrown) || (typeof thrown?.name === "string" &&
    typeof thrown.message === "string" && typeof thrown.stack === "string");
}

/** Lines of a stack, without those of the host. */
function frames(stack) {
  return String(stack ?? "").split("\n").filter((line) => !line.includes(OURS));
}

const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** The body of an answer for what was thrown: {errorType, errorMessage, trace}. */
export function faultBody(thrown) {
  try {
    if (isError(thrown)) {
      const fault = { errorType: thrown.name, errorMessage: thrown.message, trace: frames(thrown.stack) };
      /* what a typed error of a lane tells its caller */
      return isRecord(thrown.errorData) ? { ...fault, errorData: thrown.errorData } : fault;
    }
    return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
  } catch {
    return {
      errorType: "handled",
      errorMessage: "the handler failed with a value whose name, message and stack cannot be read",
    };
  }
}

function visible(_key, value) {
  if (!(value instanceof Error))
    return value;
  const seen = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  delete seen.name;
  return { ...seen, stack: frames(value.stack) };
}

/** The same for a log line, on one line, with the error's own properties. */
export function faultLine(thrown) {
  try {
    return JSON.stringify(thrown instanceof Error ? thrown : new Error(String(thrown)), visible);
  } catch {
    return JSON.stringify(faultBody(thrown));
  }
}

/** Name, message and stack of an error inside a log record of the JSON format. */
export function faultRecord(error) {
  return {
    errorType: error?.constructor?.name ?? "UnknownError",
    errorMessage: error.message,
    stackTrace: frames(error.stack),
  };
}

// Results ---------------------------------------------------------------------------------------

/** What Lambda takes of a buffered result. */
export const ANSWER_MAX_BYTES = 6 * 1024 * 1024 + 100;

/** The function error of a result that is longer. */
export function tooLarge(maxBytes) {
  return {
    errorType: "Function.ResponseSizeTooLarge",
    errorMessage: `Response payload size exceeded maximum allowed payload size (${maxBytes} bytes).`,
  };
}

/**
 * A result as the JSON text that the caller gets; what is undefined is null.
 * @throws Error: it has no JSON form.
 */
export function resultText(result) {
  let text;
  try {
    text = JSON.stringify(result === undefined ? null : result);
  } catch (error) {
    throw new Error(`Unable to stringify response body: ${error.message}`);
  }
  if (text === undefined)
    throw new Error(`Unable to stringify response body: a ${typeof result} has no JSON form`);
  return text;
}

/** The function error of an HTTP answer with a status of 400 or more. */
export function httpFault(status, bytes, type) {
  return { errorType: "HttpError", errorMessage: `status ${status}`, status, body: bodyOf(bytes, type) };
}

function bodyOf(bytes, type) {
  const text = new TextDecoder().decode(bytes);
  if (/^application\/([\w.-]+\+)?json\b/i.test(type ?? "")) {
    try {
      return JSON.parse(text);
    } catch { /* it says that it is JSON, and is not */
      return text;
    }
  }
  return text;
}
