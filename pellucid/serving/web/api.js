// Requests, with a key if the server asks for one, and their progress.

import { say } from "./words.js";

let key = sessionStorage.getItem("key") ?? "";

async function askedForKey() {
  const dialog = document.getElementById("key-dialog");
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  key = document.getElementById("key").value;
  sessionStorage.setItem("key", key);
}

async function sent(path, options) {
  for (;;) {
    const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(say("lost"));
    }
    if (response.status === 401) {
      await askedForKey();
      continue;
    }
    if (!response.ok) throw new Error((await response.json()).error.message);
    return response;
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
    const { value, done } = await reader.read();
    if (done) throw new Error(say("lost"));
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const [, name, data] = block.match(/^event: (.*)\ndata: (.*)$/s);
      const found = JSON.parse(data);
      if (name === "error") throw new Error(found.message);
      if (name === "progress") tell(found.step, found.steps);
      if (name === "done") return found;
    }
  }
}

export async function samples(body, { tell = () => {}, signal } = {}) {
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

export async function edits(fields, { signal } = {}) {
  return (await sent("/v1/images/edits", { method: "POST", body: form(fields), signal })).json();
}

export async function continuations(fields, { tell = () => {}, signal } = {}) {
  return followed(await sent("/v1/continuations", { method: "POST", body: form({ ...fields, stream: true }), signal }), tell);
}
