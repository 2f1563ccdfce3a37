// Streams ?mb= megabytes, no faster than they are read.
Deno.serve((req) => {
  let left = Number(new URL(req.url).searchParams.get("mb") ?? "1") * 16;
  const chunk = new Uint8Array(65536).fill(120);
  return new Response(
    new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(chunk);
        else controller.close();
      },
    }),
  );
});
