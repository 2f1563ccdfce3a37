// Answers after ?ms=; says so when the client goes away first.
Deno.serve(async (req) => {
  const ms = Number(new URL(req.url).searchParams.get("ms") ?? "1000");
  const aborted = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    req.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
  if (aborted) console.log("the client went away");
  return new Response("done");
});
