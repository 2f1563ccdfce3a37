/* node/rehearse.mjs - has the code that a load and a first event take run once while nobody waits: their
 * first run costs as much as loading a small function. */
import { connect } from "node:net";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Events } from "./events.mjs";
import { locateHandler } from "./locate.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
export const PATH = "/.heddle/rehearsal";

/**
 * Send the host an event for a function that gives it back.
 * @param at     path of the host's socket, or its port.
 * @param token  opens control requests.
 * @return what answers the request for PATH that arrives then.
 */
export function rehearse(at, token) {
  const stage = new Events({ on() {}, ref() {}, unref() {} }, () => {});
  const located = locateHandler(HERE, "rehearsal.handler");
  const body = '{"a":[1,"b"]}';
  const socket = connect(at, () => socket.write(`POST ${PATH} HTTP/1.1\r\nHost: localhost\r\n` +
    `x-heddle-token: ${token}\r\nx-heddle-event: buffered\r\nx-heddle-id: rehearsal\r\n` +
    `x-heddle-deadline: 1000\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
  socket.on("data", () => socket.destroy());
  socket.on("error", () => {}); /* then it is not rehearsed */
  return async (message, res) => {
    stage.start({ lambda: {} }, await located, undefined, () => {});
    stage.accept(message, res);
  };
}
