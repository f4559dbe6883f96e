// What a payer can pay with. Each way brings a one-time token out of its gateway's own fields, or sends the
// payer to the gateway's page: this shop never sees a number.
"use strict";

window.shopWays = (page, onSubmit) => {
  const ways = {};

  if (page.ways.stripe) {
    const cards = window.SandboxGateway.cardFields(document.getElementById("card"), { key: page.ways.stripe.key, onSubmit });
    ways.stripe = {
      token: (who) => cards.tokenize(who).then(({ id, error }) => (error ? { error } : { id })),
      fill: (card) => cards.fill(card),
      focus: () => cards.focus(),
      declined: "Your card was declined.",
      directly: true,
    };
  }

  if (page.ways.authorize_net) {
    const { origin } = page.ways.authorize_net;
    const frame = document.createElement("iframe");
    frame.title = "Card details at Authorize.net";
    const ready = new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }));
    ways.authorize_net = {
      /** The fields are loaded when somebody wants them. */
      show() {
        if (frame.isConnected) return;
        frame.src = `${origin}/_fields`;
        document.getElementById("accept").replaceChildren(frame);
      },
      async token() {
        await ready;
        const channel = new MessageChannel();
        const answer = new Promise((resolve) => { channel.port1.onmessage = ({ data }) => resolve(data); });
        frame.contentWindow.postMessage({ type: "tokenize" }, origin, [channel.port2]);
        const { token, problem } = await answer;
        return problem ? { error: problem } : { id: token };
      },
      focus: () => frame.focus(),
      declined: "Your card was declined.",
    };
  }

  if (page.ways.paypal) {
    ways.paypal = {
      token: async () => ({}),
      focus() {},
      away: true,
      button: "Continue with PayPal",
      declined: "PayPal did not accept this.",
      another: "Press the button to choose another way to pay there.",
      lock: "Your account and your cards stay with PayPal. This shop sees none of them.",
    };
  }
  return ways;
};
