// What Node's HTTP server makes of bytes, for test_parser_differential.py: the same lines as
// parsers.c reads and writes, one result for each case. Each case has a connection of its own.
import http from "node:http";
import net from "node:net";
import readline from "node:readline";

const DEADLINE_MS = 10_000;
const connections = new Map(); // the client's port: what the server saw
const hex = (bytes, encoding = "latin1") => Buffer.from(bytes, encoding).toString("hex");

function note(req, keepAlive) {
  const seen = connections.get(req.socket.remotePort);
  const message = { req, keepAlive, body: [], complete: false };
  seen?.messages.push(message);
  return message;
}

function onRequest(req, res) {
  const message = note(req, res.shouldKeepAlive);
  req.on("data", (bytes) => message.body.push(bytes));
  req.on("end", () => {
    message.complete = true;
    if (!res.writableEnded) res.end();
  });
  req.on("error", () => {});
}

const server = http.createServer({ insecureHTTPParser: false }, onRequest);
server.on("checkExpectation", onRequest);
server.on("clientError", (error, socket) => {
  const seen = connections.get(socket.remotePort);
  if (seen) seen.error ??= error.code ?? "unknown";
  socket.destroy();
});
for (const event of ["upgrade", "connect"]) {
  server.on(event, (req, socket) => {
    note(req, true).complete = true;
    const seen = connections.get(socket.remotePort);
    if (seen) seen.upgraded = true;
    socket.destroy();
  });
}

function result(seen) {
  const last = seen.messages.at(-1);
  let end = "done";
  if (seen.upgraded) end = "upgrade";
  else if (seen.error === "HPE_INVALID_EOF_STATE" || (seen.error === "ECONNRESET")) end = "more";
  else if (last?.complete && !last.keepAlive) end = "close";
  else if (seen.error) end = "error";
  else if (last && !last.complete) end = "more";
  const messages = seen.messages.map(({ req, keepAlive, body, complete }) => ({
    method: hex(req.method),
    target: hex(req.url),
    fields: Array.from({ length: req.rawHeaders.length / 2 }, (_, i) =>
      [hex(req.rawHeaders[2 * i]), hex(req.rawHeaders[2 * i + 1])]),
    body: Buffer.concat(body).toString("hex"),
    complete,
    keep_alive: keepAlive,
  }));
  return { messages, end, error: end === "error" ? seen.error : "" };
}

function feed(bytes, port) {
  return new Promise((resolve) => {
    const seen = { messages: [] };
    let own;
    const client = net.connect({ port, host: "127.0.0.1" }, () => {
      own = client.localPort;
      connections.set(own, seen);
      client.end(bytes);
    });
    client.setTimeout(DEADLINE_MS, () => {
      seen.error = "no end within the deadline";
      client.destroy();
    });
    client.on("data", () => {});
    client.on("error", () => {});
    client.on("close", () => {
      connections.delete(own);
      resolve(result(seen));
    });
  });
}

server.listen(0, "127.0.0.1", async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await feed(Buffer.from(line, "hex"), server.address().port)));
  }
  server.close();
});
