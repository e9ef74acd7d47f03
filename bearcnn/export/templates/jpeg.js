// JPEG to the bytes that libjpeg-turbo gives, with which photos are read in training: Huffman codes (ITU T.81), the slow
// integer transform at 8 x 8, 4 x 4, 2 x 2 or 1 x 1, triangle upsampling and its tables of colours. A browser decodes at
// the whole size, in its own way, and may change colours: the network would see another picture.

class PhotoError extends Error {}  // the reason why a photo can't be read
class OtherFormat extends Error {}  // left to the browser

const TRUNCATED = "file is truncated", DAMAGED = "file is damaged", MOST_SCANS = 100;
const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63);

// Decode a JPEG at 1/1, 1/2, 1/4 or 1/8 of its size, the smallest with as many pixels as `need(width, height)` of the
// upright photo says. Returns the stored picture {width, height, pixels}, its orientation, and the upright photo's size.
function decodeJpeg(data, need, megapixels) {
  const quantization = [], codes = [];
  let frame = null, restart = 0, jfif = false, adobe = -1, orientation = 0, described = 0, scans = 0, position = 2;
  const word = at => data[at] << 8 | data[at + 1];
  for (;;) {
    position = data.indexOf(0xff, position);
    if (position < 0) throw new PhotoError(TRUNCATED);
    while (data[position] === 0xff) position++;
    if (position >= data.length) throw new PhotoError(TRUNCATED);
    const marker = data[position++];
    if (marker === 0xd9) break;
    if (marker <= 1 || marker >= 0xd0 && marker <= 0xd8) continue;  // without a segment
    const end = position + Math.max(2, word(position)), start = position + 2;
    if (end > data.length) throw new PhotoError(TRUNCATED);
    const segment = data.subarray(start, end);
    position = end;
    if (marker === 0xdb) readQuantization(segment, quantization);
    else if (marker === 0xc4) readCodes(segment, codes);
    else if (marker === 0xdd) restart = segment[0] << 8 | segment[1];
    else if (marker === 0xe0 && says(segment, 0, "JFIF\0")) jfif = true;
    else if (marker === 0xe1 && says(segment, 0, "Exif\0\0")) orientation ||= readOrientation(segment.subarray(6));
    else if (marker === 0xe1 && says(segment, 0, "http://ns.adobe.com/xap/1.0/\0")) described ||= findOrientation(segment);
    else if (marker === 0xee && says(segment, 0, "Adobe") && segment.length >= 12) adobe = segment[11];
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
      if (marker > 0xc2) throw new OtherFormat("lossless or arithmetic codes");
      if (frame) throw new PhotoError(DAMAGED);
      frame = readFrame(segment, marker === 0xc2);
    } else if (marker === 0xda) {
      if (!frame) throw new PhotoError(DAMAGED);
      if (++scans > MOST_SCANS) throw new PhotoError(`${DAMAGED}: more than ${MOST_SCANS} scans`);
      if (scans === 1) prepare(frame, segment[0], orientation || described, need, megapixels);
      position = decodeScan(data, position, frame, readScan(segment, frame, codes, quantization), restart);
    }
  }
  if (!scans) throw new PhotoError(DAMAGED);
  if (frame.progressive) frame.components.forEach(transformAll);
  return { ...toRgb(frame, jfif, adobe), orientation: frame.orientation, full: frame.full };
}

function says(bytes, start, text) {
  return [...text].every((letter, place) => bytes[start + place] === letter.charCodeAt(0));
}

function readQuantization(segment, quantization) {
  for (let at = 0; at < segment.length;) {
    const wide = segment[at] >> 4, table = quantization[segment[at++] & 15] = new Int32Array(64);
    if (at + 64 * (1 + wide) > segment.length) throw new PhotoError(DAMAGED);
    for (let k = 0; k < 64; k++) {
      table[ZIGZAG[k]] = wide ? segment[at] << 8 | segment[at + 1] : segment[at];
      at += 1 + wide;
    }
  }
}

// Each table of codes is looked up by the next 16 bits: the code's length and its symbol.
function readCodes(segment, codes) {
  for (let at = 0; at + 17 <= segment.length;) {
    const table = codes[segment[at]] = new Uint16Array(65536), counts = segment.subarray(at + 1, at + 17);
    let next = 0, symbol = at + 17;
    for (let length = 1; length <= 16; length++) {
      for (let number = counts[length - 1]; number > 0; number--) {
        if (next >= 65536 || symbol >= segment.length) throw new PhotoError(DAMAGED);
        table.fill(length << 8 | segment[symbol++], next, next += 1 << 16 - length);
      }
    }
    at = symbol;
  }
}

// The orientation (tag 0x0112) in the first directory of a TIFF; 0 without one.
function readOrientation(tiff) {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.length), little = tiff[0] === 0x49;
  try {
    const directory = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(directory, little); entry++) {
      const at = directory + 2 + 12 * entry;
      if (view.getUint16(at, little) !== 0x0112) continue;
      return view.getUint16(at + 2, little) === 4 ? view.getUint32(at + 8, little) : view.getUint16(at + 8, little);
    }
  } catch { /* broken metadata: the picture is whole */ }
  return 0;
}

function findOrientation(segment) {
  const found = /tiff:Orientation(?:="|>)([0-9])/.exec(new TextDecoder("latin1").decode(segment));
  return found ? Number(found[1]) : 0;
}

function readFrame(segment, progressive) {
  const height = segment[1] << 8 | segment[2], width = segment[3] << 8 | segment[4], count = segment[5];
  if (segment[0] !== 8) throw new OtherFormat("not 8 bits");
  if (segment.length < 6 + 3 * count) throw new PhotoError(DAMAGED);
  if (!height) throw new OtherFormat("no height in its frame");
  if (!width) throw new PhotoError(DAMAGED);
  if (count !== 1 && count !== 3) throw new OtherFormat("colours for print");
  const components = [];
  for (let at = 6; at < 6 + 3 * count; at += 3)
    components.push({ id: segment[at], across: segment[at + 1] >> 4, down: segment[at + 1] & 15, table: segment[at + 2] });
  if (components.some(each => !(each.across >= 1 && each.across <= 4 && each.down >= 1 && each.down <= 4)))
    throw new PhotoError(DAMAGED);
  const most = name => Math.max(...components.map(each => each[name]));
  return { width, height, progressive, components, across: most("across"), down: most("down") };
}

// Choose the scale, as Pillow's `draft` does, and make room for the samples. A component that is stored coarser than the
// others is transformed at a larger size where that spares its upsampling.
function prepare(frame, inScan, orientation, need, megapixels) {
  const { width, height, across, down } = frame, turned = orientation >= 5 && orientation <= 8;
  frame.orientation = orientation;
  frame.full = turned ? [height, width] : [width, height];
  const needed = need(...frame.full), [wide, high] = turned ? [needed[1], needed[0]] : needed;
  const times = Math.min(Math.floor(width / wide), Math.floor(height / high));
  const scale = [8, 4, 2].find(each => times >= each) ?? 1, least = 8 / scale;
  const kept = frame.progressive || inScan < frame.components.length ? 1 : scale;
  if (Math.ceil(width / kept) * Math.ceil(height / kept) > megapixels * 1e6)
    throw new PhotoError(`too large: ${width}x${height} px, more than max_megapixels = ${megapixels}`);
  frame.least = least;
  frame.mcusAcross = Math.ceil(width / (8 * across));
  frame.mcusDown = Math.ceil(height / (8 * down));
  for (const each of frame.components) {
    let size = least;
    while (size < 8 && across * least % (each.across * size * 2) === 0 && down * least % (each.down * size * 2) === 0)
      size *= 2;
    each.size = size;
    each.blocksAcross = Math.ceil(Math.ceil(width * each.across / across) / 8);
    each.blocksDown = Math.ceil(Math.ceil(height * each.down / down) / 8);
    each.lineBlocks = frame.mcusAcross * each.across;
    each.stride = each.lineBlocks * size;
    const blocks = each.lineBlocks * frame.mcusDown * each.down;
    each.plane = new Uint8ClampedArray(blocks * size * size).fill(128);
    each.coefficients = new Int16Array(frame.progressive ? 64 * blocks : 64);
    each.columns = Math.ceil(width * each.across * size / (across * 8));
    each.rows = Math.ceil(height * each.down * size / (down * 8));
  }
}

function readScan(segment, frame, codes, quantization) {
  const count = segment[0], at = 1 + 2 * count;
  if (segment.length < at + 3 || !count) throw new PhotoError(DAMAGED);
  const members = [];
  for (let place = 1; place < at; place += 2) {
    const component = frame.components.find(each => each.id === segment[place]);
    if (!component) throw new PhotoError(DAMAGED);
    component.quantization ??= quantization[component.table]?.slice();  // as it is when its first scan begins
    if (!component.quantization) throw new PhotoError(DAMAGED);
    component.dc = codes[segment[place + 1] >> 4];
    component.ac = codes[0x10 | segment[place + 1] & 15];
    members.push(component);
  }
  const [from, to, bits] = segment.subarray(at, at + 3);
  if (from > to || to > 63) throw new PhotoError(DAMAGED);
  return { members, from, to, high: bits >> 4, low: bits & 15 };
}

// Decode one scan from `position` on; returns the place behind its data.
function decodeScan(data, position, frame, { members, from, to, high, low }, restart) {
  let bits = 0, count = 0, padded = 0, at = position, endOfBand = 0;

  function fill() {  // to 25 bits at least; zeros from the next marker on
    while (count <= 24) {
      let byte = at < data.length ? data[at] : 0xff;
      if (byte !== 0xff) at++;
      else if (data[at + 1] === 0) at += 2;
      else {
        byte = 0;
        padded += 8;
      }
      bits = bits << 8 | byte;
      count += 8;
    }
  }

  function symbol(table) {
    fill();
    const entry = table ? table[bits >>> count - 16 & 0xffff] : 0;
    if (!entry) throw new PhotoError(DAMAGED);
    count -= entry >> 8;
    return entry & 255;
  }

  function receive(length) {
    if (length === 0) return 0;
    fill();
    count -= length;
    return bits >>> count & (1 << length) - 1;
  }

  function extend(length) {
    const value = receive(length);
    return length && value < 1 << length - 1 ? value - (1 << length) + 1 : value;
  }

  function whole(each, block) {
    block[0] = each.prediction += extend(symbol(each.dc) & 15);
    for (let k = 1; k < 64; k++) {
      const code = symbol(each.ac), length = code & 15, run = code >> 4;
      if (length) {
        k += run;
        if (k > 63) throw new PhotoError(DAMAGED);
        block[ZIGZAG[k]] = extend(length);
      } else if (run === 15) k += 15;
      else break;
    }
  }

  function firstMean(each, block) {
    block[0] = (each.prediction += extend(symbol(each.dc) & 15)) << low;
  }

  function nextMean(each, block) {
    if (receive(1)) block[0] |= 1 << low;
  }

  function firstDetails(each, block) {
    if (endOfBand) {
      endOfBand--;
      return;
    }
    for (let k = from; k <= to; k++) {
      const code = symbol(each.ac), length = code & 15, run = code >> 4;
      if (length) {
        k += run;
        if (k > 63) throw new PhotoError(DAMAGED);
        block[ZIGZAG[k]] = extend(length) << low;
      } else if (run === 15) k += 15;
      else {
        endOfBand = (1 << run) + receive(run) - 1;
        break;
      }
    }
  }

  function refine(block, place) {
    const value = block[place];
    if (receive(1) && !(value & 1 << low)) block[place] += value >= 0 ? 1 << low : -1 << low;
  }

  function nextDetails(each, block) {
    let k = from;
    if (!endOfBand) {
      for (; k <= to; k++) {
        const code = symbol(each.ac);
        let run = code >> 4, value = 0;
        if (code & 15) value = receive(1) ? 1 << low : -1 << low;
        else if (run < 15) {
          endOfBand = (1 << run) + receive(run);
          break;
        }
        for (; k <= to; k++) {
          const place = ZIGZAG[k];
          if (block[place]) refine(block, place);
          else if (--run < 0) break;
        }
        if (value && k <= 63) block[ZIGZAG[k]] = value;
      }
    }
    if (endOfBand) {
      for (; k <= to; k++) if (block[ZIGZAG[k]]) refine(block, ZIGZAG[k]);
      endOfBand--;
    }
  }

  const decode = !frame.progressive ? whole : from ? (high ? nextDetails : firstDetails) : high ? nextMean : firstMean;

  function block(each, row, column) {
    if (frame.progressive) {
      const start = 64 * (row * each.lineBlocks + column);
      decode(each, each.coefficients.subarray(start, start + 64));
      return;
    }
    each.coefficients.fill(0);
    decode(each, each.coefficients);
    transform(each, each.coefficients, 0, each.size * (row * each.stride + column));
  }

  function startAgain() {
    bits = count = padded = endOfBand = 0;
    for (const each of members) each.prediction = 0;
  }

  function passRestart() {
    while (at < data.length && !(data[at] === 0xff && data[at + 1] !== 0 && data[at + 1] !== 0xff)) at++;
    if (!(data[at + 1] >= 0xd0 && data[at + 1] <= 0xd7)) throw new PhotoError(at < data.length ? DAMAGED : TRUNCATED);
    at += 2;
    startAgain();
  }

  const [only] = members, single = members.length === 1;
  const across = single ? only.blocksAcross : frame.mcusAcross, down = single ? only.blocksDown : frame.mcusDown;
  startAgain();
  for (let number = 0; number < across * down; number++) {
    if (restart && number && number % restart === 0) passRestart();
    const row = Math.floor(number / across), column = number % across;
    if (single) block(only, row, column);
    else for (const each of members)
      for (let y = 0; y < each.down; y++)
        for (let x = 0; x < each.across; x++) block(each, row * each.down + y, column * each.across + x);
    if (padded > count) throw new PhotoError(at < data.length ? DAMAGED : TRUNCATED);
  }
  return at;
}

function transformAll(each) {
  for (let start = 0, row = 0; start < each.coefficients.length; row++)
    for (let column = 0; column < each.lineBlocks; column++, start += 64)
      transform(each, each.coefficients, start, each.size * (row * each.stride + column));
}

const WORK = new Int32Array(64);
const COLUMNS = { 8: [0, 1, 2, 3, 4, 5, 6, 7], 4: [0, 1, 2, 3, 5, 6, 7], 2: [0, 1, 3, 5, 7] };
const LINES = { 8: line8, 4: line4, 2: line2 };

// Write the samples of one block of coefficients into the component's plane, from `out` on.
function transform({ size, quantization, plane, stride }, coefficients, start, out) {
  if (size === 1) {
    plane[out] = 128 + (coefficients[start] * quantization[0] + 4 >> 3);
    return;
  }
  for (let k = 0; k < 64; k++) WORK[k] = coefficients[start + k] * quantization[k];
  const line = LINES[size];
  for (const column of COLUMNS[size]) line(WORK, column, 8, size === 8 ? 11 : size === 4 ? 12 : 13);
  for (let row = 0; row < size; row++) {
    line(WORK, 8 * row, 1, size === 8 ? 18 : size === 4 ? 19 : 20);
    for (let x = 0; x < size; x++) plane[out + row * stride + x] = 128 + WORK[8 * row + x];
  }
}

// The transforms of one line in place, with libjpeg's 13-bit constants (Loeffler, Ligtenberg and Moschytz 1989).
function line8(a, i, s, shift) {
  const half = 1 << shift - 1;
  const b = a[i + 2 * s], c = a[i + 6 * s], both = (b + c) * 4433;
  const e2 = both - c * 15137, e3 = both + b * 6270;
  const e0 = (a[i] + a[i + 4 * s]) * 8192 + half, e1 = (a[i] - a[i + 4 * s]) * 8192 + half;
  const o0 = a[i + 7 * s], o1 = a[i + 5 * s], o2 = a[i + 3 * s], o3 = a[i + s];
  const all = (o0 + o2 + o1 + o3) * 9633;
  const z1 = (o0 + o3) * -7373, z2 = (o1 + o2) * -20995, z3 = (o0 + o2) * -16069 + all, z4 = (o1 + o3) * -3196 + all;
  const t0 = o0 * 2446 + z1 + z3, t1 = o1 * 16819 + z2 + z4, t2 = o2 * 25172 + z2 + z3, t3 = o3 * 12299 + z1 + z4;
  a[i] = e0 + e3 + t3 >> shift;
  a[i + s] = e1 + e2 + t2 >> shift;
  a[i + 2 * s] = e1 - e2 + t1 >> shift;
  a[i + 3 * s] = e0 - e3 + t0 >> shift;
  a[i + 4 * s] = e0 - e3 - t0 >> shift;
  a[i + 5 * s] = e1 - e2 - t1 >> shift;
  a[i + 6 * s] = e1 + e2 - t2 >> shift;
  a[i + 7 * s] = e0 + e3 - t3 >> shift;
}

function line4(a, i, s, shift) {
  const mean = a[i] * 16384 + (1 << shift - 1), even = a[i + 2 * s] * 15137 - a[i + 6 * s] * 6270;
  const o0 = a[i + 7 * s], o1 = a[i + 5 * s], o2 = a[i + 3 * s], o3 = a[i + s];
  const inner = o0 * -1730 + o1 * 11893 - o2 * 17799 + o3 * 8697;
  const outer = o0 * -4176 - o1 * 4926 + o2 * 7373 + o3 * 20995;
  a[i] = mean + even + outer >> shift;
  a[i + s] = mean - even + inner >> shift;
  a[i + 2 * s] = mean - even - inner >> shift;
  a[i + 3 * s] = mean + even - outer >> shift;
}

function line2(a, i, s, shift) {
  const mean = a[i] * 32768 + (1 << shift - 1);
  const odd = a[i + 7 * s] * -5906 + a[i + 5 * s] * 6967 - a[i + 3 * s] * 10426 + a[i + s] * 29692;
  a[i] = mean + odd >> shift;
  a[i + s] = mean - odd >> shift;
}

// Bring the components to one size, row by row, and convert them to RGB.
function toRgb(frame, jfif, adobe) {
  const { least, components } = frame;
  const width = Math.ceil(frame.width * least / 8), height = Math.ceil(frame.height * least / 8);
  const pixels = new Uint8Array(3 * width * height), clamped = new Uint8ClampedArray(3 * width);
  const rows = components.map(each => upsampler(each, frame, width));
  const named = components.length === 3 && !jfif && (adobe === 0 || adobe < 0 && components.map(each => each.id).join() === "82,71,66");
  for (let y = 0; y < height; y++) {
    const [first, second, third] = rows.map(row => row(y));
    for (let x = 0, at = 0; x < width; x++, at += 3) {
      if (!second) clamped[at] = clamped[at + 1] = clamped[at + 2] = first[x];
      else if (named) {
        clamped[at] = first[x];
        clamped[at + 1] = second[x];
        clamped[at + 2] = third[x];
      } else {
        const light = first[x], blue = second[x] - 128, red = third[x] - 128;
        clamped[at] = light + (91881 * red + 32768 >> 16);
        clamped[at + 1] = light + (-22554 * blue - 46802 * red + 32768 >> 16);
        clamped[at + 2] = light + (116130 * blue + 32768 >> 16);
      }
    }
    pixels.set(clamped, 3 * width * y);
  }
  return { width, height, pixels };
}

// A function that gives one row of a component at the picture's size.
function upsampler(each, frame, width) {
  const { plane, stride, columns, rows, size } = each, fancy = frame.least > 1;
  const wider = frame.across * frame.least / (each.across * size), higher = frame.down * frame.least / (each.down * size);
  if (!Number.isInteger(wider) || !Number.isInteger(higher)) throw new OtherFormat("colours stored at an odd size");
  const row = new Uint8Array(Math.max(wider * columns, width) + 2), sums = new Int32Array(columns);
  const start = y => stride * Math.min(Math.max(y, 0), rows - 1);
  if (wider === 1 && higher === 1) return y => plane.subarray(stride * y, stride * y + width);
  const smooth = fancy && (wider === 2 && columns > 2 && higher <= 2 || wider === 1 && higher === 2);
  if (!smooth) {
    return y => {
      const from = stride * Math.floor(y / higher);
      for (let x = 0; x < width; x++) row[x] = plane[from + Math.floor(x / wider)];
      return row;
    };
  }
  return y => {  // 3/4 of the nearest sample and 1/4 of the next, along either side
    const near = start(higher === 2 ? y >> 1 : y), other = start((y >> 1) + (y & 1 ? 1 : -1));
    for (let x = 0; x < columns; x++)
      sums[x] = higher === 2 ? 3 * plane[near + x] + plane[other + x] : plane[near + x];
    if (wider === 1) {
      for (let x = 0; x < columns; x++) row[x] = sums[x] + (y & 1 ? 2 : 1) >> 2;
      return row;
    }
    const [left, right, shift] = higher === 2 ? [8, 7, 4] : [1, 2, 2], last = columns - 1;
    for (let x = 0; x < columns; x++) {
      row[2 * x] = x ? 3 * sums[x] + sums[x - 1] + left >> shift : 4 * sums[0] + left >> shift;
      row[2 * x + 1] = x < last ? 3 * sums[x] + sums[x + 1] + right >> shift : 4 * sums[last] + right >> shift;
    }
    return row;
  };
}
