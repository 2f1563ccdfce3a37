"""Sources of functions that several files of tests need."""

import json

OPEN = '{ "verify_jwt": false }\n'


def manifest(**settings):
    """A manifest of a public function with these settings as well."""
    return json.dumps({"verify_jwt": False, **settings}) + "\n"


# The way functions register themselves in projects that bring their own shim.
SHIM = """
export function serve(handler: (req: Request, auth: any) => unknown, options = {}) {
  (globalThis as any).__edgeFunctionRegistry.register(handler, options);
}
"""

# Who the gateway says is asking.
WHOAMI = """
import { serve } from "../_shared/handler.ts";
serve((_req, auth) => Response.json(auth == null ? null :
  { userId: auth.userId, role: auth.payload.role }), OPTIONS);
"""


def whoami(options="{}"):
    return WHOAMI.replace("OPTIONS", options)


# Tells instances apart: an id made when the module is loaded.
INSTANCE = """
const id = crypto.randomUUID();
let count = 0;
Deno.serve(async (req) => {
  const query = new URL(req.url).searchParams;
  count++;
  if (query.has("exit")) Deno.exit(3);
  if (query.has("ms")) await new Promise((done) => setTimeout(done, Number(query.get("ms"))));
  if (query.has("spin")) {
    const end = Date.now() + Number(query.get("spin"));
    while (Date.now() < end);
  }
  return Response.json({ id, count });
});
"""


def says(text):
    """A function that answers with a text."""
    return f"Deno.serve(() => new Response({json.dumps(text)}));\n"
