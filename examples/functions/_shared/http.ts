/** What the examples share. A folder whose name begins with `_` is no function. */

export function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body) + "\n", {
    status,
    headers: { "content-type": "application/json" },
  });
}

/** The body as JSON; undefined when there is none. Throws SyntaxError when it is something else. */
export async function readJson(req: Request): Promise<unknown> {
  const text = await req.text();
  return text === "" ? undefined : JSON.parse(text);
}
