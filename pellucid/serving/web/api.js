// Requests, with a key if the server asks for one, and their progress.

import { say } from "./words.js";

const SAID = { 413: "large", 429: "busy", 499: "lost", 500: "fault", 503: "closing", 504: "late" };
let key = sessionStorage.getItem("key") ?? "";

async function askedForKey() {
  const dialog = document.getElementById("key-dialog");
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  key = document.getElementById("key").value;
  sessionStorage.setItem("key", key);
}

// What the server says, in the page's language where it is about the server, not about what was asked for.
function problem({ code, message }) {
  return new Error(SAID[code] ? say(SAID[code]) : say("refused", message));
}

// What fails on the way is a lost server, unless it was the user who stopped it.
async function reached(attempt) {
  try {
    return await attempt();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(say("lost"));
  }
}

async function sent(path, options) {
  for (;;) {
    const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    const response = await reached(() => fetch(path, { ...options, headers }));
    if (response.ok) return response;
    if (response.status === 401) await askedForKey();
    else throw problem((await reached(() => response.json())).error);
  }
}

export async function model() {
  return (await (await sent("/v1/models", {})).json()).data[0];
}

// The last event's data; `tell` hears of every step.
async function followed(response, tell) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reached(() => reader.read());
    if (done) throw new Error(say("lost"));
    held += value;
    if (!value.includes("\n")) continue; // the end of an event may be far in a long one
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const [, name, data] = block.match(/^event: (.*)\ndata: (.*)$/s);
      const found = JSON.parse(data);
      if (name === "error") throw problem(found);
      if (name === "progress") tell(found.step, found.steps);
      if (name === "done") return found;
    }
  }
}

export async function samples(body, { tell, signal }) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, signal };
  return followed(await sent("/v1/samples", { ...options, body: JSON.stringify({ ...body, stream: true }) }), tell);
}

function form(fields) {
  const whole = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Blob) whole.append(name, value, value.name ?? `${name}.png`);
    else if (value !== undefined && value !== null && value !== "") whole.append(name, String(value));
  }
  return whole;
}

export async function edits(fields, { signal }) {
  return (await sent("/v1/images/edits", { method: "POST", body: form(fields), signal })).json();
}

// What comes next in a file where there is a `length`, what is missing in it where there is none.
export async function completions(fields, { tell, signal }) {
  const path = fields.length ? "/v1/continuations" : "/v1/imputations";
  return followed(await sent(path, { method: "POST", body: form({ ...fields, stream: true }), signal }), tell);
}
