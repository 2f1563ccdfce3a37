// The body comes back as it arrives, chunk by chunk.
Deno.serve((req) =>
  new Response(req.body, {
    headers: { "content-type": req.headers.get("content-type") ?? "application/octet-stream" },
  })
);
