// {{name}}: greets whoever is named in the query (?name=Ada) or in a JSON body ({"name": "Ada"}).
Deno.serve(async (request: Request) => {
  let name = new URL(request.url).searchParams.get("name");
  if (request.method === "POST") {
    const body = await request.json().catch(() => null);
    if (body === null) return Response.json({ error: "the body must be JSON" }, { status: 400 });
    name = body.name ?? name;
  }
  return Response.json({ message: `Hello ${name ?? "world"}!` });
});
