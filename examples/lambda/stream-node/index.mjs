/* A Lambda function that streams: handler "index.handler", runtime nodejs20.x. Called through a function
 * URL it answers with the status and fields of its prelude. */
import { setTimeout } from "node:timers/promises";

export const handler = awslambda.streamifyResponse(async (event, stream) => {
  const out = awslambda.HttpResponseStream.from(stream, {
    statusCode: 200,
    headers: { "content-type": "text/event-stream" },
  });
  const count = Number(event.queryStringParameters?.n ?? event.n ?? 5);
  for (let i = 1; i <= count; i++) {
    out.write(`id: ${i}\ndata: {"tick":${i},"of":${count}}\n\n`);
    await setTimeout(event.ms ?? 100);
  }
  out.end();
});
