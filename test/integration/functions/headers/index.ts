// What the function sees of a request.
Deno.serve((req) =>
  Response.json({ method: req.method, url: req.url, headers: [...req.headers] })
);
