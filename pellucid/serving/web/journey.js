// The slider from noise to data.

import { say } from "./words.js";

const SECONDS = 2;
const RECENT = 24; // the share of the way that counts as a little before
const place = (name) => document.getElementById(name);
let timer = null;

function stop() {
  clearInterval(timer);
  timer = null;
  place("journey-play").textContent = "▶";
  place("journey-play").ariaLabel = say("play");
}

// `steps[step][sample]` is what the view of a sample shows at a step; at the last it shows the sample itself. Plays once.
export function follow(steps, views) {
  const [slider, last] = [place("journey-slider"), steps.length - 1];

  function show(step) {
    slider.value = step;
    place("journey-step").textContent = `${step} / ${last}`;
    const before = steps[Math.max(0, step - Math.ceil(last / RECENT))];
    views.forEach((view, sample) => view.step(step === last ? null : steps[step][sample], before[sample]));
  }

  function play() {
    if (Number(slider.value) === last) show(0);
    place("journey-play").textContent = "❚❚";
    place("journey-play").ariaLabel = say("pause");
    timer = setInterval(() => {
      show(Number(slider.value) + 1);
      if (Number(slider.value) >= last) stop();
    }, Math.max(30, (1000 * SECONDS) / steps.length));
  }

  stop();
  place("journey").hidden = last < 1;
  slider.max = last;
  slider.oninput = () => {
    stop();
    show(Number(slider.value));
  };
  place("journey-play").onclick = () => (timer ? stop() : play());
  show(last);
  if (last > 0 && !matchMedia("(prefers-reduced-motion: reduce)").matches) play();
}

export function hide() {
  stop();
  place("journey").hidden = true;
}
