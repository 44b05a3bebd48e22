// The page: what is asked for, what comes of it, and what can be done with that.

import { continuations, edits, model as described, samples } from "./api.js";
import { Easel } from "./brush.js";
import { follow, hide } from "./journey.js";
import { card, element, picture } from "./show.js";
import { other, say, translate } from "./words.js";

const place = (name) => document.getElementById(name);
const easel = new Easel(place("easel"), place("brush"));
const GUIDANCES = [1, 2, 4, 8];
const STRENGTHS = [0.2, 0.4, 0.6, 0.8];
const MOST_FRAMES = 16; // samples of which the server keeps the way from noise

let facts = null;
let running = null;

function about() {
  const shape = facts.shape.slice(1).reverse().join(" × ");
  place("about").textContent = say("about", facts.id, `${say(facts.kind)} ${shape}`, facts.batch);
}

function fields() {
  const hidden = {
    "prompt-field": !(facts.captions || (facts.tokens && !facts.sourced)),
    "source-field": !facts.sourced,
    "label-field": !facts.labels.length,
    "guidance-field": !(facts.labels.length || facts.captions),
    "compare-guidance": !(facts.labels.length || facts.captions),
    editing: facts.kind !== "image",
    completing: !(["series", "video"].includes(facts.kind) || (facts.tokens && !facts.sourced)),
  };
  for (const [name, value] of Object.entries(hidden)) place(name).hidden = value;
  const chosen = place("label").value;
  place("label").replaceChildren(new Option(say("any"), ""), new Option(say("all"), "\0"), ...facts.labels.map((name) => new Option(name, name)));
  place("label").value = facts.labels.includes(chosen) ? chosen : "";
  about();
}

function outputs() {
  for (const output of document.querySelectorAll("output[for]")) {
    const input = place(output.htmlFor[0]);
    output.textContent = input.value;
  }
}

// What the form says, as /v1/samples takes it.
function asked() {
  const label = place("label").value;
  return {
    n: Number(place("n").value),
    steps: Number(place("steps").value),
    seed: Number(place("seed").value) || 0,
    ...(place("label-field").hidden || !label ? {} : { label: label === "\0" ? facts.labels : label }),
    ...(place("prompt-field").hidden || !place("prompt").value.trim() ? {} : { prompt: place("prompt").value }),
    ...(place("source-field").hidden ? {} : { source: place("source").value }),
    ...(place("guidance-field").hidden ? {} : { guidance: Number(place("guidance").value) }),
  };
}

// Guidance needs something to be guided to.
function guided(body) {
  const { guidance, ...rest } = body;
  return rest.label || rest.prompt ? body : rest;
}

// One thing at a time, with progress, and a sentence when it fails.
async function work(task) {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  place("problem").hidden = true;
  place("empty").hidden = true;
  Object.assign(place("progress"), { value: 0 }).removeAttribute("value");
  place("told").textContent = say("waiting");
  place("waiting").hidden = place("stop").hidden = false;
  place("make").disabled = true;
  const tell = (done, whole) => {
    place("progress").value = done / whole;
    place("told").textContent = say("step", done, whole);
  };
  try {
    await task({ tell, signal });
  } catch (error) {
    place("problem").textContent = error.name === "AbortError" ? say("stopped") : error.message;
    place("problem").hidden = false;
  } finally {
    running = null;
    place("waiting").hidden = place("stop").hidden = true;
    place("make").disabled = false;
  }
}

function start(blob) {
  easel.open(blob).then(() => {
    place("fill").disabled = place("compare-strength").disabled = false;
    place("edited").replaceChildren();
    place("editing").scrollIntoView({ behavior: "smooth" });
  }).catch((error) => Object.assign(place("problem"), { textContent: error.message, hidden: false }));
}

function made(found, target, titles) {
  const edit = facts.kind === "image" ? start : undefined;
  const files = found.files.filter((file) => file.name !== "metadata.jsonl");
  target.replaceChildren(...files.map((file, at) => card(file, titles?.[at] ?? found.labels?.[at] ?? say("sample", at + 1), { edit })));
}

async function make(how) {
  const body = guided(asked());
  const journey = body.n <= MOST_FRAMES;
  const found = await samples({ ...body, journey }, how);
  made(found, place("shown"));
  place("shown").prepend(element("p", { className: "took", textContent: say("took", found.seconds, found.seed) }));
  const frames = found.journey ?? found.journey_texts ?? [];
  if (frames.length) follow(frames, place("shown"), Boolean(found.journey_texts));
  else hide();
}

async function compareGuidance(how) {
  const body = { ...asked(), n: 1 };
  if (!body.label && !body.prompt && facts.labels.length) body.label = facts.labels[0];
  const rows = [];
  hide();
  for (const guidance of GUIDANCES) {
    const found = await samples({ ...body, guidance }, how);
    rows.push(card(found.files[0], say("weight", guidance), { edit: facts.kind === "image" ? start : undefined }));
    place("shown").replaceChildren(...rows);
  }
}

function wanted() {
  const body = guided(asked());
  return { prompt: body.prompt ?? "", label: Array.isArray(body.label) ? "" : body.label, guidance: body.guidance, steps: body.steps, seed: body.seed };
}

async function edited(extra, title, how) {
  const found = await edits({ image: easel.blob, ...wanted(), ...extra }, how);
  return picture(found.data[0].b64_json, title, { edit: start });
}

async function fill(how) {
  const mask = easel.painted ? await easel.white() : undefined;
  place("edited").replaceChildren(await edited({ mask, n: 1 }, say("fill"), how));
}

async function compareStrength(how) {
  const rows = [];
  for (const strength of STRENGTHS) {
    rows.push(await edited({ strength }, say("strength", strength), how));
    place("edited").replaceChildren(...rows);
  }
}

async function goOn(how) {
  const file = place("begun").files[0];
  const found = await continuations({ file, length: place("more").value, seed: Number(place("seed").value) || 0 }, how);
  made(found, place("continued"), [say("continue")]);
}

place("asking").addEventListener("submit", (event) => {
  event.preventDefault();
  work(make);
});
place("asking").addEventListener("input", outputs);
place("stop").addEventListener("click", () => running?.abort());
place("dice").addEventListener("click", () => {
  place("seed").value = Math.floor(Math.random() * 1e6);
});
place("compare-guidance").addEventListener("click", () => work(compareGuidance));
place("compare-strength").addEventListener("click", () => work(compareStrength));
place("fill").addEventListener("click", () => work(fill));
place("clear").addEventListener("click", () => easel.clear());
place("picture").addEventListener("change", () => place("picture").files[0] && start(place("picture").files[0]));
place("begun").addEventListener("change", () => {
  const file = place("begun").files[0];
  place("continue").disabled = !file;
  place("begun-name").textContent = file ? file.name : say("openFile");
});
place("continue").addEventListener("click", () => work(goOn));
place("language").addEventListener("click", () => {
  other();
  fields();
});

translate();
try {
  facts = await described();
  place("steps").value = facts.defaults.steps;
  place("guidance").value = facts.defaults.guidance;
  place("n").max = Math.min(16, facts.limits.samples);
  fields();
} catch (error) {
  Object.assign(place("problem"), { textContent: error.message, hidden: false });
}
outputs();
