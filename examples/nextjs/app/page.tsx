"use client";

import { useEffect, useState } from "react";
import { payments, Refused } from "../lib/payments";

const shop = payments();

/** Words, account, method. With real accounts the method is what the provider's script made of the card. */
const WAYS = [
  ["Pay with a test card", "stripe", "pm_card_visa"],
  ["Try one that is declined", "stripe", "pm_card_chargeDeclined"],
  ["Pay with PayPal", "paypal", undefined],
] as const;

export default function Page() {
  const [visit] = useState(() => crypto.randomUUID()); // one order at each account: a second click buys no second cup
  const [said, say] = useState("");

  /** Tell what came of it. A lost answer is `processing`: the shop finds out, and nobody pays again meanwhile. */
  async function tell(asked: () => Promise<{ status: string; amount_cents: number }>) {
    try {
      const payment = await asked();
      say(`${payment.status}: ${payment.amount_cents} cents`);
    } catch (problem) {
      say(problem instanceof Refused ? problem.message : "The shop does not answer. Click again: nobody pays twice.");
    }
  }

  async function pay(provider_id: string, payment_method_id?: string) {
    const return_url = location.origin;
    const order = {
      provider_id,
      reference_code: `cup-${visit}`,
      amount_cents: 1,
      currency: "USD",
      guest_data: { email: "ada@example.com", name: "Ada" },
      return_url,
    };
    const begun = await shop.begin(order, `${provider_id}-${visit}`);
    if (begun.next_action?.url) {
      sessionStorage.setItem("payment", begun.id);
      location.assign(begun.next_action.url);
    }
    if (begun.status !== "pending") return begun;
    return shop.confirm(begun.id, { payment_method_id, return_url });
  }

  useEffect(() => {
    const id = sessionStorage.getItem("payment"); // back from PayPal: approved is not paid, the shop confirms
    sessionStorage.removeItem("payment");
    if (id) void tell(() => shop.confirm(id, {}));
  }, []);

  return (
    <main>
      <h1>A cup, 20 dollars</h1>
      {WAYS.map(([words, account, method]) => (
        <button key={words} onClick={() => void tell(() => pay(account, method))}>
          {words}
        </button>
      ))}
      <p aria-live="polite">{said}</p>
    </main>
  );
}
