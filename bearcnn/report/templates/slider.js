const known = JSON.parse(document.getElementById("steps").textContent);
const slider = document.getElementById("threshold"), frequency = document.getElementById("frequency");
const show = (id, text) => document.getElementById(id).textContent = text;
let bears = 1000 * known.bears / (known.bears + known.others);  // exact, as on the card, until somebody types
function update() {
  const [threshold, found, alarms] = known.steps[slider.value];
  const others = 1000 - bears;
  const hits = known.bears ? bears * found / known.bears : 0, wrong = known.others ? others * alarms / known.others : 0;
  const number = value => value > 0 && value < 9.95 ? value.toFixed(1) : Math.floor(value + 0.5 + 1e-6).toLocaleString("en");
  const label = threshold.toPrecision(3);
  show("at", label); show("found", number(hits)); show("missed", number(bears - hits));
  show("alarms", number(wrong)); show("look", number(hits + wrong));
  show("counted", `On these ${known.photos}: ${found} of ${known.bears} ${known.positive}s found; ${alarms} of ${known.others} others mistaken for a ${known.positive}.`);
  // In full: rounded up, it would miss the bear that it was set for.
  show("save", `bearcnn evaluate ${known.run} --threshold ${threshold} --save-threshold`);
  slider.setAttribute("aria-valuetext", `threshold ${label}`);
}
slider.addEventListener("input", update);
frequency.addEventListener("input", () => { bears = Math.min(1000, Math.max(0, Number(frequency.value) || 0)); update(); });
document.getElementById("tool").hidden = false;
update();
