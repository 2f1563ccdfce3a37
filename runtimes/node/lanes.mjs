/* node/lanes.mjs - how emit() and call() reach the node from Node.js: by connections that stay open and
 * do not keep the event loop alive while nobody waits. */
import { Agent, request } from "node:http";

const SOCKETS_MAX = 256;
const SOCKETS_KEPT = 32;
const IDLE_MS = 60_000; /* the node waits longer, so it is never the one that hangs up */

/** @return send() for createLanes(). */
export function createSender() {
  let agent = null;
  return (url, { headers, body, signal }) => new Promise((resolve, reject) => {
    agent ??= new Agent({
      keepAlive: true,
      maxSockets: SOCKETS_MAX,
      maxFreeSockets: SOCKETS_KEPT,
      scheduling: "lifo",
      timeout: IDLE_MS,
    });
    const bytes = Buffer.from(body);
    const asked = request(url, {
      agent,
      method: "POST",
      headers: { ...headers, "content-length": bytes.length },
      signal,
    }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, text: Buffer.concat(parts).toString() }));
    });
    asked.on("error", reject);
    asked.end(bytes);
  });
}
