// The page: photos in, answers and heat maps out. It sends nothing, and its rules of content allow no request.

const model = JSON.parse(find("model").textContent), waiting = [], SHOWN = 960;  // px of a shown photo's longer side
let network = null, counts = { photos: 0, answered: 0, positive: 0, unsure: 0 };

function find(id) {
  return document.getElementById(id);
}

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = name;
  return element;
}

// Unpack a part of the page: gzip in base 64.
async function unpack(id) {
  const part = find(id), text = part.textContent.trim();
  part.remove();  // its memory is used again
  const bytes = Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function start() {
  const [code, wasm, file] = await Promise.all([unpack("runtime-module"), unpack("runtime-wasm"), unpack("network")]);
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1;  // more would need headers of a server
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return async square => {
    const pixels = new ort.Tensor("uint8", square, [1, model.size, model.size, 3]);
    const { probability, window_probability } = await session.run({ pixels });
    return { probability: probability.data[0], windows: window_probability.data };
  };
}

// Answer a photo as `bearcnn predict` does: by its best picture. The photo is one area, or with tiles several.
async function answer(file) {
  const areasOf = (width, height) => findAreas(width, height, model.tiles);
  const need = (width, height) => leastSides(areasOf(width, height), model.size);
  const { image, full, exact } = await readPhoto(file, need, model.megapixels);
  let best = null;
  for (const area of areasOf(...full)) {
    const { probability, windows } = await network(toSquare(image, model.size, model.resize, area));
    if (!(probability >= 0 && probability <= 1)) throw new PhotoError(`the model answers ${probability}`);
    if (!best || probability > best.probability) best = { probability, windows, area };
  }
  return { ...best, image, full, exact };
}

function decimal(value) {
  const text = value.toFixed(3);
  return value < 1 && Number(text) === 1 ? ">0.999" : value > 0 && Number(text) === 0 ? "<0.001" : text;
}

// The windows' scores as a drawing over the picture: orange from 0.5 on, and a frame around the best window.
function drawWindows(scores) {
  const draw = (tag, parent, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
    return parent?.appendChild(element) ?? element;
  };
  const svg = draw("svg", null, { viewBox: "0 0 1 1", preserveAspectRatio: "none", class: "windows", "aria-hidden": "true" });
  const { edges, frames, colors } = model, across = edges.length - 1;
  let best = 0;
  scores.forEach((score, place) => {
    if (score > scores[best]) best = place;
    const [red, green, blue, opacity] = colors[Math.round(255 * score)], x = place % across, y = Math.floor(place / across);
    if (opacity === 0) return;
    const size = { width: edges[x + 1] - edges[x], height: edges[y + 1] - edges[y] };
    draw("rect", svg, { x: edges[x], y: edges[y], ...size, fill: `rgb(${red} ${green} ${blue})`, "fill-opacity": opacity });
  });
  const [left, right] = frames[best % across], [top, bottom] = frames[Math.floor(best / across)];
  for (const name of ["outer", "inner"])
    draw("rect", svg, { x: left, y: top, width: right - left, height: bottom - top, class: name });
  return svg;
}

// A photo as people see it, reduced to what the screen needs: a thousand photos mustn't fill the memory.
async function showPhoto(file, { image }) {
  let source = null;
  try {
    source = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {  // the browser can't read it, and this page can
    const rgba = new Uint8ClampedArray(4 * image.width * image.height).fill(255);
    for (let from = 0, to = 0; from < image.pixels.length; from += 3, to += 4) rgba.set(image.pixels.subarray(from, from + 3), to);
    source = await createImageBitmap(new ImageData(rgba, image.width, image.height));
  }
  const scale = Math.min(1, SHOWN / Math.max(source.width, source.height));
  const side = length => Math.max(1, Math.round(length * scale));
  const canvas = drawOnWhite(source, side(source.width), side(source.height)), shown = new Image(canvas.width, canvas.height);
  source.close();
  const blob = await new Promise(done => canvas.toBlob(done, "image/jpeg", 0.88));
  shown.src = URL.createObjectURL(blob);
  return shown;
}

async function fillCard(card, file) {
  const figure = card.querySelector(".photo"), words = card.querySelector(".answer");
  try {
    const began = performance.now(), found = await answer(file), { probability, area } = found;
    performance.measure("answer", { start: began });
    const positive = probability >= model.threshold;
    const unsure = model.unsure && probability >= model.unsure[0] && probability < model.unsure[1];
    words.className = `answer ${unsure ? "unsure" : positive ? "positive" : "negative"}`;
    words.replaceChildren(make("strong", positive ? model.positive : model.negative),
      ` probability of ${model.positive} ${decimal(probability)}${unsure ? ", unsure: look at it" : ""}`);
    card.querySelector(".remarks").textContent = found.exact ? "" : "Decoded by the browser: bearcnn predict can answer a little differently.";
    const photo = await showPhoto(file, found), overlay = drawWindows(found.windows);
    const [left, top, right, bottom] = findFrame({ width: found.full[0], height: found.full[1] }, area, model.resize);
    overlay.style.cssText = `left:${100 * left}%;top:${100 * top}%;width:${100 * (right - left)}%;height:${100 * (bottom - top)}%`;
    overlay.classList.toggle("part", left > 0 || top > 0 || right < 0.999 || bottom < 0.999);
    figure.style.cssText = `aspect-ratio:${photo.width / photo.height};width:min(100%,${22 * photo.width / photo.height}rem)`;
    photo.alt = "";
    figure.append(photo, overlay);
    counts.positive += positive;
    counts.unsure += Boolean(unsure);
  } catch (error) {
    if (!(error instanceof PhotoError)) console.error(error);
    words.className = "answer failed";
    words.replaceChildren(make("strong", "no answer"), ` ${error instanceof PhotoError ? error.message : "the browser failed: " + error.message}`);
    figure.remove();
  }
  counts.answered += 1;
  count();
}

function count() {
  const { photos, answered, positive, unsure } = counts, number = value => value.toLocaleString("en");
  const so = answered < photos ? `${number(answered)} of ${number(photos)} photos answered` : `${number(photos)} ${photos === 1 ? "photo" : "photos"}`;
  find("count").textContent = photos ? `${so}: ${number(positive)} ${model.positive}${unsure ? `, ${number(unsure)} unsure` : ""}` : "";
  find("results").hidden = !photos;
}

function add(files) {
  for (const file of files) {
    const card = find("card").content.firstElementChild.cloneNode(true);
    card.querySelector(".name").textContent = file.name;
    find("photos").append(card);
    waiting.push(() => fillCard(card, file));
    counts.photos += 1;
  }
  count();
  work();
}

let working = false;
async function work() {
  if (working || !network) return;
  working = true;
  for (let task; (task = waiting.shift());) {
    await task();
    await new Promise(done => setTimeout(done));  // the page can be scrolled meanwhile
  }
  working = false;
}

// Answer the drawn pictures that `bearcnn predict` has answered, and say how far the two are apart.
async function check() {
  let largest = 0, failure = "";
  for (const [place, { picture, type, words, probability }] of model.examples.entries()) {
    const bytes = Uint8Array.from(atob(picture), letter => letter.charCodeAt(0)), row = find("checks").rows[place];
    try {
      const here = (await answer(new Blob([bytes], { type }))).probability, difference = Math.abs(here - probability);
      largest = Math.max(largest, difference);
      row.cells[2].textContent = here.toFixed(6);
      row.cells[3].textContent = difference.toExponential(1);
      row.className = difference <= model.tolerance ? "good" : "bad";
    } catch (error) {
      failure ||= `${words}: ${error.message}`;
      row.cells[2].textContent = "no answer";
      row.className = "bad";
    }
    await new Promise(done => setTimeout(done));
  }
  const good = !failure && largest <= model.tolerance, number = model.examples.length;
  find("verdict").className = good ? "good" : "bad";
  find("verdict").textContent = good
    ? `Checked: on ${number} drawn pictures this browser answers as bearcnn predict does (largest difference ${largest.toExponential(1)}).`
    : `Don't trust the answers in this browser: on drawn pictures they differ from those of bearcnn predict (${failure || `by up to ${largest.toFixed(4)}`}).`;
  find("check").open ||= !good;
  document.documentElement.dataset.checked = good ? "good" : "bad";
}

function listen() {
  const drop = find("drop");
  for (const input of [find("files"), find("camera")]) {
    input.addEventListener("change", () => {
      add(input.files);
      input.value = "";  // the same photo can be chosen again
    });
  }
  for (const name of ["dragenter", "dragover"]) {
    addEventListener(name, event => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  addEventListener("dragleave", event => event.relatedTarget || drop.classList.remove("over"));
  addEventListener("drop", event => {
    event.preventDefault();
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  });
  addEventListener("paste", event => add(event.clipboardData.files));
  find("clear").addEventListener("click", () => {
    for (const photo of find("photos").querySelectorAll("img")) URL.revokeObjectURL(photo.src);
    waiting.length = 0;
    find("photos").replaceChildren();
    counts = { photos: 0, answered: 0, positive: 0, unsure: 0 };
    count();
    find("files").focus();
  });
  find("notices").addEventListener("toggle", async () => {
    if (find("notices-gz")) find("notices-text").textContent = new TextDecoder().decode(await unpack("notices-gz"));
  }, { once: true });
}

columnsFirst = model.columnsFirst;
listen();
find("tool").hidden = false;
start().then(ready => {
  network = ready;
  performance.mark("ready");
  find("state").textContent = "Ready. Your photos stay on this device: the page sends nothing, and works without a network.";
  waiting.push(check);  // behind photos that were chosen meanwhile
  work();
}).catch(error => {
  console.error(error);
  find("state").className = "bad";
  find("state").textContent = `This browser can't run the network (${error.message}). Chrome 91, Firefox 114, Safari 16.4 and newer can.`;
  document.documentElement.dataset.checked = "failed";
});
