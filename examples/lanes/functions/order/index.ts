// POST /functions/v1/order {"amount": 30}: the gateway's side. It calls a task by name, wherever that is.
import { call, LaneTypedError, LaneUnavailable } from "heddle";

interface Receipt {
  order: string;
  charged: number;
}

Deno.serve(async (req) => {
  const { amount } = await req.json();
  const order = crypto.randomUUID();
  try {
    const receipt = await call<Receipt>("charge", { order, amount }, { timeoutMs: 10_000 });
    return Response.json(receipt, { status: 201 });
  } catch (e) {
    if (e instanceof LaneTypedError) // declared in heddle.yml
      return Response.json({ error: e.message, ...e.data }, { status: e.httpCode ?? 500 });
    if (e instanceof LaneUnavailable)
      return Response.json({ error: "try again later" }, { status: 503, headers: { "retry-after": "1" } });
    throw e;
  }
});
