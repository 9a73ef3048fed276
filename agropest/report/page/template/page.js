"use strict";
// Tables sort by the button in a heading: first click ascending for words, descending for numbers; what is missing stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const numeric = heading.classList.contains("number");
    heading.querySelector("button").addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      const value = (row) => row.cells[column].dataset.sort;
      const rows = [...body.rows];
      rows.sort((a, b) => {
        const [one, two] = [value(a), value(b)];
        if (one === undefined || two === undefined) return (one === undefined) - (two === undefined);
        const order = numeric ? Number(one) - Number(two) : one.localeCompare(two);
        return down ? -order : order;
      });
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows);
    });
  });
}

// Columns that do not fit fold away, those that matter less first; a chooser above the table brings them back. On paper all are there.
const headingText = (cell) => cell.textContent.replaceAll("\u200b", "").trim();
for (const box of document.querySelectorAll(".scroll.folds")) {
  const table = box.querySelector("table");
  const cells = [...table.tHead.rows[0].cells];
  const names = cells.map(headingText);
  const boxes = names.map((name, column) => {
    const check = document.createElement("input");
    check.type = "checkbox";
    check.checked = true;
    check.addEventListener("change", () => { check.dataset.chosen = "yes"; fold(column, !check.checked); count(); });
    return check;
  });
  const chooser = document.createElement("details");
  chooser.className = "chooser";
  const summary = document.createElement("summary");
  const labels = names.map((name, column) => {
    const label = document.createElement("label");
    label.append(boxes[column], ` ${name}`);
    return label;
  });
  chooser.append(summary, ...labels);
  const fold = (column, away) => {
    for (const row of table.rows) row.cells[column].classList.toggle("away", away);
    boxes[column].checked = !away;
  };
  const count = () => {
    const away = boxes.filter((check) => !check.checked).length;
    summary.textContent = away ? `${away} of ${names.length} columns are folded away` : "Columns";
    chooser.hidden = away === 0 && box.classList.contains("quiet");
  };
  const folds = (column) => Number(cells[column].dataset.folds ?? 0);
  const order = cells.map((_, column) => column).filter(folds).sort((a, b) => folds(a) - folds(b));
  const fit = () => {
    const free = order.filter((column) => boxes[column].dataset.chosen !== "yes");
    for (const column of free) fold(column, false);
    for (const column of new Set(free)) {
      if (box.scrollWidth <= box.clientWidth) break;
      fold(column, true);
    }
    count();
  };
  box.before(chooser);
  fit();
  let width = box.clientWidth;
  addEventListener("resize", () => { if (box.clientWidth !== width) { width = box.clientWidth; fit(); } });
}

// Boxes of the two chosen trials over the pictures.
const data = document.getElementById("boxes-data");
if (data) {
  const pictures = JSON.parse(data.textContent);
  const classes = JSON.parse(document.getElementById("classes-data").textContent);
  const choices = [document.getElementById("left"), document.getElementById("right")];
  const add = (parent, name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const rect = (parent, kind, [x, y, width, height]) => add(parent, "rect", { class: kind, x, y, width, height });
  // Puts a label where it is wanted, or as near to that as there is room within the picture and beside the other labels.
  const place = (label, x, y, size, picture, taken) => {
    const length = label.getComputedTextLength();
    const left = Math.max(Math.min(x, picture.width - length - size / 4), size / 4);
    const free = (at) => taken.every(([l, r, line]) => left > r || left + length < l || Math.abs(at - line) >= 1.1 * size);
    const wanted = Math.min(Math.max(y, size), picture.height - size / 4);
    const lines = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7].map((step) => wanted + 0.55 * size * step);
    const line = lines.find((at) => at >= size && at <= picture.height - size / 4 && free(at)) ?? wanted;
    label.setAttribute("x", left);
    label.setAttribute("y", line);
    taken.push([left, left + length, line]);
  };
  const draw = () => {
    for (const svg of document.querySelectorAll("svg.picture")) {
      const picture = pictures[svg.dataset.number];
      const layer = svg.querySelector(".drawn");
      const size = svg.viewBox.baseVal.width / 18;
      const taken = [];
      layer.replaceChildren();
      for (const [, ...box] of picture.truth) {
        rect(layer, "under", box);
        rect(layer, "truth", box);
      }
      for (const [kind, x, y, width, height, score, right] of picture.found[choices[svg.dataset.side].value]) {
        rect(layer, right ? "right" : "wrong", [x, y, width, height]);
        const words = (name) => `${right ? "" : "✗ "}${name} ${score.toFixed(2)}`;
        const name = kind < 0 ? "?" : classes[kind];
        const label = add(layer, "text", { "font-size": size, style: `font-size:${size}px` }, words(name));
        for (let kept = name.length - 2; kept > 0 && label.getComputedTextLength() > svg.viewBox.baseVal.width - size / 2; kept--) {
          label.textContent = words(name.slice(0, kept) + "…");
        }
        place(label, x + size / 4, y + size, size, svg.viewBox.baseVal, taken);
      }
    }
  };
  for (const choice of choices) choice.addEventListener("change", draw);
  draw();
}
