{
  // All shares and intervals are looked up, as Python computed them; only photos of 1,000 are counted here.
  const known = JSON.parse(document.getElementById("tool").textContent);
  const slider = document.getElementById("threshold"), frequency = document.getElementById("frequency");
  const put = (id, text) => { document.getElementById(id).textContent = text; };
  const last = (rows, step) => rows.findLast(row => row[0] <= step);
  const count = number => number.toLocaleString("en");
  const ofThousand = number => number > 0 && number < 0.05 ? "<0.1"
    : number > 0 && number < 9.95 ? (Math.floor(number * 10 + 0.5 + 1e-6) / 10).toFixed(1) : count(Math.floor(number + 0.5 + 1e-6));
  const photos = 1000 / (known.bears + known.others);
  let bears = known.bears * photos;  // exact, as on the card, until somebody types

  function moveMark(mark, at) {
    const [left, right, xLow, xHigh, bottom, top, yLow, yHigh] = mark.dataset.scale.split(" ").map(Number);
    const x = at[mark.dataset.x], y = mark.dataset.y ? at[mark.dataset.y] : null;
    if (!x || (mark.dataset.y && !y)) { mark.setAttribute("display", "none"); return; }
    mark.removeAttribute("display");
    const place = (value, low, high, from, to) => (from + (Math.min(Math.max(value, low), high) - low) / (high - low) * (to - from)).toFixed(1);
    const across = x.map(value => place(value, xLow, xHigh, left, right));
    const set = (part, values) => Object.entries(values).forEach(([name, value]) => part.setAttribute(name, value));
    if (!y) { set(mark.children[0], {x1: across[1], x2: across[1]}); return; }
    const up = y.map(value => place(value, yLow, yHigh, bottom, top));
    set(mark.children[0], {x1: across[0], x2: across[2], y1: up[1], y2: up[1]});
    set(mark.children[1], {x1: across[1], x2: across[1], y1: up[0], y2: up[2]});
    set(mark.children[2], {cx: across[1], cy: up[1]});
  }

  function moveRow(row, [, missed, alarms, ends, text]) {
    const say = (name, what) => { const cell = row.querySelector(`[data-${name}]`); if (cell) cell.textContent = what; };
    say("wrong", count(missed + alarms)); say("missed", count(missed)); say("alarms", count(alarms)); say("rate", text);
    const whisker = row.querySelector(".whisker"), [low, value, high] = ends.map(end => (4 + 112 * end).toFixed(1));
    whisker.children[1].setAttribute("x1", low); whisker.children[1].setAttribute("x2", high);
    whisker.children[2].setAttribute("cx", value); whisker.setAttribute("aria-label", text);
  }

  function update() {
    const step = Number(slider.value), threshold = known.thresholds[step], label = known.labels[step];
    const [, found, alarms, recall, precision, alarmRate, texts] = last(known.scores, step);
    const said = Object.fromEntries(known.texts.map((name, number) => [name, texts[number]]));
    const counts = {found, missed: known.bears - found, alarms, quiet: known.others - alarms, look: found + alarms};
    Object.entries(counts).forEach(([name, number]) => { said[`count-${name}`] = count(number); });
    Object.assign(said, {
      threshold: label, "like-look": ofThousand((found + alarms) * photos), "like-found": ofThousand(found * photos),
      "like-missed": ofThousand((known.bears - found) * photos), "like-alarms": ofThousand(alarms * photos),
    });
    document.querySelectorAll("[data-say]").forEach(each => { each.textContent = said[each.dataset.say]; });

    const others = 1000 - bears;
    const hits = known.bears ? bears * found / known.bears : 0, wrong = known.others ? others * alarms / known.others : 0;
    put("found", ofThousand(hits)); put("missed", ofThousand(bears - hits));
    put("alarms", ofThousand(wrong)); put("look", ofThousand(hits + wrong));
    // Independent shares: the squares of the distances to their ends add up, as in Python's weighted_sum.
    const reach = end => recall && alarmRate ? Math.hypot(bears * (recall[1] - recall[end]), others * (alarmRate[1] - alarmRate[end])) : NaN;
    put("look-interval", recall && alarmRate ? `${ofThousand(Math.max(0, hits + wrong - reach(0)))} to ${ofThousand(Math.min(1000, hits + wrong + reach(2)))}` : "");

    const at = {recall, precision, false_positive_rate: alarmRate, threshold: [threshold, threshold, threshold]};
    document.querySelectorAll(".mark").forEach(mark => moveMark(mark, at));
    document.querySelectorAll("#group-errors tbody tr").forEach((row, number) => moveRow(row, last(known.groups[number], step)));
    document.querySelectorAll("#site-errors tbody tr").forEach((row, number) => moveRow(row, last(known.sites[number], step)));
    document.querySelectorAll("[data-probability]").forEach(each => {
      const called = Number(each.dataset.probability) >= threshold, positive = each.dataset.label === "1";
      each.textContent = positive ? `${called ? "found" : "missed"} ${known.positive}` : called ? "false alarm" : "no alarm";
    });
    const moved = step !== known.start;
    document.querySelectorAll("[data-moved]").forEach(each => { each.hidden = !moved; });
    document.querySelectorAll("[data-at-start]").forEach(each => { each.hidden = moved; });
    // In full: rounded up, it would miss the bear that it was set for.
    put("save", `bearcnn evaluate ${known.run} --threshold ${threshold} --save-threshold`);
    slider.setAttribute("aria-valuetext", `threshold ${label}: ${said["count-missed"]} missed, ${said["count-alarms"]} false alarms`);
  }
  slider.addEventListener("input", update);
  frequency.addEventListener("input", () => { bears = Math.min(1000, Math.max(0, Number(frequency.value) || 0)); update(); });
  document.querySelectorAll("[data-go]").forEach(each => {
    each.hidden = false;
    each.addEventListener("click", () => { slider.value = each.dataset.go; update(); });
  });
  document.querySelectorAll(".tool").forEach(each => { each.hidden = false; });
  update();
}
