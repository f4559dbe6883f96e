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

  let payment = recall();

  const cards = window.SandboxGateway.cardFields(document.getElementById("card"), {
    key: page.publishable_key,
    onSubmit: () => form.requestSubmit(),
  });
  for (const chip of document.querySelectorAll("[data-card]")) {
    chip.addEventListener("click", () => cards.fill(chip.dataset.card));
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); pay(); });
  for (const field of form.querySelectorAll("input, select")) {
    field.addEventListener("input", () => field.removeAttribute("aria-invalid"));
  }
  if (page.free) {
    for (const name of ["amount", "currency"]) document.getElementById(name).addEventListener("input", () => { forget(); idle(); });
  }
  restoreContact();
  idle();
  if (page.payment_id) resume(page.payment_id);

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
        return { status: answer.status, data: read.data || {}, problem: answer.ok ? null : read };
      } catch (error) {
        if (attempt === 3) throw error;
        await pause(600 * 2 ** attempt);
      }
    }
  }

  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  async function intent() {
    if (payment.id) return;
    payment.key = payment.key || crypto.randomUUID();
    const { total, currency } = priced();
    const { status, data, problem } = await ask("/payments/intents", {
      total_cents: total,
      currency,
      reference_code: page.order || undefined,
      description: page.order ? `Order ${page.order}` : "A free amount",
      guest_data: contact(),
    }, payment.key);
    if (status === 409 && problem.details && problem.details.payment_id) payment = { id: problem.details.payment_id };
    else if (problem) { payment.key = undefined; throw new Refused(problem); }
    else payment = { id: data.id, secret: data.client_secret };
    remember();
  }

  class Refused extends Error {
    constructor(problem) { super(problem.message || problem.error); this.problem = problem; }
  }

  // --- one attempt ------------------------------------------------------------------------------

  async function pay() {
    if (button.disabled || !complete()) return;
    hide();
    busy("Paying …");
    try {
      const card = await cards.tokenize(contact());
      if (card.error) { idle(); return; }
      await intent();
      if (document.getElementById("directly").checked && payment.secret) await payDirectly(card);
      else await payThroughUs(card);
    } catch (error) {
      if (error instanceof Refused) refused(error.problem);
      else say("We could not reach the shop.", "Nothing is lost: press Pay again and the same payment goes on.", true);
      idle();
    }
  }

  async function payThroughUs(card) {
    const { data, problem } = await ask(`/payments/intents/${payment.id}/confirm`, {
      payment_method_id: card.id,
      return_url: returnUrl(),
    }, crypto.randomUUID());
    if (problem) { await refused(problem); idle(); } else await follow(data);
  }

  async function payDirectly(card) {
    const answer = await window.SandboxGateway.confirmPayment({
      key: page.publishable_key, clientSecret: payment.secret, paymentMethod: card.id,
    });
    const { data } = await ask(`/payments/intents/${payment.id}/sync`, {});
    if (answer.error) { declined(answer.error.decline_code || answer.error.code); idle(); } else await follow(data);
  }

  function returnUrl() {
    const back = new URL(page.order ? `/checkout/${page.order}` : "/pay", location.origin);
    back.searchParams.set("payment", payment.id);
    return back.href;
  }

  /** Do what the payment's status asks for. */
  async function follow(data) {
    if (["succeeded", "requires_capture", "refunded", "partially_refunded"].includes(data.status)) { done(); return; }
    if (data.status === "requires_action" && data.next_action && data.next_action.url) {
      busy("Your bank asks you to confirm …");
      location.assign(data.next_action.url);
      return;
    }
    if (data.status === "processing") { await wait(); return; }
    if (data.decline_code) declined(data.decline_code);
    else if (data.status === "canceled" || data.status === "failed") { forget(); say("This payment was given up.", "Press Pay to begin a new one."); }
    idle();
  }

  /** Nobody knows yet. We ask again and again, and never pay a second time. */
  async function wait() {
    busy("Checking with the gateway …");
    say("We are checking your payment.", "The gateway has not answered yet. Please wait, and do not pay again.", true);
    for (let attempt = 0; attempt < 150; attempt += 1) {
      await pause(1500);
      if (attempt === 10) say("We are still checking.", "This takes longer than usual. Please do not pay again; this page goes on by itself.", true);
      const { data, problem } = await ask(`/payments/intents/${payment.id}/sync`, {}).catch(() => ({ problem: {} }));
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
    payment = { ...payment, id };
    remember();
    history.replaceState(null, "", location.pathname);
    busy("Checking your payment …");
    try {
      const { data, problem } = await ask(`/payments/intents/${id}/sync`, {});
      if (problem) { refused(problem); idle(); } else await follow(data);
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
      const field = document.getElementById(id);
      field.setAttribute("aria-invalid", good ? "false" : "true");
      if (!good) first = first || field;
    };
    if (page.free) check("amount", priced().total > 0);
    check("name", document.getElementById("name").value.trim() !== "");
    check("email", document.getElementById("email").validity.valid);
    if (first) first.focus();
    return !first;
  }

  async function refused(problem) {
    const details = problem.details || {};
    if (details.decline_code) { declined(details.decline_code); return; }
    if (details.operation_id) { await wait(); return; }
    if (/already paid/.test(`${problem.error} ${problem.message}`)) { done(); return; }
    say("This did not work.", problem.message || problem.error);
  }

  function declined(code) {
    say("Your card was declined.", `${REASONS[code] || "The bank gives no further reason."} You have not been charged. Try another card.`);
    cards.focus();
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
    buttonText.textContent = total ? `Pay ${money(total, currency, page.exponents)}` : "Pay";
    progress.textContent = "";
  }
  function done() {
    sessionStorage.removeItem(memory);
    location.assign(page.order ? `/orders/${page.order}` : `/receipts/${payment.id}`);
  }
})();
