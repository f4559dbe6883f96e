// One purchase without a browser: too little offered, a card that is declined, one that is not.

import { payments, Refused } from "./lib/payments.js";

declare const process: { argv: string[] };

const shop = payments(process.argv[2] ?? "http://127.0.0.1:8000");
const order = {
  provider_id: "stripe",
  reference_code: `cup-${Date.now()}`,
  amount_cents: 1,
  currency: "USD",
  guest_data: { email: "ada@example.com", name: "Ada" },
  return_url: "http://localhost:3000", // where a bank's page would send the payer back to
};

const begun = await shop.begin(order, crypto.randomUUID());
console.log(`offered ${order.amount_cents} cent, the shop wants ${begun.total_cents}`);

const declined = await shop
  .confirm(begun.id, { payment_method_id: "pm_card_chargeDeclined" })
  .catch((problem: unknown) => problem);
if (!(declined instanceof Refused)) throw declined;
console.log(`the first card: ${declined.code}`);

const paid = await shop.confirm(begun.id, { payment_method_id: "pm_card_visa" });
console.log(`the second card: ${paid.status}, ${paid.amount_cents} cents`);
