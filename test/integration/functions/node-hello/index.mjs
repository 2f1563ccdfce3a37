export default {
  fetch(request) {
    return Response.json({ runtime: "node", path: new URL(request.url).pathname });
  },
};
