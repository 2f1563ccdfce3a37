/* node/answers.mjs - answers of events, as doc/host-protocol.md wants them. */
import { tooLarge } from "../common/faults.mjs";

/** Answer an event with a result, a string or a buffer, in one write. Too much of it is a fault. */
export function writeResult(res, result, maxBytes) {
  const bytes = Buffer.byteLength(result);
  if (bytes > maxBytes) {
    writeFault(res, tooLarge(maxBytes));
    return;
  }
  res.sendDate = false;
  res.writeHead(200, ["content-type", "application/json", "content-length", String(bytes)]);
  res.end(result);
}

/**
 * Answer an event with a function error.
 * @param onWritten  the instance ends itself when this is called; undefined: it goes on.
 */
export function writeFault(res, body, onWritten) {
  const text = JSON.stringify(body);
  const fields = ["content-type", "application/json", "content-length",
    String(Buffer.byteLength(text)), "x-heddle-function-error", "Unhandled"];
  if (onWritten !== undefined)
    fields.push("x-heddle-exit", "1");
  res.sendDate = false;
  res.writeHead(200, fields);
  whenWritten(res, onWritten);
  res.end(text);
}

/** Call a function, if it is one, when an answer that is about to end is out, or its reader gone. */
export function whenWritten(res, onWritten) {
  if (onWritten !== undefined && res.destroyed)
    onWritten();
  else if (onWritten !== undefined)
    res.once("close", onWritten);
}
