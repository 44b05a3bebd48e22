// A picture to paint on: what is painted is to be made new.

const MOST = 512; // pixels of the longer side on the page; the picture itself keeps its own
const COARSE = 16; // pixels of a picture up to which they are shown as squares
const PAINT = "#2f7bff";

export class Easel {
  constructor(canvas, size) {
    Object.assign(this, { canvas, size, picture: null, mask: document.createElement("canvas"), painted: false });
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // or else text around is selected
      canvas.setPointerCapture(event.pointerId);
      this.paint(event, true);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.paint(event, false));
  }

  async open(blob) {
    const picture = new Image();
    picture.src = URL.createObjectURL(blob);
    await picture.decode();
    Object.assign(this, { picture, blob });
    const [width, height] = [picture.naturalWidth, picture.naturalHeight];
    Object.assign(this.mask, { width, height });
    const scale = MOST / Math.max(width, height);
    Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    this.clear();
  }

  clear() {
    this.painted = false;
    this.mask.getContext("2d").clearRect(0, 0, this.mask.width, this.mask.height);
    this.draw();
  }

  paint(event, begin) {
    if (!this.picture) return;
    const box = this.canvas.getBoundingClientRect();
    const now = [((event.clientX - box.left) / box.width) * this.mask.width, ((event.clientY - box.top) / box.height) * this.mask.height];
    const pen = this.mask.getContext("2d");
    Object.assign(pen, { lineCap: "round", lineJoin: "round", strokeStyle: PAINT });
    pen.lineWidth = Math.max(1, (Number(this.size.value) / 200) * Math.max(this.mask.width, this.mask.height));
    const from = begin || !this.last ? now : this.last;
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(now[0] + 0.01, now[1]);
    pen.stroke();
    this.last = now;
    this.painted = true;
    this.draw();
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    pen.imageSmoothingEnabled = this.mask.width > COARSE;
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.picture) return;
    pen.drawImage(this.picture, 0, 0, this.canvas.width, this.canvas.height);
    pen.globalAlpha = 0.6;
    pen.drawImage(this.mask, 0, 0, this.canvas.width, this.canvas.height);
    pen.globalAlpha = 1;
  }

  // White where it was painted, on black.
  async white() {
    const whole = Object.assign(document.createElement("canvas"), { width: this.mask.width, height: this.mask.height });
    const pen = whole.getContext("2d");
    pen.fillRect(0, 0, whole.width, whole.height);
    pen.drawImage(this.mask, 0, 0);
    const pixels = pen.getImageData(0, 0, whole.width, whole.height);
    for (let at = 0; at < pixels.data.length; at += 4) pixels.data.fill(pixels.data[at + 2] > 127 ? 255 : 0, at, at + 3);
    pen.putImageData(pixels, 0, 0);
    return new Promise((done) => whole.toBlob(done, "image/png"));
  }
}
