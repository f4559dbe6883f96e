// Paying, in the types of the shop's own document: what it does not take or does not answer, does not compile.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];

export type Order = Schemas["CreatePayment"];

/** The shop or the bank said no. `code` is one of a fixed set, `message` may be shown to the payer. */
export class Refused extends Error {
  constructor(readonly status: number, readonly code: string | undefined, message: string) {
    super(message);
  }
}

type Answered<T> = { data?: { data: T }; error?: Partial<Schemas["Problem"]>; response: Response };

function good<T>({ data, error, response }: Answered<T>): T {
  if (data !== undefined) return data.data;
  throw new Refused(response.status, error?.code, error?.message ?? response.statusText);
}

/** `shop` is where the shop answers; without it, the page's own origin. `headers`: a session, if there is one. */
export function payments(shop = "", headers: Record<string, string> = {}) {
  const client = createClient<paths>({ baseUrl: `${shop}/bridge-payment`, headers });
  const the = (payment_id: string) => ({ path: { payment_id } });

  return {
    /** `key` is one wish of the payer: a repeat under the same key is the same payment, not a second one. */
    begin: async (order: Order, key: string) =>
      good(await client.POST("/payments/intents", { body: order, params: { header: { "Idempotency-Key": key } } })),

    /** `payment_method_id` is a token of the provider's script, or a test method. A decline is `Refused`. */
    confirm: async (id: string, body: Schemas["ConfirmPayment"]) =>
      good(await client.POST("/payments/intents/{payment_id}/confirm", { params: the(id), body })),

    /** What the provider says now: after its own page or script, and where an outcome is `unknown`. */
    sync: async (id: string) =>
      good(await client.POST("/payments/intents/{payment_id}/sync", { params: the(id), body: {} })),
  };
}
