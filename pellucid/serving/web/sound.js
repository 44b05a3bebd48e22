// Sounds to be listened to, with their spectrogram and their wave, and a line where they are.

import { bytes, element, png, url } from "./files.js";

const BARS = 240;

// The largest value of each stretch of a wave file in 16 bits.
function envelope(file) {
  const data = new DataView(bytes(file).buffer);
  let at = 12;
  while (at + 8 < data.byteLength && data.getUint32(at) !== 0x64617461) at += 8 + data.getUint32(at + 4, true); // "data"
  const count = Math.floor((data.byteLength - at - 8) / 2);
  return Array.from({ length: BARS }, (_, bar) => {
    let most = 0;
    for (let place = Math.floor((bar * count) / BARS); place < ((bar + 1) * count) / BARS; place += 1) {
      most = Math.max(most, Math.abs(data.getInt16(at + 8 + 2 * place, true)));
    }
    return most / 32768;
  });
}

function wave(file) {
  const canvas = element("canvas", { className: "wave", width: 2 * BARS, height: 64 });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#4f93bd";
  const found = envelope(file);
  const loudest = Math.max(...found, 1e-3);
  found.forEach((size, bar) => pen.fillRect(2 * bar, 32 - (31 * size) / loudest, 1.4, Math.max(1, (62 * size) / loudest)));
  return canvas;
}

export function sound(file, still) {
  const audio = element("audio", { src: url(file), controls: true, preload: "auto" });
  const picture = element("img", { src: png(still), alt: "", className: "spectrogram" });
  const line = element("i", { className: "now" });
  const seen = element("div", { className: "heard" }, picture, ...(file.media_type === "audio/wav" ? [wave(file)] : []), line);
  const follow = () => {
    line.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  for (const name of ["play", "seeked", "ended"]) audio.addEventListener(name, follow);
  seen.addEventListener("click", (event) => {
    const box = seen.getBoundingClientRect();
    audio.currentTime = ((event.clientX - box.left) / box.width) * (audio.duration || 0);
    audio.play();
  });
  const step = (frame) => { picture.src = png(frame ?? still); };
  return { element: element("div", {}, seen, audio), step };
}
