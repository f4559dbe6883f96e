// The payer's side of a payment: token out of the gateway's fields, intent and confirmation at our API,
// and an honest word about whatever happens. One intent per checkout, however many cards it takes.
"use strict";

(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const form = document.getElementById("pay");
  const button = document.getElementById("submit");
  const buttonText = document.getElementById("submit-text");
  const notice = document.getElementById("notice");
  const progress = document.getElementById("progress");
  const memory = `payment:${page.order || "free"}`;

  const REASONS = {
    insufficient_funds: "There is not enough money on this card.",
    expired_card: "This card has expired.",
    incorrect_cvc: "The security code is not correct.",
    invalid_cvc: "The security code is not correct.",
    authentication_required: "Your bank did not confirm the payment.",
    authentication_failed: "Your bank did not confirm the payment.",
    payment_intent_authentication_failure: "Your bank did not confirm the payment.",
    processing_error: "The bank had a problem with this payment.",
  };

  /** What may be over in a moment: the same request is sent again, under the same key. */
  const IN_THE_WAY = new Set(["unavailable", "operation_in_progress", "conflict", "concurrent_update", "rate_limited", "store_error", "provider_error", "provider_unknown", "provider_never_sent", "internal_error"]);
  const LATER = ["We could not finish this yet.", "You have not been charged twice. Press Pay again in a moment and the same payment goes on."];
  const CHECK = ["Please check what you typed.", "Your name, your e-mail address or the amount was not understood. You have not been charged."];
  /** Payers read sentences; codes and messages are for developers. */
  const SENTENCES = {
    validation_failed: CHECK, invalid_request: CHECK, amount_not_representable: CHECK,
    rate_limited: ["There were too many attempts.", "Please wait a few minutes and press Pay again; the same payment goes on."],
    unavailable: LATER, operation_in_progress: LATER, conflict: LATER, concurrent_update: LATER, store_error: LATER,
    provider_error: LATER, provider_unknown: LATER, provider_never_sent: LATER, internal_error: LATER,
    duplicate_reference: ["This order is already being paid.", "Press Pay to go on with the same payment. You pay once."],
  };

  /** Payments that were given up here; the shop hears of it a moment later. */
  const ended = new Set();
  let payment = recall();

  const ways = window.shopWays(page, () => form.requestSubmit());
  for (const chip of document.querySelectorAll("[data-card]")) {
    chip.addEventListener("click", () => ways.stripe.fill(chip.dataset.card));
  }
  for (const choice of form.elements.way.length ? form.elements.way : [form.elements.way]) {
    choice.addEventListener("change", () => { hide(); choose(); idle(); });
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); pay(); });
  for (const field of form.querySelectorAll("input, select")) {
    field.addEventListener("input", () => {
      field.removeAttribute("aria-invalid");
      document.getElementById(`${field.id}-wrong`)?.remove();
    });
  }
  if (page.free) {
    for (const name of ["amount", "currency"]) document.getElementById(name).addEventListener("input", () => { forget(); idle(); });
  }
  restoreContact();
  choose(payment.provider);
  idle();
  if (page.payment_id) resume(page.payment_id === "back" ? payment.id : page.payment_id);

  // --- with what ----------------------------------------------------------------------------------

  function chosen() { return form.elements.way.value || Object.keys(page.ways)[0]; }
  function way() { return ways[chosen()]; }

  /** Show what belongs to the way that is chosen, or choose *name*. */
  function choose(name) {
    if (name && page.ways[name]) form.elements.way.value = name;
    for (const part of document.querySelectorAll("[data-way]")) part.hidden = part.dataset.way !== chosen();
    if (way().show) way().show();
    document.getElementById("lock").textContent = way().lock || "The card fields belong to the payment gateway. This shop never sees the number.";
  }

  // --- what is remembered in this tab -----------------------------------------------------------

  function recall() {
    try { return JSON.parse(sessionStorage.getItem(memory)) || { id: page.open_payment }; } catch { return { id: page.open_payment }; }
  }
  function remember() { sessionStorage.setItem(memory, JSON.stringify(payment)); }
  function forget() { payment = {}; sessionStorage.removeItem(memory); }

  function restoreContact() {
    for (const name of ["name", "email"]) document.getElementById(name).value = sessionStorage.getItem(name) || "";
  }

  // --- talking to our API -----------------------------------------------------------------------

  /** POST and read; a lost connection is asked again under the same key, which pays at most once. */
  async function ask(path, body, key) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const headers = { "content-type": "application/json" };
        if (key) headers["idempotency-key"] = key;
        const answer = await fetch(`${page.api}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
        const read = await answer.json();
        return { retryAfter: Number(answer.headers.get("retry-after")) || 1, data: read.data || {}, problem: answer.ok ? null : read };
      } catch (error) {
        if (attempt === 3) throw error;
        await pause(600 * 2 ** attempt);
      }
    }
  }

  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  /**
   * The same again under the same key while the gateway or another request is in the way. Whoever loses the
   * answer keeps the key: a new one would be a new instruction.
   */
  async function insist(path, body, key) {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await ask(path, body, key);
      if (!IN_THE_WAY.has((answer.problem || {}).code) || attempt === 8 || answer.retryAfter > 15) return answer;
      checking();
      await pause(1000 * Math.max(answer.retryAfter, 1));
    }
  }

  function checking() {
    say("We are checking your payment with the bank.", "You have not been charged twice. Please wait; this page goes on by itself.", true);
  }

  async function intent() {
    if (payment.id && !payment.provider) payment.provider = await providerOf(payment.id);
    if (payment.id && (payment.spent || payment.provider !== chosen())) await giveUp();
    if (payment.id) return;
    await begin();
    // Another tab may have begun with another way: that one is given up for this.
    if (payment.provider !== chosen()) { await giveUp(); await begin(); }
  }

  async function providerOf(id) {
    const answer = await fetch(`/shop/payments/${id}`);
    return answer.ok ? (await answer.json()).provider : chosen();
  }

  /** An order is paid once, by one way: the payment that was begun with another one ends first. */
  async function giveUp() {
    await regain();
    const { problem } = await insist(`/payments/${payment.id}/cancel`, { client_secret: payment.secret });
    if (problem) throw new Refused(problem);
    ended.add(payment.id);
    forget();
  }

  async function begin() {
    for (let attempt = 0; ; attempt += 1) {
      payment.key = payment.key || crypto.randomUUID();
      remember();
      const { data, problem } = await insist("/payments/intents", wish(), payment.key);
      const other = problem && problem.code === "duplicate_reference" && problem.details.payment_id;
      if (other && ended.has(other) && attempt < 20) {
        forget();
        await pause(300);
        continue;
      }
      if (other) payment = { id: other, provider: await providerOf(other) };
      else if (problem) {
        if (!IN_THE_WAY.has(problem.code)) forget();
        throw new Refused(problem);
      } else payment = { id: data.id, secret: data.client_secret, provider: chosen() };
      break;
    }
    remember();
    hide();
  }

  function wish() {
    const { total, currency } = priced();
    return {
      total_cents: total,
      currency,
      provider_id: chosen(),
      return_url: way().away ? returnUrl("back") : undefined,
      reference_code: page.order || undefined,
      description: page.order ? `Order ${page.order}` : "A free amount",
      guest_data: contact(),
    };
  }

  /** The API tells a guest the secret once. If that answer was lost, the shop tells it to the browser that ordered. */
  async function regain() {
    const token = page.order && localStorage.getItem(`order:${page.order}`);
    if (payment.secret || !token) return;
    try {
      const answer = await fetch(`/shop/orders/${page.order}/payment`, {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token, payment_id: payment.id }),
      });
      if (!answer.ok) return;
      payment.secret = (await answer.json()).client_secret || undefined;
      remember();
    } catch { /* it goes on without; a card that needs no bank's page does not need it */ }
  }

  function sync(id = payment.id) { return ask(`/payments/intents/${id}/sync`, { client_secret: payment.secret }); }

  class Refused extends Error {
    constructor(problem) { super(problem.message || problem.error); this.problem = problem; }
  }

  // --- one attempt ------------------------------------------------------------------------------

  async function pay() {
    if (button.disabled || !complete()) return;
    hide();
    busy("Paying …");
    try {
      const card = await way().token(contact());
      if (card.error) { idle(); return; }
      await intent();
      await regain();
      if (way().away) await goAway();
      else if (way().directly && document.getElementById("directly").checked && payment.secret) await payDirectly(card);
      else await payThroughUs(card);
    } catch (error) {
      if (error instanceof Refused) await refused(error.problem);
      else say("We could not reach the shop.", "Nothing is lost: press Pay again and the same payment goes on.", true);
      idle();
    }
  }

  /** Send the payer to the gateway's own page; who has agreed there before only confirms. */
  async function goAway() {
    const { data, problem } = await sync();
    if (problem) throw new Refused(problem);
    if (data.status === "requires_confirmation") await agreed();
    else await follow(data);
  }

  /** The payer agreed at the gateway; only now does money move. */
  async function agreed() {
    busy("Paying …");
    const { data, problem } = await insist(`/payments/intents/${payment.id}/confirm`, { client_secret: payment.secret }, confirmKey());
    if (problem) { await refused(problem); idle(); } else await follow(data);
  }

  /** One key for one agreement, however often this page is loaded. */
  function confirmKey() {
    payment.confirmKey = payment.confirmKey || crypto.randomUUID();
    remember();
    return payment.confirmKey;
  }

  async function payThroughUs(card) {
    const { data, problem } = await ask(`/payments/intents/${payment.id}/confirm`, {
      client_secret: payment.secret,
      payment_method_id: card.id,
      return_url: returnUrl(),
    }, crypto.randomUUID());
    if (problem) { await refused(problem); idle(); } else await follow(data);
  }

  async function payDirectly(card) {
    const answer = await window.SandboxGateway.confirmPayment({
      key: page.ways.stripe.key, clientSecret: payment.secret, paymentMethod: card.id,
    });
    const { data } = await sync();
    if (answer.error) { declined(answer.error.decline_code || answer.error.code); idle(); } else await follow(data);
  }

  function returnUrl(which = payment.id) {
    const back = new URL(page.order ? `/checkout/${page.order}` : "/pay", location.origin);
    back.searchParams.set("payment", which);
    return back.href;
  }

  /** Do what the payment's status asks for. */
  async function follow(data) {
    if (["succeeded", "requires_capture", "refunded", "partially_refunded"].includes(data.status)) { done(); return; }
    if (data.status === "requires_action" && data.next_action && data.next_action.url) {
      busy(way().away ? "Taking you to PayPal …" : "Your bank asks you to confirm …");
      location.assign(data.next_action.url);
      return;
    }
    if (data.status === "requires_action") { await findTheBank(); return; }
    if (data.status === "processing") { await wait(); return; }
    if (data.decline_code) declined(data.decline_code);
    else if (data.status === "canceled" || data.status === "failed") { forget(); say("This payment was given up.", "Press Pay to begin a new one."); }
    idle();
  }

  /** The bank's page is named to whoever holds the payment's secret. */
  async function findTheBank() {
    await regain();
    const { data, problem } = payment.secret ? await sync() : { problem: {} };
    if (!problem && (data.status !== "requires_action" || (data.next_action && data.next_action.url))) { await follow(data); return; }
    if (page.free) forget();
    say("Your bank asks you to confirm this payment.", page.free
      ? "We cannot show its page any more. You have not been charged. Press Pay to start again."
      : "That is possible only in the browser in which you placed the order. You have not been charged; you can also pay with another card here.");
    idle();
  }

  /** Nobody knows yet. We ask again and again, and never pay a second time. */
  async function wait() {
    busy("Checking with the gateway …");
    say("We are checking your payment.", "The gateway has not answered yet. Please wait, and do not pay again.", true);
    for (let attempt = 0; attempt < 150; attempt += 1) {
      await pause(1500);
      if (attempt === 10) say("We are still checking.", "This takes longer than usual. Please do not pay again; this page goes on by itself.", true);
      const { data, problem } = await sync().catch(() => ({ problem: {} }));
      if (problem || data.status === "processing" || data.outcome === "unknown") continue;
      if (data.status === "pending" && await stillAsking()) continue;
      hide();
      if (data.status === "pending" && !data.decline_code) say("You have not been charged.", "The gateway never received this payment. Press Pay to try again.", true);
      await follow(data);
      return;
    }
    done();
  }

  /** Pending may mean that the request never arrived, or that it is still on its way: the shop knows which. */
  async function stillAsking() {
    try {
      const answer = await fetch(`/shop/payments/${payment.id}`);
      return !answer.ok || (await answer.json()).asking;
    } catch {
      return true;
    }
  }

  async function resume(id) {
    history.replaceState(null, "", location.pathname);
    if (!id) return;
    payment = { ...payment, id };
    remember();
    busy("Checking your payment …");
    try {
      payment.provider = payment.provider || await providerOf(id);
      choose(payment.provider);
      await regain();
      const { data, problem } = await sync(id);
      if (problem) { await refused(problem); idle(); }
      else if (data.status === "requires_confirmation") await agreed();
      else if (way().away && data.status === "requires_action") {
        say("You came back without agreeing.", "You have not been charged. Press the button to go to PayPal again, or pay another way.", true);
        idle();
      } else await follow(data);
    } catch {
      idle();
    }
  }

  // --- what the payer sees ----------------------------------------------------------------------

  function contact() {
    const who = { name: document.getElementById("name").value.trim(), email: document.getElementById("email").value.trim() };
    for (const name of ["name", "email"]) sessionStorage.setItem(name, who[name]);
    return who;
  }

  function priced() {
    if (!page.free) return { total: page.total, currency: page.currency };
    const currency = document.getElementById("currency").value;
    const text = document.getElementById("amount").value.trim().replace(",", ".");
    const decimals = page.exponents[currency] ?? 2;
    const match = text.match(/^(\d{1,9})(?:\.(\d+))?$/);
    if (!match || (match[2] || "").length > decimals) return { total: null, currency };
    return { total: Number(match[1] + (match[2] || "").padEnd(decimals, "0")), currency };
  }

  function complete() {
    let first = null;
    const check = (id, good) => {
      wrong(id, good);
      if (!good) first = first || document.getElementById(id);
    };
    if (page.free) check("amount", priced().total > 0);
    check("name", document.getElementById("name").value.trim() !== "");
    check("email", document.getElementById("email").validity.valid);
    if (first) first.focus();
    return !first;
  }

  const WRONG = {
    name: "Please enter your name.",
    email: "Please enter an e-mail address, like ada@example.com.",
    amount: "Please enter an amount, like 12.50.",
  };

  /** A red frame alone says nothing to who cannot see it, and little to who can. */
  function wrong(id, good) {
    const field = document.getElementById(id);
    field.setAttribute("aria-invalid", good ? "false" : "true");
    const words = document.getElementById(`${id}-wrong`);
    if (good) { if (words) words.remove(); } else if (!words) {
      field.closest(".field").append(h("p", { id: `${id}-wrong`, class: "wrong", role: "alert" }, WRONG[id]));
    }
  }

  async function refused(problem) {
    const details = problem.details || {};
    if (details.decline_code) { declined(details.decline_code); return; }
    if (details.operation_id && payment.id) { await wait(); return; }
    if (problem.code === "illegal_state" && await isPaid()) { done(); return; }
    if (mark(problem)) return;
    say(...(SENTENCES[problem.code] || ["This did not work.", "Press Pay to try again, or use another card. You pay at most once."]));
  }

  /** Whether the payment, or the order by another one, is paid already. */
  async function isPaid() {
    const asked = payment.id ? `/shop/payments/${payment.id}` : `/shop/orders/${page.order}`;
    try {
      const { state } = await (await fetch(asked)).json();
      return !["open", "failed"].includes(state);
    } catch {
      return false;
    }
  }

  /** Say it at the field, if it is one that the payer sees. */
  function mark(problem) {
    const named = (problem.validation_errors || []).map(({ field }) => field);
    const seen = { "guest_data.name": "name", "guest_data.email": "email", total_cents: page.free && "amount" };
    const ids = named.map((field) => seen[field]).filter(Boolean);
    for (const id of ids) wrong(id, false);
    if (ids.length) document.getElementById(ids[0]).focus();
    return ids.length > 0;
  }

  function declined(code) {
    say(way().declined, `${REASONS[code] || "The bank gives no further reason."} You have not been charged. ${way().another || "Try another card."}`);
    // What was agreed on the gateway's page was agreed for this one: the next is a payment of its own.
    if (way().away) payment.spent = true;
    remember();
    way().focus();
  }

  function say(title, text, calm = false) {
    notice.replaceChildren(h("strong", {}, title), text);
    notice.classList.toggle("info", calm);
    notice.hidden = false;
    notice.scrollIntoView({ block: "nearest" });
  }
  function hide() { notice.hidden = true; }

  function busy(text) {
    button.disabled = true;
    button.classList.add("spin");
    buttonText.textContent = text;
    progress.textContent = "Please do not close this page.";
  }
  function idle() {
    const { total, currency } = priced();
    button.disabled = false;
    button.classList.remove("spin");
    buttonText.textContent = `${way().button || "Pay"}${total ? ` ${way().button ? "· " : ""}${money(total, currency, page.exponents)}` : ""}`;
    progress.textContent = "";
  }
  function done() {
    sessionStorage.removeItem(memory);
    location.assign(page.order ? `/orders/${page.order}` : `/receipts/${payment.id}`);
  }
})();
