/** A WebSocket room for everybody who is in this instance: ws://127.0.0.1:3100/functions/v1/chat */

const room = new Set<WebSocket>();

function say(text: string): void {
  for (const socket of room) {
    if (socket.readyState === WebSocket.OPEN)
      socket.send(text);
  }
}

Deno.serve((req) => {
  if (req.headers.get("upgrade")?.toLowerCase() !== "websocket")
    return new Response("This is a WebSocket: connect to it with a ws:// URL\n", { status: 426 });

  const { socket, response } = Deno.upgradeWebSocket(req);
  const name = new URL(req.url).searchParams.get("name") ?? "somebody";
  socket.onopen = () => {
    room.add(socket);
    socket.send(`welcome, ${name}`);
  };
  socket.onmessage = (event) => say(`${name}: ${event.data}`);
  socket.onclose = () => {
    room.delete(socket);
    console.log(`${name} left, ${room.size} in the room`);
  };
  return response;
});
