// The functions of docs/guides/browser.md, called as a page would call them. The three scripts of the providers are
// played here: each does at the fake gateway what the real one does at the real gateway, from the payer's browser.

import { readFileSync } from "node:fs";

const { page, shop, gateways } = JSON.parse(process.argv[2]);
const blocks = [...readFileSync(page, "utf8").matchAll(/^```js\n(.*?)^```/gms)].map((found) => found[1]);
const names = ["payWithStripe", "payPalButtons", "payWithAccept"];

const fetched = fetch;
globalThis.fetch = (path, options) => fetched(new URL(path, shop), options);
globalThis.window = { location: { href: shop } };

const { payWithStripe, payPalButtons, payWithAccept } = new Function(`${blocks.join("\n")}; return { ${names} };`)();

const accounts = (await (await fetch("/bridge-payment/providers")).json()).data;
const keys = Object.fromEntries(accounts.map((account) => [account.id, account.publishable]));
const guest = { email: "ada@example.com", name: "Ada" };
let orders = 0;
const order = () => ({ number: `cup-${++orders}`, total: 1, currency: "USD" });

const elements = { submit: async () => ({}) };
const stripe = {
  async confirmPayment({ clientSecret, confirmParams }) {
    const form = { client_secret: clientSecret, payment_method: "pm_card_visa", return_url: confirmParams.return_url };
    const answer = await fetched(`${gateways.stripe}/v1/payment_intents/${clientSecret.split("_secret_")[0]}/confirm`, {
      method: "POST",
      headers: { authorization: `Bearer ${keys.stripe.publishable_key}`, origin: shop },
      body: new URLSearchParams(form),
    });
    return answer.ok ? {} : { error: await answer.json() };
  },
};

const paypal = {
  Buttons: (given) => ({
    async click() {
      const number = await given.createOrder();
      await fetched(`${shop}/approved/${number}`, { method: "POST" }); // on PayPal's own page
      return given.onApprove();
    },
  }),
};

const Accept = {
  async dispatchData({ authData, cardData }, told) {
    const asked = {
      securePaymentContainerRequest: {
        merchantAuthentication: { name: authData.apiLoginID, clientKey: authData.clientKey },
        data: {
          type: "TOKEN",
          id: crypto.randomUUID(),
          token: { cardNumber: cardData.cardNumber, expirationDate: cardData.month + cardData.year, cardCode: cardData.cardCode },
        },
      },
    };
    const answer = await fetched(`${gateways.authorize_net}/xml/v1/request.api`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(asked),
    });
    told(JSON.parse((await answer.text()).replace(/^\uFEFF/, "")));
  },
};
const card = { cardNumber: "4111111111111111", month: "12", year: "2035", cardCode: "123" };

const done = {
  stripe: await payWithStripe(stripe, elements, order(), guest),
  paypal: await payPalButtons(paypal, order(), guest).click(),
  authorize_net: await payWithAccept(Accept, keys.authorize_net, card, order(), guest),
};
console.log(JSON.stringify(Object.fromEntries(Object.entries(done).map(([name, one]) => [name, [one.status, one.amount_cents]]))));
