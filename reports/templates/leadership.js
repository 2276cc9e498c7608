// Tooltips, folding rows and a column filter. Everything is readable without any of it: the script
// only hides and shows what is on the page, and writes no text that is not there already.
"use strict";

const tip = document.getElementById("tip");

// What a mark says: its row of the table under the chart, or the one cell it stands for.
function describe(figure, mark) {
  const table = figure.querySelector("table");
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const row = table.tBodies[0].querySelector(`tr[data-index="${mark.dataset.row}"]`);
  const cells = [...row.cells].map((cell) => cell.textContent.trim());
  const column = mark.dataset.column;
  const shown = column === undefined ? heads.keys() : [0, Number(column)];
  return [...shown].filter((at) => cells[at]).map((at) => [heads[at], cells[at]]);
}

function show(figure, mark) {
  hide();
  mark.classList.add("chosen");
  const list = document.createElement("dl");
  for (const [head, cell] of describe(figure, mark)) {
    const name = document.createElement("dt");
    const value = document.createElement("dd");
    name.textContent = head;
    value.textContent = cell;
    list.append(name, value);
  }
  tip.replaceChildren(list);
  tip.hidden = false;
  const box = mark.getBoundingClientRect();
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const left = Math.max(8, Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, room));
  const above = box.top - tip.offsetHeight - 8;
  const top = above > 4 ? above : box.bottom + 8;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${top + window.scrollY}px`;
}

function hide() {
  tip.hidden = true;
  for (const mark of document.querySelectorAll(".chosen")) mark.classList.remove("chosen");
}

for (const chart of document.querySelectorAll(".chart")) {
  const figure = chart.closest("figure");
  const marks = [...chart.querySelectorAll("[data-row]")];
  let at = -1;
  const go = (to) => {
    at = Math.max(0, Math.min(marks.length - 1, to));
    show(figure, marks[at]);
  };
  chart.addEventListener("pointermove", (event) => {
    const mark = event.target.closest("[data-row]");
    if (!mark) hide();
    else if (!mark.classList.contains("chosen")) {
      at = marks.indexOf(mark);
      show(figure, mark);
    }
  });
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const moves = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: marks.length - 1,
    };
    if (event.key === "Escape") hide();
    else if (event.key in moves && marks.length) {
      event.preventDefault();
      go(moves[event.key]);
    }
  });
}

function fold(button, open) {
  button.setAttribute("aria-expanded", String(open));
  for (const row of button.closest("tbody").querySelectorAll(".child")) row.hidden = !open;
}

for (const button of document.querySelectorAll("button.unfold")) {
  button.hidden = false;
  button.nextElementSibling.hidden = true;
  fold(button, false);
  button.addEventListener("click", () => {
    fold(button, button.getAttribute("aria-expanded") !== "true");
  });
}

function filter(select, column) {
  const table = document.getElementById(select.dataset.table);
  for (const row of table.rows) {
    for (const cell of row.cells) {
      // The name and everybody's figure always stay, to compare with.
      cell.hidden = column !== "" && cell.cellIndex > 1 && cell.cellIndex !== Number(column);
    }
  }
}

for (const select of document.querySelectorAll("select.filter")) {
  select.closest("label").hidden = false;
  select.addEventListener("change", () => filter(select, select.value));
}

// Paper cannot be unfolded: all is open before printing, and as it was afterwards.
let folded = [];
window.addEventListener("beforeprint", () => {
  hide();
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
  for (const button of document.querySelectorAll("button.unfold")) fold(button, true);
  for (const select of document.querySelectorAll("select.filter")) filter(select, "");
});
window.addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
  for (const button of document.querySelectorAll("button.unfold")) fold(button, false);
  for (const select of document.querySelectorAll("select.filter")) filter(select, select.value);
});
