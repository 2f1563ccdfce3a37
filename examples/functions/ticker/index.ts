/** Server-sent events, as they happen: curl -N 'http://127.0.0.1:3100/functions/v1/ticker?n=5' */

const MOST = 1000;

Deno.serve((req) => {
  const params = new URL(req.url).searchParams;
  const count = Math.min(Number(params.get("n") ?? 10) || 10, MOST);
  const everyMs = Math.max(Number(params.get("ms") ?? 1000) || 1000, 1);

  let timer: number | undefined;
  let sent = 0;
  const events = new ReadableStream<string>({
    start(controller) {
      timer = setInterval(() => {
        controller.enqueue(`id: ${++sent}\ndata: ${JSON.stringify({ tick: sent, of: count })}\n\n`);
        if (sent >= count) {
          clearInterval(timer);
          controller.close();
        }
      }, everyMs);
    },
    cancel() {
      clearInterval(timer);
      console.log(`the client left after ${sent} of ${count} ticks`);
    },
  });
  return new Response(events.pipeThrough(new TextEncoderStream()), {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
});
