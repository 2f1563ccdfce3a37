export default {
  fetch: async (req) =>
    new Response(await req.text(), { headers: { "content-type": "application/json" } }),
};
