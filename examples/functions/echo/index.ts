/** curl -d '{"a": 1}' http://127.0.0.1:3100/functions/v1/echo/some/path?q=1 */
import { json } from "../_shared/http.ts";

const SHOWN = ["accept", "content-type", "host", "user-agent", "x-forwarded-for", "x-request-id"];

Deno.serve(async (req) => {
  const url = new URL(req.url);
  const headers: Record<string, string> = {};
  for (const name of SHOWN) {
    const value = req.headers.get(name);
    if (value !== null)
      headers[name] = value;
  }
  return json({
    method: req.method,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers,
    body: await req.text(),
  });
});
