// What a shop loads from its gateway: card fields in a frame, tokens out of it, and the payer's confirmation.
"use strict";

(() => {
  const origin = new URL(document.currentScript.src).origin;

  /** Put the card fields into *place*; *key* is the publishable key. */
  function cardFields(place, { key, onState = () => {}, onSubmit = () => {} }) {
    const frame = document.createElement("iframe");
    frame.src = `${origin}/_fields`;
    frame.title = "Card details";
    frame.allow = "payment *";
    Object.assign(frame.style, { width: "100%", height: "180px", border: "0", display: "block", colorScheme: "light dark" });
    const waiting = new Map();
    let port = null;
    let count = 0;

    const ready = new Promise((resolve) => {
      frame.addEventListener("load", () => {
        const channel = new MessageChannel();
        port = channel.port1;
        port.onmessage = ({ data }) => {
          if (data.type === "ready") resolve();
          if (data.type === "height") frame.style.height = `${Math.ceil(data.height)}px`;
          if (data.type === "state") onState(data);
          if (data.type === "submit") onSubmit();
          if (data.type === "answer" && waiting.has(data.to)) {
            waiting.get(data.to)(data);
            waiting.delete(data.to);
          }
        };
        frame.contentWindow.postMessage({ type: "hello", key }, origin, [channel.port2]);
      }, { once: true });
    });
    place.replaceChildren(frame);

    return {
      ready,
      /** Return {id, brand, last4} of a new payment method, or {error}. */
      async tokenize(who) {
        await ready;
        const id = ++count;
        return new Promise((resolve) => {
          waiting.set(id, resolve);
          port.postMessage({ type: "tokenize", id, name: who.name, email: who.email });
        });
      },
      async fill(card) {
        await ready;
        port.postMessage({ type: "fill", card });
      },
      async focus() {
        await ready;
        port.postMessage({ type: "focus" });
      },
    };
  }

  /** Confirm at the gateway with nothing but the client secret; shows the bank's page if it asks. */
  async function confirmPayment({ key, clientSecret, paymentMethod }) {
    const intent = clientSecret.split("_secret_")[0];
    const form = new URLSearchParams({ payment_method: paymentMethod, client_secret: clientSecret });
    const answer = await fetch(`${origin}/v1/payment_intents/${intent}/confirm`, {
      method: "POST", body: form, headers: { authorization: `Bearer ${key}` },
    });
    const body = await answer.json();
    if (!answer.ok) return { error: body.error };
    if (body.status === "requires_action") await challenge(body.next_action.use_stripe_sdk.stripe_js);
    return { status: body.status };
  }

  function challenge(url) {
    const dialog = document.createElement("dialog");
    const frame = document.createElement("iframe");
    frame.src = url;
    frame.title = "Your bank";
    Object.assign(frame.style, { width: "min(440px, 88vw)", height: "min(600px, 82vh)", border: "0", display: "block" });
    Object.assign(dialog.style, { padding: "0", border: "0", borderRadius: "16px", overflow: "hidden" });
    dialog.append(frame);
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((resolve) => {
      const done = () => { window.removeEventListener("message", heard); dialog.remove(); resolve(); };
      const heard = (event) => { if (event.source === frame.contentWindow && event.data === "challenge-answered") done(); };
      window.addEventListener("message", heard);
      dialog.addEventListener("close", done);
    });
  }

  window.SandboxGateway = { cardFields, confirmPayment };
})();
