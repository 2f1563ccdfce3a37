// Counts the bytes of the body, waiting ?ms= after each piece.
Deno.serve(async (req) => {
  const ms = Number(new URL(req.url).searchParams.get("ms") ?? "0");
  let bytes = 0;
  for await (const piece of req.body ?? []) {
    bytes += piece.byteLength;
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  }
  return Response.json({ bytes });
});
