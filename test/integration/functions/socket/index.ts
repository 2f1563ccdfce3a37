// A WebSocket that sends back what it gets.
Deno.serve((req) => {
  if (req.headers.get("upgrade") !== "websocket") {
    return new Response("expected a WebSocket", { status: 426 });
  }
  const { socket, response } = Deno.upgradeWebSocket(req);
  socket.onmessage = (event) => socket.send(event.data);
  return response;
});
