// Answers with what the query asks for: ?status=, ?hints, ?early= (before the body was read), ?chunk-ms=.
export default async (req, res) => {
  const query = new URL(req.url, "http://localhost").searchParams;
  if (query.has("hints")) res.writeEarlyHints({ link: "</style.css>; rel=preload" });
  if (!query.has("early")) for await (const _ of req);
  res.writeHead(Number(query.get("status") ?? "200"), { "content-type": "text/plain", "x-method": req.method });
  if (query.has("pause-ms")) {
    res.write("begin");
    await new Promise((done) => setTimeout(done, Number(query.get("pause-ms"))));
  }
  res.end("end");
};
