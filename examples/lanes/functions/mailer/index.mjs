// The hook of `order-paid`. It may run twice for one message: real ones look at the order's id first.
import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

export const handler = async (receipt, context) => {
  const { attempt, messageId } = context.clientContext.heddle;
  await setTimeout(Number(process.env.MAIL_MS ?? 0)); // a mail takes as long as it takes
  console.log(`mail: order ${receipt.order} is paid, ${receipt.charged}`);
  if (process.env.OUTBOX)
    appendFileSync(process.env.OUTBOX, JSON.stringify({ ...receipt, attempt, messageId }) + "\n");
};
