/* deno/events.ts - events for functions that answer HTTP: the event is the body of a POST, and what is
 * answered becomes the result (doc/host-protocol.md, "Events"). */
import { ANSWER_MAX_BYTES, faultBody, httpFault, tooLarge } from "../common/faults.mjs";
import { rawHeaders } from "./request.ts";

const JSON_TYPE = "application/json";

/** How the caller wants the answer of an event, or null: it is none. */
export function eventMode(req: Request): string | null {
  return rawHeaders(req).get("x-heddle-event");
}

/** The request that the function sees. */
function asPost(req: Request): Request {
  const headers = new Headers();
  for (const [name, value] of req.headers)
    headers.append(name, value);
  if (!headers.has("content-type"))
    headers.set("content-type", JSON_TYPE);
  return new Request(req.url, { method: "POST", headers, body: req.body, signal: req.signal });
}

function fault(body: unknown): Response {
  return new Response(JSON.stringify(body), {
    headers: { "content-type": JSON_TYPE, "x-heddle-function-error": "Unhandled" },
  });
}

/**
 * Answer an event.
 * @param call  gives the function's answer to a request, and throws what it throws.
 * @param onError  is told what was thrown.
 */
export async function answerEvent(
  req: Request,
  call: (req: Request) => Promise<Response>,
  onError: (thrown: unknown) => void,
): Promise<Response> {
  const mode = eventMode(req); /* while it can still be seen */
  try {
    const answer = await call(asPost(req));
    const type = answer.headers.get("content-type");
    if (answer.status < 400 && mode === "stream" && answer.body !== null)
      return new Response(answer.body, {
        headers: { "x-heddle-stream": "1", "content-type": type ?? "application/octet-stream" },
      });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (answer.status >= 400)
      return fault(httpFault(answer.status, bytes, type ?? undefined));
    if (bytes.length > ANSWER_MAX_BYTES)
      return fault(tooLarge(ANSWER_MAX_BYTES));
    return new Response(bytes, { headers: { "content-type": JSON_TYPE } });
  } catch (thrown) {
    onError(thrown);
    return fault(faultBody(thrown));
  }
}
