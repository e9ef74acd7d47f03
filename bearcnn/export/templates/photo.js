// A photo file to the squares that the network sees, as `bearcnn predict` makes them: upright, in RGB, Pillow's bicubic
// filter after its shrinking by whole numbers. Pictures are {width, height, pixels}: bytes, red green blue.

// Read a photo {image, full, exact}: as large as `need(width, height)` of the upright photo says; and its whole size.
// JPEGs are decoded here, to the same bytes as in training (`exact`); other formats by the browser, at their whole size.
async function readPhoto(file, need, megapixels) {
  if (file.size === 0) throw new PhotoError("empty file");
  if (file.size > 2e6 * megapixels) throw new PhotoError(`too large: a file of ${Math.round(file.size / 1e6)} MB`);
  let data;
  try {
    data = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new PhotoError("it can't be read: a folder, or deleted meanwhile");
  }
  if (data[0] === 0xff && data[1] === 0xd8 && data[2] === 0xff) {
    try {
      const found = decodeJpeg(data, need, megapixels);
      return { image: turn(found, found.orientation), full: found.full, exact: true };
    } catch (error) {
      if (!(error instanceof OtherFormat)) throw error;
    }
  }
  const bitmap = await openBitmap(data);
  const { width, height } = bitmap;
  if (width * height > megapixels * 1e6) {
    bitmap.close();
    throw new PhotoError(`too large: ${width}x${height} px, more than max_megapixels = ${megapixels}`);
  }
  const canvas = drawOnWhite(bitmap, width, height);
  bitmap.close();
  const seen = canvas.getContext("2d").getImageData(0, 0, width, height).data, pixels = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < pixels.length; from += 4, to += 3) {
    pixels[to] = seen[from];
    pixels[to + 1] = seen[from + 1];
    pixels[to + 2] = seen[from + 2];
  }
  return { image: { width, height, pixels }, full: [width, height], exact: false };
}

async function openBitmap(data) {
  try {
    return await createImageBitmap(new Blob([data]), { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    if (["ftyphei", "ftyphev", "ftypmif", "ftypmsf"].some(brand => says(data, 4, brand)))
      throw new PhotoError("HEIC photo, which this browser can't read: save it as JPEG");
    throw new PhotoError("not a picture, or damaged");
  }
}

function drawOnWhite(bitmap, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}

// Turn a stored picture upright (EXIF orientation 1 to 8).
function turn(image, orientation) {
  const { width: w, height: h, pixels } = image;
  const place = {
    2: (x, y) => [w - 1 - x, y], 3: (x, y) => [w - 1 - x, h - 1 - y], 4: (x, y) => [x, h - 1 - y], 5: (x, y) => [y, x],
    6: (x, y) => [y, h - 1 - x], 7: (x, y) => [w - 1 - y, h - 1 - x], 8: (x, y) => [w - 1 - y, x],
  }[orientation];
  if (!place) return image;
  const [width, height] = orientation >= 5 ? [h, w] : [w, h], turned = new Uint8Array(pixels.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [column, row] = place(x, y), from = 3 * (row * w + column);
      turned[to] = pixels[from];
      turned[to + 1] = pixels[from + 1];
      turned[to + 2] = pixels[from + 2];
    }
  }
  return { width, height, pixels: turned };
}

const WHOLE = [0, 0, 1, 1];  // left, top, right, bottom as shares of the photo

// The areas of a photo that are answered: the whole frame, then overlapping square tiles, `count` along the shorter side.
function findAreas(width, height, count) {
  if (!count) return [WHOLE];
  const across = spans(width, height, count), along = spans(height, width, count);
  if (across.length * along.length === 1) return [WHOLE];
  return [WHOLE, ...along.flatMap(([top, bottom]) => across.map(([left, right]) => [left, top, right, bottom]))];
}

function spans(length, other, count) {
  const step = 2 / 3, ratio = length / Math.min(length, other);
  let side = 1 / (1 + (count - 1) * step), tiles = count;
  if (ratio > 1) {
    tiles = 1 + Math.ceil((Math.min(ratio, 4) - side) / (step * side) - 1e-9);
    side = Math.max(side, ratio / (1 + (tiles - 1) * step));
  }
  const share = side / ratio;
  const starts = tiles > 1 ? Array.from({ length: tiles }, (_, number) => number * (1 - share) / (tiles - 1)) : [0];
  return starts.map((start, number) => [start, number === tiles - 1 ? 1 : Math.min(1, start + share)]);
}

// The width and height that a decoded photo needs for each area to have `size` pixels a side.
function leastSides(areas, size) {
  return [Math.max(...areas.map(([left, , right]) => Math.ceil(size / (right - left)))),
    Math.max(...areas.map(([, top, , bottom]) => Math.ceil(size / (bottom - top))))];
}

// The part of a photo that the network's square shows, as shares of the photo; with bars, it is beyond the photo.
function findFrame({ width, height }, area, resize) {
  const [left, top, right, bottom] = area, wide = (right - left) * width, high = (bottom - top) * height;
  if (resize === "squish" || resize === "crop" && area !== WHOLE) return area;
  const side = resize === "crop" ? Math.min(wide, high) : Math.max(wide, high);
  const x = left * width + (wide - side) / 2, y = top * height + (high - side) / 2;
  return [x / width, y / height, (x + side) / width, (y + side) / height];
}

// Resize a picture, or an area of it, to the network's square: 3 * size * size bytes.
function toSquare(image, size, resize, area = WHOLE) {
  let left = area[0] * image.width, top = area[1] * image.height, right = area[2] * image.width, bottom = area[3] * image.height;
  const width = right - left, height = bottom - top;
  if (resize === "pad") {
    const scale = size / Math.max(width, height);
    const inner = [Math.max(1, roundEven(width * scale)), Math.max(1, roundEven(height * scale))];
    const { pixels } = resample(image, inner, [left, top, right, bottom]);
    const square = new Uint8Array(3 * size * size).fill(128);
    const x = Math.floor((size - inner[0]) / 2), y = Math.floor((size - inner[1]) / 2);
    for (let row = 0; row < inner[1]; row++)
      square.set(pixels.subarray(3 * inner[0] * row, 3 * inner[0] * (row + 1)), 3 * ((y + row) * size + x));
    return square;
  }
  if (resize === "crop" && area === WHOLE) {
    const side = Math.min(width, height);
    left = Math.floor((width - side) / 2);
    top = Math.floor((height - side) / 2);
    [right, bottom] = [left + side, top + side];
  }
  return resample(image, [size, size], [left, top, right, bottom]).pixels;
}

function roundEven(value) {  // as Python does
  const low = Math.floor(value);
  return value - low === 0.5 ? low + low % 2 : Math.round(value);
}

// Whether columns come first where a picture is made much lower, as in newer versions of Pillow; the order changes roundings.
let columnsFirst = true;

// Pillow's resize(size, BICUBIC, box, reducing_gap=3).
function resample(image, size, box) {
  const factor = [0, 1].map(side => Math.trunc((box[side + 2] - box[side]) / size[side] / 3) || 1);
  if (factor[0] > 1 || factor[1] > 1) {
    const support = [0, 1].map(side => 1.5 * ((box[side + 2] - box[side]) / size[side]));
    const safe = [Math.max(0, Math.trunc(box[0] - support[0])), Math.max(0, Math.trunc(box[1] - support[1])),
      Math.min(image.width, Math.ceil(box[2] + support[0])), Math.min(image.height, Math.ceil(box[3] + support[1]))];
    image = reduce(image, factor, safe);
    box = box.map((value, side) => (value - safe[side % 2]) / factor[side % 2]);
  }
  box = box.map(Math.fround);
  const lost = [image.width - size[0], image.height - size[1]];
  for (const side of columnsFirst && lost[1] > 0 && lost[1] > 2 * lost[0] ? [1, 0] : [0, 1]) {
    const length = side ? image.height : image.width, [from, to] = [box[side], box[side + 2]];
    if (size[side] !== length || from || to !== size[side]) image = stretch(image, size[side], from, to, side);
  }
  return image;
}

// The mean of each cell of `factor` pixels in a box; cells at the right and lower edge can be smaller.
function reduce({ width: stride, pixels: from }, [across, down], [left, top, right, bottom]) {
  const width = Math.ceil((right - left) / across), height = Math.ceil((bottom - top) / down);
  const pixels = new Uint8Array(3 * width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const first = top + y * down, end = Math.min(bottom, first + down);
    for (let x = 0; x < width; x++) {
      const start = left + x * across, stop = Math.min(right, start + across);
      let red = 0, green = 0, blue = 0;
      for (let row = first; row < end; row++) {
        for (let at = 3 * (row * stride + start); at < 3 * (row * stride + stop); at += 3) {
          red += from[at];
          green += from[at + 1];
          blue += from[at + 2];
        }
      }
      const count = (end - first) * (stop - start), half = count >> 1;
      const times = Math.trunc(Math.fround(2 ** 32 / (256 * count)));  // a division, as Pillow rounds it
      pixels[to++] = Math.floor((red + half) * times / 2 ** 24);
      pixels[to++] = Math.floor((green + half) * times / 2 ** 24);
      pixels[to++] = Math.floor((blue + half) * times / 2 ** 24);
    }
  }
  return { width, height, pixels };
}

// One pass of the bicubic filter (a = -0.5), with weights of 22 bits: along rows (side 0) or columns (side 1).
function stretch(image, count, from, to, side) {
  const length = side ? image.height : image.width, lines = side ? image.width : image.height;
  const [width, height] = side ? [lines, count] : [count, lines];
  const step = 3 * (side ? image.width : 1), next = 3 * (side ? 1 : image.width);
  const stepTo = 3 * (side ? width : 1), nextTo = 3 * (side ? 1 : width);
  const source = image.pixels, pixels = new Uint8ClampedArray(3 * width * height);
  const scale = Math.fround(to - from) / count, wide = Math.max(1, scale), support = 2 * wide;
  for (let place = 0; place < count; place++) {
    const centre = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5)), end = Math.min(length, Math.trunc(centre + support + 0.5));
    const weights = [];
    let sum = 0;
    for (let at = first; at < end; at++) {
      weights.push(bicubic((at - centre + 0.5) * (1 / wide)));
      sum += weights.at(-1);
    }
    const whole = Int32Array.from(weights, weight => {
      const exact = (sum ? weight / sum : weight) * (1 << 22);
      return Math.trunc(exact < 0 ? exact - 0.5 : exact + 0.5);
    });
    for (let line = 0; line < lines; line++) {
      let red = 1 << 21, green = red, blue = red, at = line * next + first * step;
      for (let number = 0; number < whole.length; number++, at += step) {
        const weight = whole[number];
        red += source[at] * weight;
        green += source[at + 1] * weight;
        blue += source[at + 2] * weight;
      }
      const out = line * nextTo + place * stepTo;
      pixels[out] = red >> 22;
      pixels[out + 1] = green >> 22;
      pixels[out + 2] = blue >> 22;
    }
  }
  return { width, height, pixels: new Uint8Array(pixels.buffer) };
}

function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}
