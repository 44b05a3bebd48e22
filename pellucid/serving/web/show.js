// Samples on the page. What shows one is an element and `step`, which has it show a step on the way from noise, or, given
// null, the sample itself.

import { element, png, text, url } from "./files.js";
import { film } from "./film.js";
import { chart, columns } from "./plot.js";
import { sound } from "./sound.js";
import { say } from "./words.js";

const COARSE = 16; // pixels up to which they are shown as squares

function picture(source, className = "") {
  const image = element("img", { src: source, alt: "", className });
  image.addEventListener("load", () => image.classList.toggle("coarse", image.naturalWidth <= COARSE));
  return { element: image, step: (frame) => { image.src = frame ? png(frame) : source; } };
}

// Tokens that are new since a little before are marked, those yet to come are boxes.
function writing(whole) {
  const page = element("p", { className: "written", textContent: whole });
  const step = (tokens, before) => {
    if (!tokens) return void (page.textContent = whole);
    page.replaceChildren(...tokens.map((token, at) => {
      if (token === "·") return element("span", { className: "hidden", textContent: token });
      return before && before[at] !== token ? element("mark", { textContent: token }) : token;
    }));
  };
  return { element: page, step };
}

function table(file) {
  return chart([...columns(text(file))].map(([name, values]) => ({ name, values })));
}

// Of several parts: a picture of all, which follows the journey, and what can be heard.
function together(files, still) {
  const all = picture(png(still), "parts");
  const heard = files.filter((file) => file.media_type.startsWith("audio/"));
  const players = heard.map((file) => element("audio", { src: url(file), controls: true, preload: "auto" }));
  return { element: element("div", {}, all.element, ...players), step: all.step };
}

// What is shown of the files of one sample; `still` is a picture of it.
export function view(files, facts, still) {
  const [file] = files;
  if (files.length > 1) return together(files, still);
  if (file.media_type === "image/webp" && facts.kind === "video") return film(file, facts.shape[3]);
  const kind = file.media_type.split("/")[0];
  if (kind === "image") return picture(url(file));
  if (kind === "audio") return sound(file, still);
  if (file.media_type === "text/csv") return table(file);
  if (kind === "text") return writing(text(file));
  return picture(png(still));
}

// A sample with its name, its files to be downloaded, and what else can be done with it: [word, what] pairs.
export function card(shown, title, files, actions = []) {
  const saved = files.map((file) => element("a", {
    href: url(file), download: file.name, title: say("download"),
    textContent: files.length > 1 ? `↓ ${file.name.split(".").slice(1).join(".")}` : say("download"),
  }));
  const buttons = actions.map(([word, act]) => element("button", { type: "button", textContent: say(word), onclick: act }));
  const caption = element("figcaption", {}, element("span", { textContent: title }), element("div", {}, ...saved, ...buttons));
  return element("figure", {}, shown.element, caption);
}

// Files by the sample that they are of: those whose names are alike but for their end.
export function grouped(files) {
  const found = Map.groupBy(files.filter((file) => file.name !== "metadata.jsonl"), (file) => file.name.split(".")[0]);
  return [...found.values()];
}
