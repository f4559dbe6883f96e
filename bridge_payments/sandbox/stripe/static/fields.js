// The hosted card fields: this page belongs to the gateway, so the shop that frames it never sees a number.
"use strict";

const input = {};
for (const name of ["number", "expiry", "cvc"]) input[name] = document.getElementById(name);
const problem = document.getElementById("problem");
const brandBadge = document.getElementById("brand");

let shop = null; // the port to the shop's page
let key = "";

// What the sandbox lets a shop fill in by name; a real gateway has nothing like it.
const TEST_CARDS = {
  approved: "4242424242424242",
  declined: "4000000000000002",
  funds: "4000000000009995",
  challenge: "4000000000003220",
  mastercard: "5555555555554444",
  amex: "378282246310005",
};

const BRANDS = [
  [/^4/, "VISA"],
  [/^(5[1-5]|2[2-7])/, "MASTERCARD"],
  [/^3[47]/, "AMEX"],
  [/^6(011|5)/, "DISCOVER"],
  [/^35/, "JCB"],
  [/^3(0|6|8)/, "DINERS"],
  [/^62/, "UNIONPAY"],
];

const digits = (text) => text.replace(/\D/g, "");
const brandOf = (number) => (BRANDS.find(([start]) => start.test(number)) || [null, ""])[1];

function passesLuhn(number) {
  let sum = 0;
  [...number].reverse().forEach((digit, place) => {
    const value = Number(digit) * (place % 2 ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  });
  return sum % 10 === 0;
}

function grouped(number) {
  const parts = brandOf(number) === "AMEX" ? number.match(/^(\d{1,4})(\d{1,6})?(\d{1,5})?/) : null;
  return parts ? parts.slice(1).filter(Boolean).join(" ") : number.replace(/(\d{4})(?=\d)/g, "$1 ");
}

function read() {
  const number = digits(input.number.value);
  const expiry = digits(input.expiry.value);
  return { number, month: Number(expiry.slice(0, 2)), year: 2000 + Number(expiry.slice(2, 4)), cvc: digits(input.cvc.value) };
}

function faultOf(name) {
  const card = read();
  const now = new Date();
  const amex = brandOf(card.number) === "AMEX";
  if (name === "number") {
    if (!card.number) return "Enter your card number.";
    const whole = amex ? card.number.length === 15 : card.number.length >= 13;
    return whole && passesLuhn(card.number) ? "" : "This card number is not complete or not correct.";
  }
  if (name === "expiry") {
    if (digits(input.expiry.value).length < 4 || card.month < 1 || card.month > 12) return "Enter the expiry date as MM / YY.";
    const passed = card.year < now.getFullYear() || (card.year === now.getFullYear() && card.month < now.getMonth() + 1);
    return passed ? "This card has expired." : "";
  }
  return card.cvc.length === (amex ? 4 : 3) ? "" : "Enter the security code from your card.";
}

function show(name, fault) {
  input[name].setAttribute("aria-invalid", fault ? "true" : "false");
  problem.textContent = fault;
  tellHeight();
}

function tellHeight() {
  if (shop) shop.postMessage({ type: "height", height: document.documentElement.offsetHeight });
}

function tellState() {
  if (!shop) return;
  const { number } = read();
  const complete = ["number", "expiry", "cvc"].every((name) => !faultOf(name));
  shop.postMessage({ type: "state", complete, brand: brandOf(number).toLowerCase() });
}

input.number.addEventListener("input", () => {
  const number = digits(input.number.value).slice(0, 19);
  const atEnd = input.number.selectionStart === input.number.value.length;
  if (atEnd) input.number.value = grouped(number);
  brandBadge.textContent = brandOf(number);
  input.cvc.placeholder = brandOf(number) === "AMEX" ? "4 digits" : "CVC";
});
input.expiry.addEventListener("input", (event) => {
  let text = digits(input.expiry.value).slice(0, 4);
  if (text.length === 1 && Number(text) > 1) text = `0${text}`;
  const deleting = event.inputType && event.inputType.startsWith("delete");
  input.expiry.value = text.length > 2 || (text.length === 2 && !deleting) ? `${text.slice(0, 2)} / ${text.slice(2)}` : text;
});
input.cvc.addEventListener("input", () => { input.cvc.value = digits(input.cvc.value).slice(0, 4); });
for (const name of Object.keys(input)) {
  input[name].addEventListener("input", () => { show(name, ""); tellState(); });
  input[name].addEventListener("blur", () => { if (input[name].value) show(name, faultOf(name)); });
}
document.getElementById("card").addEventListener("submit", (event) => {
  event.preventDefault();
  if (shop) shop.postMessage({ type: "submit" });
});

async function tokenize(who) {
  for (const name of Object.keys(input)) {
    const fault = faultOf(name);
    show(name, fault);
    if (fault) {
      input[name].focus();
      return { error: fault };
    }
  }
  const card = read();
  const form = new URLSearchParams({
    type: "card",
    "card[number]": card.number,
    "card[exp_month]": String(card.month),
    "card[exp_year]": String(card.year),
    "card[cvc]": card.cvc,
    "billing_details[name]": who.name || "",
    "billing_details[email]": who.email || "",
  });
  try {
    const answer = await fetch("/v1/payment_methods", { method: "POST", body: form, headers: { authorization: `Bearer ${key}` } });
    const body = await answer.json();
    if (answer.ok) return { id: body.id, brand: body.card.brand, last4: body.card.last4 };
    const field = { exp_month: "expiry", exp_year: "expiry", cvc: "cvc" }[body.error.param] || "number";
    show(field, body.error.message);
    return { error: body.error.message };
  } catch {
    return { error: "The card fields cannot reach the gateway. Try again." };
  }
}

function fill(name) {
  const number = TEST_CARDS[name];
  if (!number) return;
  const year = String((new Date().getFullYear() + 3) % 100);
  input.number.value = grouped(number);
  input.expiry.value = `12 / ${year}`;
  input.cvc.value = brandOf(number) === "AMEX" ? "1234" : "123";
  brandBadge.textContent = brandOf(number);
  for (const field of Object.keys(input)) show(field, "");
  tellState();
}

// The first page that greets this frame gets the port; everything else is ignored.
window.addEventListener("message", (event) => {
  if (shop || event.source !== window.parent || !event.data || event.data.type !== "hello" || !event.ports[0]) return;
  shop = event.ports[0];
  key = String(event.data.key);
  shop.onmessage = async ({ data }) => {
    if (data.type === "tokenize") shop.postMessage({ type: "answer", to: data.id, ...(await tokenize(data)) });
    if (data.type === "fill") fill(data.card);
    if (data.type === "focus") input.number.focus();
  };
  shop.postMessage({ type: "ready" });
  new ResizeObserver(tellHeight).observe(document.documentElement);
});
