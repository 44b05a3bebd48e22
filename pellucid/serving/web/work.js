// One thing at a time, with progress where it is shown, and a sentence when it fails.

import { say } from "./words.js";

const place = (name) => document.getElementById(name);
const STARTS = "#make, #compare-guidance, #fill, #compare-strength, #continue, #impute";
let running = null;

function busy(now) {
  place("waiting").hidden = !now;
  for (const button of document.querySelectorAll(STARTS)) button.classList.toggle("waits", now);
}

export function complain(message, section) {
  section.prepend(place("status"));
  Object.assign(place("problem"), { textContent: message, hidden: false });
  place("status").scrollIntoView({ block: "nearest" });
}

// Has `task` done, which is shown in `section`.
export async function work(task, section) {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  section.prepend(place("status"));
  place("problem").hidden = true;
  place("progress").removeAttribute("value");
  place("told").textContent = say("waiting");
  busy(true);
  place("status").scrollIntoView({ block: "nearest" });
  const tell = (done, whole) => {
    place("progress").value = done / whole;
    place("told").textContent = say("step", done, whole);
  };
  try {
    await task({ tell, signal });
    if (section.getBoundingClientRect().top > innerHeight / 2) section.scrollIntoView({ behavior: "smooth" });
  } catch (error) {
    complain(error.name === "AbortError" ? say("stopped") : error.message, section);
  } finally {
    running = null;
    busy(false);
  }
}

export function stop() {
  running?.abort();
}
