/** The same with Node.js: curl 'http://127.0.0.1:3100/functions/v1/hello-node?name=Ada' */

export default {
  fetch(req) {
    const name = new URL(req.url).searchParams.get("name") ?? "world";
    return Response.json({ message: `Hello ${name}!`, node: process.versions.node });
  },
};
