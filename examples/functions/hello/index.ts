/** curl 'http://127.0.0.1:3100/functions/v1/hello?name=Ada' */
import { json, readJson } from "../_shared/http.ts";

Deno.serve(async (req) => {
  let name = new URL(req.url).searchParams.get("name");
  if (name === null && req.method === "POST") {
    try {
      const body = await readJson(req) as { name?: unknown } | null | undefined;
      if (typeof body?.name === "string")
        name = body.name;
    } catch {
      return json({ error: 'The body must be JSON, like {"name": "Ada"}' }, 400);
    }
  }
  return json({ message: `Hello ${name ?? "world"}!`, at: new Date().toISOString() });
});
