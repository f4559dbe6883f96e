// One customer's day, told by a client generated from the document: `tour.py` tells the same one.
// Run as a program with a JSON object of addresses and sessions; says what it saw as JSON.

import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema";

declare const process: { argv: string[] };

type Problem = components["schemas"]["Problem"];
type Answered<T> = { data?: T; error?: Problem; response: Response };

function good<T>(answer: Answered<T>): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function bad<T>(answer: Answered<T>): [number, number, string] {
  if (answer.error === undefined) throw new Error(`not refused: ${JSON.stringify(answer.data)}`);
  return [answer.response.status, answer.error.status, answer.error.error];
}

async function tour(base: string, who: Record<string, string>): Promise<unknown[][]> {
  const as = (headers: Record<string, string>): Client<paths> => createClient<paths>({ baseUrl: base, headers });
  const nobody = as({});
  const late = as({ "X-Session-ID": "session-of-yesterday" });
  const guest = as({ "X-Guest-Token": who.guest! });
  const ada = as({ "X-Session-ID": who.ada! });
  const eve = as({ "X-Session-ID": who.eve! });
  const root = as({ Authorization: `Bearer ${who.root}` });
  const seen: unknown[][] = [];
  const see = (step: string, ...values: unknown[]): void => void seen.push([step, ...values]);

  // --- a guest pays
  const guest_data = { email: "ada@example.com", name: "Ada" };
  const order = { currency: "USD", total_cents: 5500, description: "A present", guest_data };
  const begun = good(await nobody.POST("/payments/intents", { body: order })).data;
  see("begun", begun.status, begun.amount_cents, begun.pricing.total_cents, Boolean(begun.client_secret));
  const first = { params: { path: { payment_id: begun.id } } };
  const confirm = (payment_method_id: string) =>
    nobody.POST("/payments/intents/{payment_id}/confirm", { ...first, body: { payment_method_id } });
  see("declined", ...bad(await confirm("dummy_declined")));
  const paid = good(await confirm("dummy_ok")).data;
  see("paid", paid.status, paid.requires_action, paid.outcome);
  see("too late to read", ...bad(await late.GET("/payments/{payment_id}", first)));
  see("the guest reads", good(await guest.GET("/payments/{payment_id}", first)).data.guest_email);
  see("a stranger reads", ...bad(await eve.GET("/payments/{payment_id}", first)));

  // --- and becomes a user
  see("to convert", good(await ada.GET("/guest/my-guest-data")).data.summary.total_payments);
  const mine = { body: { guest_email: "ada@example.com" } };
  see("a stranger converts", ...bad(await eve.POST("/convert-guest", mine)));
  const converted = good(await ada.POST("/convert-guest", mine)).data;
  see("converted", converted.success, converted.payments_count, converted.total_converted);
  const read = good(await ada.GET("/payments/{payment_id}", first)).data;
  see("the user reads", read.user_id, read.is_guest_payment, read.completed_at !== null);

  // --- a user pays
  const begin = () =>
    ada.POST("/payments/intents", {
      body: { currency: "eur", amount_cents: 2000 },
      params: { header: { "Idempotency-Key": "order-2" } },
    });
  const second = good(await begin()).data;
  see("begun once", good(await begin()).data.id === second.id, second.currency);
  const third = { params: { path: { payment_id: second.id } } };
  const changed = good(await ada.PUT("/payments/intents/{payment_id}", { ...third, body: { total_cents: 2500 } })).data;
  see("changed", changed.total_cents, changed.setup_future_usage_updated);
  const canceled = good(await ada.POST("/payments/{payment_id}/cancel", { ...third, body: {} })).data;
  see("canceled", canceled.status, canceled.message);
  const page = good(
    await ada.GET("/payments", { params: { query: { limit: 1, orderBy: "amount_cents", orderDir: "asc" } } }),
  );
  see("listed", page.data.map((one) => one.total_cents), page.meta.total, page.meta.hasMore);
  see("too late to list", ...bad(await late.GET("/payments")));

  // --- money goes back
  const refund = {
    params: { ...first.params, header: { "Idempotency-Key": "r1" } },
    body: { amount_cents: 1500, reason: "requested_by_customer" },
  } as const;
  see("the payer refunds", ...bad(await ada.POST("/payments/{payment_id}/refund", refund)));
  const back = good(await root.POST("/payments/{payment_id}/refund", refund)).data;
  see("refunded", back.amount_cents, back.currency, back.status);
  see("partly", good(await ada.GET("/payments/{payment_id}", first)).data.status);

  // --- what is kept
  const known = { body: { email: "ada@example.com", name: "Ada Lovelace" } };
  const customer = good(await ada.POST("/customers", known)).data;
  see("customer", customer.existed, customer.first_name, customer.last_name);
  see("existed", good(await ada.POST("/customers", known)).data.existed);
  const one = { params: { path: { customer_id: customer.id } } };
  const phoned = good(await ada.PUT("/customers/{customer_id}", { ...one, body: { phone: "+34 600" } })).data;
  see("phone", phoned.phone, good(await ada.GET("/customers/{customer_id}", one)).data.phone);
  see("customers", good(await ada.GET("/customers")).meta.total);
  const card = good(
    await ada.POST("/payment-methods", { body: { payment_method_token: "dummy_ok", alias: "card" } }),
  ).data;
  see("method", card.status, card.type, card.last4 === card.last_four, card.customer_id === customer.id);
  const method = { params: { path: { payment_method_id: card.id } } };
  const renamed = await ada.PUT("/payment-methods/{payment_method_id}", { ...method, body: { alias: "work" } });
  see("renamed", good(renamed).data.alias);
  see("default", good(await ada.POST("/payment-methods/{payment_method_id}/set-default", method)).data.is_default);
  const methods = good(await ada.GET("/payment-methods", { params: { query: { payment_type: "card" } } }));
  see("methods", methods.data.map((each) => each.alias), methods.meta.total);
  const home = { line1: "Calle Mayor 1", city: "Madrid", postal_code: "28013", country: "es" };
  const address = good(await ada.POST("/addresses", { body: home })).data;
  see("address", address.address_type, address.country);
  const there = { params: { path: { address_id: address.id } } };
  const moved = good(await ada.PUT("/addresses/{address_id}", { ...there, body: { city: "Bilbao" } })).data;
  see("moved", moved.city, good(await ada.GET("/addresses")).data.length);

  // --- again and again
  const subscription = good(
    await ada.POST("/subscriptions", {
      body: {
        customer_id: customer.id,
        payment_method_id: card.id,
        billing_address_id: address.id,
        total_cents: 900,
        currency: "USD",
      },
    }),
  ).data;
  see("subscribed", subscription.status, subscription.billing_interval, subscription.price_cents);
  const billed = { params: { path: { subscription_id: subscription.id } } };
  const readAgain = good(await ada.GET("/subscriptions/{subscription_id}", billed)).data;
  see("subscription", readAgain.customer_id === customer.id, readAgain.billing_status);
  const ended = good(await ada.POST("/subscriptions/{subscription_id}/cancel", { ...billed, body: {} })).data;
  see("ended", ended.cancel_at_period_end, ended.message);
  see("subscriptions", good(await ada.GET("/subscriptions")).meta.pagination.total);
  see("removed", good(await ada.DELETE("/addresses/{address_id}", there)).data.message);
  see("detached", good(await ada.DELETE("/payment-methods/{payment_method_id}", method)).data.message);

  // --- the merchant looks
  const every = good(
    await root.GET("/admin/payments", { params: { query: { orderBy: "created_at", search: "present" } } }),
  ).data;
  see("admin", every.pagination.total, every.filters.search);
  see("admin refused", ...bad(await ada.GET("/admin/stats")));
  const stats = good(await root.GET("/admin/stats")).data;
  see("figures", stats.payments.failed, stats.revenue.map((each) => each.currency), stats.unknown_outcomes);
  see("overview", good(await root.GET("/admin")).data.providers);
  const caches = good(await root.GET("/admin/cache/stats")).data.cache_stats;
  see("caches", caches.sessions!.hits > 0, good(await root.DELETE("/admin/cache")).success);
  see("accounts", good(await nobody.GET("/providers")).data.map((each) => each.id));
  see("health", (await nobody.GET("/health")).response.status === 200);
  return seen;
}

const given = JSON.parse(process.argv[2]!) as { base: string; who: Record<string, string> };
console.log(JSON.stringify(await tour(given.base, given.who)));
