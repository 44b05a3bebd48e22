// Samples on the page: pictures, films, sounds, series as lines, texts.

import { say } from "./words.js";

export function url(file) {
  return `data:${file.media_type};base64,${file.base64}`;
}

export function element(name, attributes = {}, ...inside) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...inside);
  return made;
}

export function blob(file) {
  return new Blob([bytes(file)], { type: file.media_type });
}

function bytes(file) {
  return Uint8Array.from(atob(file.base64), (letter) => letter.charCodeAt(0));
}

function text(file) {
  return new TextDecoder().decode(bytes(file));
}

// Each column of a table as a line, all scaled to the same height.
export function plot(table) {
  const rows = table.trim().split("\n").map((line) => line.split(","));
  const names = rows.shift();
  const columns = names.map((name, place) => [name, rows.map((row) => (row[place] === "" ? NaN : Number(row[place])))]);
  const lines = columns.filter(([, values]) => values.some((value) => !Number.isNaN(value)));
  const canvas = element("canvas", { width: 640, height: 240, className: "plot" });
  const pen = canvas.getContext("2d");
  const length = Math.max(2, rows.length);
  lines.forEach(([name, values], place) => {
    const real = values.filter(Number.isFinite);
    const [low, high] = [Math.min(...real), Math.max(...real)];
    pen.strokeStyle = pen.fillStyle = `hsl(${(place * 137.5 + 210) % 360} 65% 50%)`;
    pen.lineWidth = 2;
    pen.beginPath();
    values.forEach((value, at) => {
      const [x, y] = [(at / (length - 1)) * 632 + 4, 226 - ((value - low) / (high - low || 1)) * 204];
      if (Number.isFinite(value)) pen[at && Number.isFinite(values[at - 1]) ? "lineTo" : "moveTo"](x, y);
    });
    pen.stroke();
    pen.font = "12px system-ui";
    pen.fillText(name, 6 + (place % 6) * 104, 12 + 14 * Math.floor(place / 6));
  });
  return canvas;
}

function body(file) {
  const kind = file.media_type.split("/")[0];
  if (kind === "image") return element("img", { src: url(file), alt: "" });
  if (kind === "video") return element("video", { src: url(file), controls: true, loop: true, autoplay: true, muted: true });
  if (kind === "audio") return element("audio", { src: url(file), controls: true });
  if (file.media_type === "text/csv") return plot(text(file));
  if (kind === "text") return element("pre", { textContent: text(file) });
  return element("p", { textContent: file.name });
}

// One sample with its name and what can be done with it.
export function card(file, title, { edit } = {}) {
  const save = element("a", { href: url(file), download: file.name, textContent: say("download") });
  const more = edit ? [element("button", { type: "button", textContent: say("edit"), onclick: () => edit(blob(file)) })] : [];
  return element("figure", {}, body(file), element("figcaption", {}, element("span", { textContent: title }), save, ...more));
}

export function picture(base64, title, options) {
  return card({ name: `${title.replace(/\W+/g, "-")}.png`, media_type: "image/png", base64 }, title, options);
}
