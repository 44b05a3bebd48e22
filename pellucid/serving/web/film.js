// Films that play, with a slider over their frames; on the way from noise too, of which the server sends frames side by side.

import { blob, element, png, url } from "./files.js";
import { say } from "./words.js";

const LEAST = 50; // milliseconds of a frame

async function decoded(file) {
  const decoder = new ImageDecoder({ data: await blob(file).arrayBuffer(), type: file.media_type });
  await Promise.all([decoder.tracks.ready, decoder.completed]);
  const found = { frames: [], wait: 125 };
  for (let at = 0; at < decoder.tracks.selectedTrack.frameCount; at += 1) {
    const { image } = await decoder.decode({ frameIndex: at });
    found.wait = Math.max(LEAST, (image.duration ?? 125000) / 1000);
    found.frames.push(await createImageBitmap(image));
    image.close();
  }
  return found;
}

// Frames of a strip, each as wide as the film.
function cut(strip, width) {
  return Array.from({ length: strip.naturalWidth / width }, (_, at) => [strip, at * width]);
}

export function film(file, width) {
  if (!("ImageDecoder" in window)) { // a browser that cannot, or a page that came from another machine without TLS
    const image = element("img", { src: url(file), alt: "" });
    return { element: image, step: () => {} };
  }
  const canvas = element("canvas", { className: "film", width: 1, height: 1 });
  const slider = element("input", { type: "range", min: 0, max: 0, value: 0, ariaLabel: say("frame"), className: "frames" });
  let [own, shown, at, timer, asked] = [[], [], 0, null, 0];

  function draw() {
    if (!shown.length) return;
    const [image, left] = shown[Math.floor((at * shown.length) / Math.max(1, own.length))] ?? shown.at(-1);
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    canvas.getContext("2d").drawImage(image, left, 0, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
    slider.value = at;
  }

  function play(wait) {
    timer = setInterval(() => {
      if (!canvas.isConnected) return clearInterval(timer);
      at = (at + 1) % own.length;
      draw();
    }, wait);
  }

  decoded(file).then(({ frames, wait }) => {
    own = frames.map((frame) => [frame, 0]);
    Object.assign(canvas, { width: frames[0].width, height: frames[0].height });
    slider.max = own.length - 1;
    if (!asked) shown = own;
    draw();
    canvas.addEventListener("click", () => {
      if (timer) timer = clearInterval(timer);
      else play(wait);
    });
    slider.addEventListener("input", () => {
      timer = clearInterval(timer);
      at = Number(slider.value);
      draw();
    });
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play(wait);
  });

  function step(frame) {
    asked = frame ?? 0;
    if (!frame) {
      shown = own;
      return draw();
    }
    const strip = element("img", { src: png(frame) });
    strip.decode().then(() => {
      if (asked !== frame) return;
      shown = cut(strip, width);
      draw();
    });
  }

  return { element: element("div", {}, canvas, slider), step };
}
