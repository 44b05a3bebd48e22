// A picture to be changed: where it is painted on, or as a whole, by noise.

import { edits } from "./api.js";
import { Easel } from "./brush.js";
import { asked } from "./form.js";
import { png } from "./files.js";
import { card, view } from "./show.js";
import { say } from "./words.js";
import { complain, work } from "./work.js";

const STRENGTHS = [0.2, 0.4, 0.6, 0.8];
const place = (name) => document.getElementById(name);

export function editor(facts) {
  const easel = new Easel(place("easel"), place("brush"));
  const section = place("editing");

  async function open(blob) {
    try {
      await easel.open(blob);
    } catch {
      return complain(say("noPicture"), section);
    }
    place("problem").hidden = true;
    place("easel-empty").hidden = true;
    place("easel").hidden = false;
    place("fill").disabled = place("compare-strength").disabled = false;
    place("edited").replaceChildren();
    section.scrollIntoView({ behavior: "smooth" });
  }

  async function edited(extra, title, how) {
    const { prompt = "", label, guidance, steps, seed } = await asked(facts);
    const sent = { image: easel.blob, prompt, label: Array.isArray(label) ? "" : label, guidance, steps, seed, ...extra };
    const [{ b64_json: base64 }] = (await edits(sent, how)).data;
    const file = { name: `${title.replace(/[^\p{L}\p{N}]+/gu, "-")}.png`, media_type: "image/png", base64 };
    return card(view([file], facts), title, [file], [["edit", async () => open(await (await fetch(png(base64))).blob())]]);
  }

  async function fill(how) {
    const mask = easel.painted ? await easel.white() : undefined;
    place("edited").replaceChildren(await edited({ mask, n: 1 }, say("fill"), how));
  }

  async function compare(how) {
    const cards = [];
    for (const strength of STRENGTHS) {
      cards.push(await edited({ strength }, say("strength", strength), how));
      place("edited").replaceChildren(...cards);
    }
  }

  section.hidden = false;
  place("fill").addEventListener("click", () => work(fill, section));
  place("compare-strength").addEventListener("click", () => work(compare, section));
  place("clear").addEventListener("click", () => easel.clear());
  place("picture").addEventListener("change", () => place("picture").files[0] && open(place("picture").files[0]));
  return open;
}
