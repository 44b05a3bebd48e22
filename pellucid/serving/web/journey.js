// The slider from noise to data: pictures, or texts whose words come one after the other.

import { say } from "./words.js";

const place = (name) => document.getElementById(name);
let timer = null;

function stop() {
  clearInterval(timer);
  timer = null;
  place("journey-play").textContent = say("play");
}

// `frames[step][sample]` are put into the figures of `shown`.
export function follow(frames, shown, isText) {
  const slider = place("journey-slider");
  const figures = [...shown.querySelectorAll("figure")];
  const finals = figures.map((figure) => figure.querySelector(isText ? "pre" : "img, canvas, video, audio"));
  const held = figures.map((figure, sample) => {
    if (isText || finals[sample]?.tagName === "IMG") return finals[sample];
    const image = Object.assign(document.createElement("img"), { alt: "", hidden: true });
    figure.prepend(image);
    return image;
  });
  const last = finals.map((element) => (isText ? element.textContent : element?.src));
  stop();
  place("journey").hidden = frames.length < 2;
  slider.max = frames.length - 1;
  slider.value = slider.max;

  function show() {
    const step = Number(slider.value);
    const end = step === frames.length - 1;
    place("journey-step").textContent = `${step} / ${frames.length - 1}`;
    held.forEach((element, sample) => {
      const frame = frames[step][sample];
      if (!element || frame === undefined) return;
      if (isText) element.textContent = end ? last[sample] : frame;
      else if (element === finals[sample]) element.src = end ? last[sample] : `data:image/png;base64,${frame}`;
      else {
        element.src = `data:image/png;base64,${frame}`;
        element.hidden = end;
        finals[sample].hidden = !end;
      }
    });
  }

  slider.oninput = show;
  place("journey-play").onclick = () => {
    if (timer) return stop();
    if (Number(slider.value) === frames.length - 1) slider.value = 0;
    place("journey-play").textContent = say("pause");
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === frames.length - 1) stop();
    }, Math.max(40, 2500 / frames.length));
  };
  show();
}

export function hide() {
  stop();
  place("journey").hidden = true;
}
