Deno.serve(async (req) =>
  new Response(await req.text(), { headers: { "content-type": "application/json" } })
);
