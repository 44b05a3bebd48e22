// Tables as charts: a panel for each column, a line for what is known, a band for what is not.

import { element } from "./files.js";

const WIDTH = 480;
const NAMED = 16; // height of a panel's heading
const OVER = 1.15; // how far a line may leave its panel
const COLOURS = 6;

function drawn(name, attributes, ...inside) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

function cells(line, mark) {
  const found = [""];
  let quoted = false;
  for (const letter of line) {
    if (letter === '"') quoted = !quoted;
    else if (letter === mark && !quoted) found.push("");
    else found[found.length - 1] += letter;
  }
  return found.map((cell) => cell.trim());
}

// Columns of numbers by their names, NaN where a cell has none.
export function columns(table) {
  const lines = table.trim().split(/\r?\n/);
  const mark = ["\t", ";", ","].find((one) => lines[0].includes(one)) ?? ",";
  const [names, ...rows] = lines.map((line) => cells(line, mark));
  const found = names.map((name, at) => [name, rows.map((row) => (row[at] ? Number(row[at].replace(/,/g, "")) : NaN))]);
  return new Map(found.filter(([, values]) => values.some(Number.isFinite)));
}

// The columns of a table with quantiles beside them as bands, after the last `past` rows of those in another, if any.
export function fans(table, earlier, past) {
  const found = columns(table);
  const known = earlier ? columns(earlier) : new Map();
  return [...found].filter(([name]) => found.has(`${name} q5`)).map(([name, middle]) => {
    const own = (known.get(name) ?? []).slice(-past);
    const before = own.map((value, at) => (at === own.length - 1 ? value : NaN));
    const edges = ["q5", "q95"].map((share) => [...before, ...found.get(`${name} ${share}`)]);
    return { name, values: [...own, ...middle], low: edges[0], high: edges[1], known: own.length };
  });
}

function rounded(value) {
  return Number.isFinite(value) ? Number(value.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 }) : "";
}

function path(values, x, y) {
  let pen = "M";
  return values.map((value, at) => {
    if (!Number.isFinite(value)) return (pen = "M") && "";
    const point = `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return point;
  }).join("");
}

function band({ low, high }, x, y) {
  const places = low.map((value, at) => (Number.isFinite(value) ? at : -1)).filter((at) => at >= 0);
  const points = [...places.map((at) => [at, high[at]]), ...places.reverse().map((at) => [at, low[at]])];
  return points.map(([at, value], order) => `${order ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}

// One column: its element, `move`, which has its line go elsewhere within the same scale, and `tell`, which says its values.
function panel(column, place, tall) {
  const [length, known] = [column.values.length, column.known ?? column.values.length];
  const real = [column.values, column.low ?? [], column.high ?? []].flat().filter(Number.isFinite);
  const [least, most] = [Math.min(...real), Math.max(...real)];
  const x = (at) => 2 + (at / Math.max(1, length - 1)) * (WIDTH - 4);
  const y = (value) => tall - 4 - Math.min(OVER, Math.max(1 - OVER, (value - least) / (most - least || 1))) * (tall - NAMED - 8);
  const told = drawn("text", { x: WIDTH - 2, y: 11, "text-anchor": "end" });
  const line = drawn("path", { class: "line", d: path(column.values.slice(0, known), x, y) });
  const cursor = drawn("path", { class: "cursor" });
  const unknown = column.low ? [
    drawn("path", { class: "band", d: band(column, x, y) }),
    drawn("path", { class: "middle", d: path(column.values.map((one, at) => (at < known - 1 ? NaN : one)), x, y) }),
  ] : [];
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${tall}`, class: `plot colour-${place % COLOURS}`, role: "img" },
    drawn("text", { x: 2, y: 11, class: "name" }, column.name), told, ...unknown, line, cursor);
  svg.setAttribute("aria-label", column.name);

  function tell(at) {
    const range = Number.isFinite(column.low?.[at]) && at >= known ? ` (${rounded(column.low[at])} – ${rounded(column.high[at])})` : "";
    told.textContent = rounded(column.values[at]) + range;
    cursor.setAttribute("d", at === length - 1 ? "" : `M${x(at)} ${NAMED}V${tall}`);
  }

  tell(length - 1);
  return { svg, tell, move: (values) => line.setAttribute("d", path(values.map((one) => one ?? NaN).slice(0, known), x, y)) };
}

// Columns { name, values, low, high, known }, of which the last three are those of forecasts, one below the other.
export function chart(found, tall = 54) {
  const panels = found.map((column, place) => panel(column, place, tall));
  const whole = element("div", { className: "panels" }, ...panels.map((one) => one.svg));
  const last = (found[0]?.values.length ?? 1) - 1;
  const tell = (at) => panels.forEach((one) => one.tell(at));
  whole.addEventListener("pointermove", (event) => {
    const box = event.target.closest("svg")?.getBoundingClientRect();
    if (box) tell(Math.min(last, Math.max(0, Math.round(((event.clientX - box.left) / box.width) * last))));
  });
  whole.addEventListener("pointerleave", () => tell(last));
  const step = (frame) => panels.forEach((one, place) => one.move(frame ? frame[place] : found[place].values));
  return { element: whole, step };
}
