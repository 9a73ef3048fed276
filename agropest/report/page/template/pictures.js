"use strict";
// @ts-check
// The gallery: filters and draws what agropest.report.page.gallery wrote. What a box is (its kind) was decided there.
/** @typedef {{boxes: number[][], found_at: number[]}} TrialBoxes */
/** @typedef {{name: string, file: string, width: number, height: number, truth: number[][], trials: TrialBoxes[]}} Picture */
/** @typedef {{classes: string[], trials: string[], thresholds: number[], lowest_score: number, pictures: Picture[]}} Gallery */

const RIGHT = 0, CONFUSED = 1, MISPLACED = 2, DUPLICATE = 3, FALSE = 4; // as statistics.diagnosis.box_kinds has them
const KINDS = { confused: CONFUSED, misplaced: MISPLACED, duplicate: DUPLICATE, false: FALSE };
const MARKS = { [CONFUSED]: "⇄ ", [MISPLACED]: "↔ ", [DUPLICATE]: "×2 ", [FALSE]: "✗ " };
const AT_A_TIME = 60;

const byId = (id) => document.getElementById(id);
/** @type {Gallery} */
const gallery = JSON.parse(byId("gallery").textContent);
const state = { a: 0, b: Math.min(1, gallery.trials.length - 1), kind: "all", class: -1, threshold: 0.5, shown: AT_A_TIME };
/** @type {{picture: Picture, count: number}[]} */
let chosen = [];
let zoomed = -1;

/** How often a picture shows what is looked for. */
function matches(picture, { a, b, kind, class: wanted, threshold }) {
  const ofClass = (index) => wanted < 0 || index === wanted;
  const one = picture.trials[a], other = picture.trials[b];
  const finds = (trial, index) => trial.found_at[index] >= threshold;
  const truths = picture.truth.map(([index], number) => [index, number]).filter(([index]) => ofClass(index));
  if (kind === "all") {
    return truths.length + one.boxes.filter(([index, , , , , score]) => ofClass(index) && score >= threshold).length || (wanted < 0 ? 1 : 0);
  }
  if (kind === "missed") return truths.filter(([, number]) => !finds(one, number)).length;
  if (kind === "better") return truths.filter(([, number]) => finds(one, number) && !finds(other, number)).length;
  if (kind === "worse") return truths.filter(([, number]) => !finds(one, number) && finds(other, number)).length;
  return one.boxes.filter(([index, , , , , score, its]) => ofClass(index) && score >= threshold && its === KINDS[kind]).length;
}

function element(parent, name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

/** A picture with the boxes of one trial at or above the threshold. */
function drawn(picture, number) {
  const { width, height } = picture, trial = picture.trials[number], size = Math.max(width, height) / 26;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${picture.name}: ${gallery.trials[number]}`);
  element(svg, "image", { href: picture.file, width, height, preserveAspectRatio: "none" });
  const rectangle = (kind, [x, y, w, h]) => {
    element(svg, "rect", { class: "edge", x, y, width: w, height: h });
    element(svg, "rect", { class: kind, x, y, width: w, height: h });
  };
  const label = (kind, x, y, text) => {
    const made = element(svg, "text", { class: kind, "font-size": size, x: Math.max(2, Math.min(x, width - text.length * size * 0.62)), y: Math.min(Math.max(y, size), height - 3) }, text);
    return made;
  };
  picture.truth.forEach(([index, ...box], place) => {
    const found = trial.found_at[place] >= state.threshold;
    rectangle(found ? "found" : "missed", box);
    if (!found) label("missed", box[0] + 3, box[1] + box[3] - 4, `missed: ${gallery.classes[index]}`);
  });
  for (const [index, x, y, w, h, score, kind] of trial.boxes) {
    if (score < state.threshold) continue;
    rectangle(kind === RIGHT ? "right" : "wrong", [x, y, w, h]);
    label("box", x + 3, y + size, `${MARKS[kind] ?? ""}${gallery.classes[index] ?? "?"} ${score.toFixed(2)}`);
  }
  return svg;
}

const sides = () => (state.a === state.b ? [state.a] : [state.a, state.b]);

function card({ picture }, place) {
  const figure = document.createElement("figure");
  const button = document.createElement("button");
  button.type = "button";
  button.className = sides().length === 1 ? "one" : "";
  button.setAttribute("aria-label", `Enlarge ${picture.name}`);
  button.append(...sides().map((number) => drawn(picture, number)));
  button.addEventListener("click", () => zoom(place));
  const caption = document.createElement("figcaption");
  caption.textContent = picture.name;
  figure.append(button, caption);
  return figure;
}

function zoom(place) {
  if (place < 0 || place >= chosen.length) return;
  zoomed = place;
  byId("name").textContent = `${place + 1} of ${chosen.length}: ${chosen[place].picture.name}`;
  byId("sides").className = sides().length === 1 ? "one" : "";
  byId("sides").replaceChildren(
    ...sides().map((number) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      caption.textContent = gallery.trials[number];
      figure.append(drawn(chosen[place].picture, number), caption);
      return figure;
    }),
  );
  if (!byId("zoom").open) byId("zoom").showModal();
}

/** Draws the cards up to `state.shown`; those that are there stay where only more are wanted. */
function show(from) {
  if (from === 0) byId("grid").replaceChildren();
  byId("grid").append(...chosen.slice(from, state.shown).map((one, i) => card(one, from + i)));
  byId("more").hidden = chosen.length <= state.shown;
}

function update() {
  state.shown = AT_A_TIME;
  byId("shown-threshold").textContent = state.threshold.toFixed(2);
  chosen = gallery.pictures.map((picture) => ({ picture, count: matches(picture, state) })).filter(({ count }) => count > 0);
  if (state.kind !== "all") chosen.sort((one, other) => other.count - one.count);
  const total = chosen.reduce((sum, { count }) => sum + count, 0);
  const times = state.kind === "all" ? "" : `, ${total} times`;
  byId("count").textContent = `${chosen.length} of ${gallery.pictures.length} pictures${times}`;
  show(0);
}

function options(select, names, selected) {
  select.append(...names.map(([value, text]) => new Option(text, value, false, value === selected)));
}

/** Takes filters out of the address (pictures.html#kind=missed&class=2&threshold=0.3), so that a view can be linked to. */
function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of ["a", "b", "class", "threshold"]) {
    const value = Number(asked.get(name));
    const most = { a: gallery.trials.length - 1, b: gallery.trials.length - 1, class: gallery.classes.length - 1, threshold: 1 }[name];
    if (asked.has(name) && value >= (name === "class" ? -1 : 0) && value <= most) byId(name).value = state[name] = value;
  }
  if ([...byId("kind").options].some(({ value }) => value === asked.get("kind"))) byId("kind").value = state.kind = asked.get("kind");
  update();
  if (asked.has("picture")) zoom(chosen.findIndex(({ picture }) => picture.name === asked.get("picture")));
}

options(byId("a"), gallery.trials.map((name, i) => [i, name]), state.a);
options(byId("b"), gallery.trials.map((name, i) => [i, name]), state.b);
options(byId("class"), [[-1, "any class"], ...gallery.classes.map((name, i) => [i, name])], -1);
state.threshold = Math.max(gallery.thresholds[state.a] ?? 0.5, gallery.lowest_score);
byId("threshold").value = state.threshold;
for (const name of ["a", "b", "class", "threshold"]) {
  byId(name).addEventListener("input", (event) => { state[name] = Number(event.target.value); update(); });
}
byId("kind").addEventListener("input", (event) => { state.kind = event.target.value; update(); });
byId("more").addEventListener("click", () => { const from = state.shown; state.shown += AT_A_TIME; show(from); });
byId("previous").addEventListener("click", () => zoom(zoomed - 1));
byId("next").addEventListener("click", () => zoom(zoomed + 1));
byId("close").addEventListener("click", () => byId("zoom").close());
byId("zoom").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") zoom(zoomed - 1);
  if (event.key === "ArrowRight") zoom(zoomed + 1);
});
// One hatch for all pictures: a missed object is not only another colour.
const hatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
hatch.setAttribute("width", "0");
hatch.setAttribute("height", "0");
hatch.style.position = "absolute";
const pattern = element(element(hatch, "defs", {}), "pattern", { id: "hatch", width: 10, height: 10, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
element(pattern, "line", { x1: 0, y1: 0, x2: 0, y2: 10, stroke: "#ffd23f", "stroke-width": 2, opacity: 0.5 });
document.body.append(hatch);
addEventListener("hashchange", readAddress);
readAddress();
