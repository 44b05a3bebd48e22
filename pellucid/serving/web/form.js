// The form: what the model can be asked for, what it is asked for now, and the same in the page's address, to be passed on.

import { element } from "./files.js";
import { say, translate } from "./words.js";

const KEPT = ["prompt", "source", "label", "n", "steps", "guidance", "seed"];
const ALL = "\0"; // the choice of every label in turn
const ACCEPTED = { picture: "image/*", sound: "audio/*" };
const place = (name) => document.getElementById(name);

export function guidable(facts) {
  return Boolean(facts.labels.length || facts.captions);
}

function about(facts) {
  const name = facts.sourced ? "answers" : facts.kind;
  const told = facts.kind === "joint" ? [facts.parts.map((part) => say(`part_${part}`)).join(say("and"))]
    : facts.kind === "scan" ? [facts.shape.slice(1).reverse().join(" × ")]
    : facts.kind === "series" ? facts.shape : facts.shape.slice(1);
  place("about").replaceChildren(element("b", { textContent: facts.id }), ` ${say(name, ...told)}`);
}

// In the page's language, as it is now.
export function name(facts) {
  const words = facts.tokens ? "begins" : "prompt";
  place("prompt-name").textContent = say(words);
  place("prompt").placeholder = say(`${words}Hint`);
  const chosen = place("label").value;
  place("label").replaceChildren(new Option(say("any"), ""), new Option(say("all"), ALL), ...facts.labels.map((one) => new Option(one, one)));
  place("label").value = chosen;
  about(facts);
}

function writable(part) {
  const called = element("span");
  called.dataset.word = `write_${part}`;
  return element("label", {}, called, element("input", { type: "text", name: part, maxLength: 4000 }));
}

function openable(part) {
  const [called, input] = [element("span"), element("input", { type: "file", name: part, accept: ACCEPTED[part] })];
  called.dataset.word = `open_${part}`;
  input.addEventListener("change", () => { called.textContent = input.files[0]?.name ?? say(`open_${part}`); });
  return element("label", { className: "file" }, called, input);
}

// Once, for a model.
export function fit(facts) {
  const hidden = {
    "prompt-field": !(facts.captions || (facts.tokens && !facts.sourced)),
    "source-field": !facts.sourced,
    given: !facts.parts.length,
    "label-field": !facts.labels.length,
    "guidance-field": !guidable(facts),
    "compare-guidance": !guidable(facts),
  };
  for (const [field, value] of Object.entries(hidden)) place(field).hidden = value;
  for (const part of facts.parts) {
    place("given").append(part === "text" ? writable(part) : openable(part));
  }
  place("steps").max = Math.max(100, 2 * facts.defaults.steps);
  place("steps").value = facts.defaults.steps;
  place("guidance").value = facts.defaults.guidance;
  place("n").max = Math.min(16, facts.limits.samples);
  translate();
  name(facts);
  recall();
  outputs();
}

export function outputs() {
  for (const output of document.querySelectorAll("output[for]")) output.textContent = place(output.htmlFor[0]).value;
}

function filled(field) {
  return place(`${field}-field`).hidden ? "" : place(field).value.trim();
}

async function base64(file) {
  const letters = Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => String.fromCharCode(byte));
  return btoa(letters.join(""));
}

async function given() {
  const found = {};
  for (const input of place("given").querySelectorAll("input")) {
    const value = input.type === "file" ? input.files[0] && (await base64(input.files[0])) : input.value.trim();
    if (value) found[input.name] = value;
  }
  return Object.keys(found).length ? { given: found } : {};
}

// What the form says, as /v1/samples takes it. Guidance needs something to be guided to.
export async function asked(facts) {
  const label = filled("label") || place("label").value;
  const prompt = filled("prompt") && place("prompt").value;
  return {
    n: Number(place("n").value),
    steps: Number(place("steps").value),
    seed: Number(place("seed").value) || 0,
    ...(label ? { label: label === ALL ? facts.labels : label } : {}),
    ...(prompt ? { prompt } : {}),
    ...(facts.sourced ? { source: place("source").value } : {}),
    ...(guidable(facts) && (label || prompt) ? { guidance: Number(place("guidance").value) } : {}),
    ...(await given()),
  };
}

// Into the address.
export function remember() {
  const shown = KEPT.filter((field) => place(field).value && !place(`${field}-field`)?.hidden);
  history.replaceState(null, "", `#${new URLSearchParams(shown.map((field) => [field, place(field).value]))}`);
}

function recall() {
  for (const [field, value] of new URLSearchParams(location.hash.slice(1))) if (KEPT.includes(field)) place(field).value = value;
}
