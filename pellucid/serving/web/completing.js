// What comes next in a table, film or text, and what is missing in it.

import { completions } from "./api.js";
import { asked } from "./form.js";
import { element, text as content } from "./files.js";
import { chart, fans } from "./plot.js";
import { card, view } from "./show.js";
import { say } from "./words.js";
import { work } from "./work.js";

const ACCEPTED = { series: ".csv,.tsv,.parquet", video: "video/*,.gif,.webp,.png" };
const GAP = "_";
const place = (name) => document.getElementById(name);

// In the page's language, as it is now.
export function nameCompleting(facts) {
  place("completing-name").textContent = say(`completing_${facts.kind}`);
  place("completing-hint").textContent = say(`hint_${facts.kind}`, facts.columns.join(", "));
  place("more-name").textContent = say(`more_${facts.kind}`);
  place("begun-name").textContent = place("begun-name").dataset.name ?? say("openFile");
}

// A text with what was not in `draft` marked.
function marked(draft, whole) {
  const parts = [];
  let rest = whole;
  for (const known of draft.split(/_+/)) {
    const at = rest.indexOf(known);
    if (at > 0) parts.push(element("mark", { textContent: rest.slice(0, at) }));
    parts.push(known);
    rest = rest.slice(Math.max(0, at) + known.length);
  }
  return element("p", { className: "written" }, ...parts, ...(rest ? [element("mark", { textContent: rest })] : []));
}

export function completer(facts) {
  const section = place("completing");
  const texts = facts.kind === "text";
  let begun = null;

  function ready() {
    const written = texts && place("draft").value.trim();
    place("continue").disabled = !(texts ? written : begun);
    place("impute").disabled = !(texts ? written.includes(GAP) : begun);
  }

  // Begin with a file, or a text.
  async function begin(file) {
    begun = file;
    if (texts) place("draft").value = await file.text();
    place("begun-name").dataset.name = file.name;
    nameCompleting(facts);
    ready();
    section.scrollIntoView({ behavior: "smooth" });
  }

  async function shown(file, before) {
    if (facts.kind !== "series") return texts ? { element: marked(before, content(file)) } : view([file], facts);
    const past = /\.(csv|tsv)$/i.test(begun.name) ? await begun.text() : "";
    return chart(fans(content(file), before && past, 2 * facts.shape[1]), 96);
  }

  async function complete(length, how) {
    const draft = place("draft").value;
    const file = texts ? new File([draft], "text.txt") : begun;
    const { prompt, label, steps, seed } = await asked(facts);
    const fields = { file, length, seed, steps, label: Array.isArray(label) ? "" : label, prompt: facts.captions ? prompt : "" };
    const { files } = await completions(fields, how);
    const title = length ? say("continued", length) : say("imputed");
    const seen = await shown(files[0], texts ? draft : length);
    place("continued").dataset.kind = facts.kind;
    place("continued").replaceChildren(card(seen, title, files, facts.kind === "video" ? [["continue", () => again(files[0])]] : []));
  }

  async function again(file) {
    begin(await (await fetch(`data:${file.media_type};base64,${file.base64}`)).blob());
  }

  section.hidden = false;
  place("draft").hidden = !texts;
  place("begun-field").hidden = texts;
  place("begun").accept = ACCEPTED[facts.kind] ?? "";
  place("impute").hidden = facts.kind === "video";
  place("more").value = facts.kind === "series" ? Math.ceil(facts.shape[1] / 2) : facts.shape[1];
  place("draft").addEventListener("input", ready);
  place("begun").addEventListener("change", () => place("begun").files[0] && begin(place("begun").files[0]));
  place("continue").addEventListener("click", () => work((how) => complete(Number(place("more").value), how), section));
  place("impute").addEventListener("click", () => work((how) => complete(0, how), section));
  nameCompleting(facts);
  return begin;
}
