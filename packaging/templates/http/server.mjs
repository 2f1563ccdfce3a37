// {{name}}: an HTTP server of its own. heddle says where to listen: HEDDLE_SOCKET, or else PORT.
import { createServer } from "node:http";

const server = createServer((request, response) => {
  const name = new URL(request.url, "http://localhost").searchParams.get("name");
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ message: `Hello ${name ?? "world"}!` }));
});
server.listen(process.env.HEDDLE_SOCKET ?? Number(process.env.PORT));
process.on("SIGTERM", () => server.close());
