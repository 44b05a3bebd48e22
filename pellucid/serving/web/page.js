// The page: what is asked for, and what comes of it.

import { model as described, samples } from "./api.js";
import { completer, nameCompleting } from "./completing.js";
import { editor } from "./editing.js";
import { blob, element, text } from "./files.js";
import { asked, fit, name, outputs, remember } from "./form.js";
import { follow, hide } from "./journey.js";
import { card, grouped, view } from "./show.js";
import { other, say, translate } from "./words.js";
import { complain, stop, work } from "./work.js";

const GUIDANCES = [1, 2, 4, 8];
const place = (name) => document.getElementById(name);
let [facts, edit, begin] = [null, null, null];

// What can be done with the file of a sample.
function actions([file]) {
  const copy = async (event) => {
    await navigator.clipboard.writeText(text(file));
    event.target.textContent = say("copied");
  };
  return [
    ...(edit && facts.kind === "image" ? [["edit", () => edit(blob(file))]] : []),
    ...(begin && facts.kind !== "series" ? [["continue", () => begin(blob(file))]] : []),
    ...(facts.tokens && navigator.clipboard ? [["copy", copy]] : []),
  ];
}

function steps(found) {
  return found.journey ?? found.journey_tokens ?? found.journey_values ?? [];
}

// The samples of an answer, each with its view and its card.
function laid(found, title) {
  return grouped(found.files).map((files, at, all) => {
    const shown = view(files, facts, found.journey?.at(-1)[at]);
    const named = title ?? found.labels?.[at] ?? (all.length > 1 ? String(at + 1) : "");
    return { shown, card: card(shown, named, files, actions(files)) };
  });
}

function lay(all, before = []) {
  place("empty").hidden = true;
  place("shown").dataset.kind = facts.kind;
  place("shown").replaceChildren(...before, ...all.map((one) => one.card));
}

async function make(how) {
  const found = await samples({ ...(await asked(facts)), journey: true }, how);
  const all = laid(found);
  const took = say("took", found.seconds.toFixed(1), found.nfe, found.seed);
  lay(all, [element("p", { className: "took", textContent: took })]);
  follow(steps(found), all.map((one) => one.shown));
  remember();
}

async function compareGuidance(how) {
  const body = { ...(await asked(facts)), n: 1, journey: true };
  if (!body.label && !body.prompt && !facts.labels.length) throw new Error(say("needsPrompt"));
  if (!body.prompt || Array.isArray(body.label)) body.label = [body.label].flat()[0] ?? facts.labels[0];
  const [all, journeys] = [[], []];
  hide();
  for (const guidance of GUIDANCES) {
    const found = await samples({ ...body, guidance }, how);
    all.push(...laid(found, say("weight", guidance)));
    journeys.push(steps(found));
    lay(all);
  }
  follow(journeys[0].map((_, step) => journeys.map((one) => one[step][0])), all.map((one) => one.shown));
}

function start() {
  fit(facts);
  if (facts.kind === "image") edit = editor(facts);
  if (facts.completes) begin = completer(facts);
  place("asking").addEventListener("submit", (event) => {
    event.preventDefault();
    work(make, place("result"));
  });
  place("asking").addEventListener("input", outputs);
  place("compare-guidance").addEventListener("click", () => work(compareGuidance, place("result")));
  place("dice").addEventListener("click", () => {
    place("seed").value = Math.floor(Math.random() * 1e6);
    place("asking").requestSubmit();
  });
  if (location.hash) place("asking").requestSubmit();
}

place("stop").addEventListener("click", stop);
place("language").addEventListener("click", () => {
  other();
  if (facts) name(facts);
  if (begin) nameCompleting(facts);
});

translate();
try {
  facts = await described();
  start();
} catch (error) {
  complain(error.message, place("result"));
}
