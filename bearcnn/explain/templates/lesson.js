const known = JSON.parse(document.getElementById("numbers").textContent);
const find = id => document.getElementById(id);
const make = (tag, text = "", name = "") => { const each = document.createElement(tag); each.textContent = text; each.className = name; return each; };

// Numbers as the formulas have them: four significant digits, at most six decimals; each is a whole number of millionths.
const MILLION = 1e6;
const decimalsOf = value => value ? Math.min(6, 3 - Math.floor(Math.log10(Math.abs(value)))) : 0;
function roundEven(value) {
  const low = Math.floor(value), over = value - low;
  return over > 0.5 || (over === 0.5 && low % 2) ? low + 1 : low;
}
function shorten(value) {  // {millionths, decimals}
  const decimals = decimalsOf(value), unit = 10 ** (6 - decimals);
  const millionths = decimals < 6 ? roundEven(Number((value * MILLION / unit).toPrecision(14))) * unit : roundEven(Number((value * MILLION).toPrecision(14)));
  return {millionths, decimals: millionths ? decimals : 0, value: millionths / MILLION};
}
const sum = parts => shorten(parts.reduce((total, each) => total + each.millionths, 0) / MILLION);
const text = number => (number.millionths < 0 ? "−" : "") + (Math.abs(number.millionths) / MILLION).toFixed(Math.max(0, number.decimals));
const following = number => `${number.millionths < 0 ? "−" : "+"} ${text({...number, millionths: Math.abs(number.millionths)})}`;
const negative = number => ({...number, millionths: -number.millionths, value: -number.value});
const plain = value => value.toFixed(2).replace("-0.00", "0.00").replace("-", "−");

function decode(base64, type) {
  const bytes = Uint8Array.from(atob(base64), each => each.charCodeAt(0));
  return new type(bytes.buffer);
}

// An area of rows × columns places to point at: mouse, finger or arrow keys. A click holds a place, another lets go.
function point(area, label, locate, size, move, held = () => {}) {
  let hold = false, at = [0, 0];
  area.tabIndex = 0; area.setAttribute("role", "group"); area.setAttribute("aria-label", label); area.classList.add("pointing");
  const place = event => {
    const box = area.getBoundingClientRect();
    return locate(Math.min(0.9999, Math.max(0, (event.clientX - box.left) / box.width)), Math.min(0.9999, Math.max(0, (event.clientY - box.top) / box.height)));
  };
  const go = (row, column) => { at = [row, column]; move(row, column); };
  area.addEventListener("pointermove", event => { if (!hold && event.pointerType === "mouse") go(...place(event)); });
  area.addEventListener("click", event => {
    if (event.pointerType === "mouse") held(hold = !hold);
    if (hold || event.pointerType !== "mouse") go(...place(event));
  });
  area.addEventListener("keydown", event => {
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, column] = area.at ? area.at() : at;
    go(Math.min(size - 1, Math.max(0, row + step[0])), Math.min(size - 1, Math.max(0, column + step[1])));
  });
  return {release: () => { hold = false; held(false); }};
}
function mark(area) {
  const frame = area.querySelector(".frame-mark") || area.appendChild(make("span", "", "frame-mark"));
  return (left, right, top, bottom) => {  // shares of the side
    [left, right, top, bottom] = [left, right, top, bottom].map(each => Math.min(1, Math.max(0, each)));
    Object.assign(frame.style, {left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%`});
  };
}

function startStep(net) {
  const [channels, height] = net.shape, {side, stride, padding, places} = net;
  const stored = decode(net.image, net.bytes === 1 ? Uint8Array : Float32Array);
  const image = Float32Array.from(stored, each => (each - net.mean) / net.std);
  const weights = decode(net.weights, Float32Array), colors = decode(net.palette, Uint8Array);
  const per = channels * side * side, maps = new Map();
  let [kernel, row, column] = net.start;

  function compute(number, row, column, each) {  // each(channel, index in the window, pixel, weight) of all products
    for (let c = 0; c < channels; c++) for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
      const down = row * stride - padding + y, across = column * stride - padding + x;
      const inside = down >= 0 && down < height && across >= 0 && across < height;
      each(c, y * side + x, inside ? image[(c * height + down) * height + across] : 0, weights[number * per + (c * side + y) * side + x]);
    }
  }
  function finish(number, total) {
    const norm = net.norms[number];
    return Math.max(0, norm ? (total - norm[0]) / norm[1] * norm[2] + norm[3] : total);
  }
  function valueAt(number, row, column) {
    let total = net.biases[number];
    compute(number, row, column, (c, i, pixel, weight) => { total += pixel * weight; });
    return finish(number, total);
  }
  function drawMap() {
    const canvas = find("step-map").querySelector("canvas") || find("step-map").insertBefore(make("canvas"), find("step-map").querySelector(".frame-mark"));
    if (!maps.has(kernel)) {
      const picture = new ImageData(places, places);
      for (let i = 0; i < places * places; i++) {
        const level = Math.round(254 * Math.min(1, valueAt(kernel, Math.floor(i / places), i % places) / (net.tops[kernel] || 1)));
        picture.data.set([colors[3 * level], colors[3 * level + 1], colors[3 * level + 2], 255], 4 * i);
      }
      maps.set(kernel, picture);
    }
    canvas.width = canvas.height = places;
    canvas.getContext("2d").putImageData(maps.get(kernel), 0, 0);
  }
  function signed(value, limit) {
    const share = 0.85 * Math.min(1, Math.abs(value) / limit), to = value < 0 ? [84, 39, 136] : [179, 88, 6];
    return to.map(each => Math.round(each * share + 247 * (1 - share)));
  }
  function matrix(values, limit) {
    if (side > 5) {
      const canvas = make("canvas", "", "pixels"), picture = new ImageData(side, side);
      values.forEach((value, i) => picture.data.set([...signed(value, limit), 255], 4 * i));
      canvas.width = canvas.height = side;
      canvas.getContext("2d").putImageData(picture, 0, 0);
      return canvas;
    }
    const table = make("table", "", "matrix"), body = table.appendChild(make("tbody"));
    for (let y = 0; y < side; y++) {
      const line = body.appendChild(make("tr"));
      for (let x = 0; x < side; x++) {
        const value = values[y * side + x], cell = line.appendChild(make("td", plain(value))), color = signed(value, limit);
        const light = color.map(each => each / 255).map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
        cell.style.background = `rgb(${color})`;
        cell.style.color = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.179 ? "#000" : "#fff";
      }
    }
    return table;
  }
  const frameMap = mark(find("step-map")), framePhoto = mark(find("step-photo"));

  function show() {
    const parts = Array.from({length: channels}, () => ({window: [], kernel: [], products: [], sum: 0}));
    compute(kernel, row, column, (c, i, pixel, weight) => {
      parts[c].window[i] = pixel; parts[c].kernel[i] = weight; parts[c].products[i] = pixel * weight; parts[c].sum += pixel * weight;
    });
    const order = parts.map((_, c) => c).sort((a, b) => Math.abs(parts[b].sum) - Math.abs(parts[a].sum) || a - b);
    const chosen = order.slice(0, net.shown).sort((a, b) => a - b), rest = order.slice(net.shown).reduce((total, c) => total + parts[c].sum, 0);
    const limits = ["kernel", "products"].map(name => Math.max(...chosen.flatMap(c => parts[c][name].map(Math.abs))) || 1);
    const body = make("tbody");
    for (const c of chosen) {
      const line = body.appendChild(make("tr")), head = line.appendChild(make("th", net.names[c], channels === 3 ? net.names[c] : ""));
      head.scope = "row";
      [[parts[c].window, 2, "×"], [parts[c].kernel, limits[0], "="], [parts[c].products, limits[1], ""]].forEach(([values, limit, sign]) => {
        line.appendChild(make("td")).append(matrix(values, limit));
        if (sign) line.append(make("td", sign));
      });
      line.append(make("td", text(shorten(parts[c].sum)), "number"));
    }
    find("step-products").tBodies[0].replaceWith(body);

    const numbers = chosen.map(c => shorten(parts[c].sum)), words = chosen.map(() => ""), bias = net.biases[kernel];
    if (order.length > net.shown) { numbers.push(shorten(rest)); words.push(" of the others"); }
    if (bias) { numbers.push(shorten(bias)); words.push(" (bias)"); }
    let total = sum(numbers);
    const lines = [[net.names[0] === "red" ? "all three colours" : "the sums",
      numbers.map((each, i) => (i ? following(each) : text(each)) + words[i]).join(" ") + ` = ${text(total)}`]];
    if (net.norms[kernel]) {
      const [mean, deviation, scale, shift] = net.norms[kernel].map(shorten);
      const result = shorten((total.millionths - mean.millionths) / deviation.millionths * scale.value + shift.value);
      lines.push(["batch norm: scaled by the kernel's usual mean and deviation",
        `(${text(total)} ${following(negative(mean))}) / ${text(deviation)} × ${scale.millionths < 0 ? `(${text(scale)})` : text(scale)} ${following(shift)} = ${text(result)}`]);
      total = result;
    }
    const positive = total.millionths > 0 ? text(total) : "0";
    lines.push(["ReLU: numbers below zero become zero; this is the number in the map", `max(0, ${text(total)}) = ${positive}`]);
    find("step-lines").replaceChildren(...lines.map(([what, formula]) => {
      const line = make("p", "", "line");
      line.append(make("span", what, "soft"), " ", make("b", formula));
      return line;
    }));
    find("step-value").textContent = text(shorten(valueAt(kernel, row, column)));
    find("step-kernel").textContent = net.kernels[kernel];
    find("step-place").textContent = `row ${row + 1}, column ${column + 1}`;
    frameMap(column / places, (column + 1) / places, row / places, (row + 1) / places);
    const [size, step, first] = net.frame;
    const span = place => { const low = Math.round(first + place * step - (size - 1) / 2); return [low / net.size, (low + size) / net.size]; };
    framePhoto(...span(column), ...span(row));
  }
  const go = (down, across) => { row = down; column = across; show(); };
  const held = hold => { find("step-held").textContent = hold ? "held: click the map or the photo again to let go" : ""; };
  const inMap = (x, y) => [Math.floor(y * places), Math.floor(x * places)];
  const nearest = share => Math.min(places - 1, Math.max(0, Math.round((share * net.size - 0.5 - net.frame[2]) / net.frame[1])));
  find("step-map").at = find("step-photo").at = () => [row, column];
  const areas = [point(find("step-map"), "The map: move with the arrow keys", inMap, places, go, held),
    point(find("step-photo"), "The photo: move the window with the arrow keys", (x, y) => [nearest(y), nearest(x)], places, go, held)];
  find("step-next").addEventListener("click", () => {
    areas.forEach(each => each.release());
    if (column + 1 < places) go(row, column + 1); else go((row + 1) % places, 0);
  });
  find("choose").addEventListener("click", event => {
    const button = event.target.closest("button"), chosen = button ? net.kernels.indexOf(Number(button.dataset.kernel)) : -1;
    if (chosen < 0) return;
    kernel = chosen;
    for (const each of find("choose").querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
    drawMap(); show();
  });
  find("how").hidden = find("step-buttons").hidden = false;
  drawMap(); show();
  globalThis.lesson = {valueAt: (number, row, column) => valueAt(net.kernels.indexOf(number), row, column)};
}

function startWindows(found) {
  const area = find("windows"), frame = mark(area), count = found.scores.length;
  const cell = share => { let place = 0; while (place < count - 1 && share >= found.edges[place + 1]) place++; return place; };
  let [row, column] = found.start;
  function show() {
    frame(...found.frames[column], ...found.frames[row]);
    find("window").textContent = `window in row ${row + 1}, column ${column + 1}: ${found.positive} ${found.words[row][column]}`;
  }
  area.at = () => [row, column];
  point(area, "Window scores: move with the arrow keys", (x, y) => [cell(y), cell(x)], count, (down, across) => { row = down; column = across; show(); });
  show();
}
if (known.step) startStep(known.step);
startWindows(known.windows);
