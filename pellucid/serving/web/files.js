// Files that came from the server, and elements to show them in. All text goes in as text, never as markup.

export function element(name, attributes = {}, ...inside) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...inside);
  return made;
}

export function bytes(file) {
  return Uint8Array.from(atob(file.base64), (letter) => letter.charCodeAt(0));
}

export function blob(file) {
  return new File([bytes(file)], file.name, { type: file.media_type });
}

export function text(file) {
  return new TextDecoder().decode(bytes(file));
}

export function url(file) {
  return `data:${file.media_type};base64,${file.base64}`;
}

export function png(base64) {
  return `data:image/png;base64,${base64}`;
}
