/* ---- the tree of beams: a box for every candidate, an edge from each to the one that it continues ---- */

const SVG = "http://www.w3.org/2000/svg";

/* The candidate of the step before that became the row which candidate i of step s continues; -1 at the root. */
function parentIndex(s, i) {
  if (s === 0) return -1;
  const row = data.tree.steps[s][i].parent, before = data.tree.steps[s - 1];
  const found = before.findIndex((c) => c.beam === row);
  return found >= 0 || data.tree.kind === "beam" ? found : before.findIndex((c) => c.outcome === "chosen");
}

/* [step, index] from the root to a candidate. */
function treePath(s, i) {
  const before = parentIndex(s, i);
  return [...(before < 0 ? [] : treePath(s - 1, before)), [s, i]];
}

/* The candidate that ended the transcript with its first `count` tokens; null where the tree does not hold it. */
function chosenCandidate(count = data.tokens.length) {
  const last = data.tokens.length - 1, ends = data.tree.steps[last] || [];
  const end = ends.findIndex((c) => c.token === data.tokens[last].id && /^(finished|chosen)/.test(c.outcome));
  return end < 0 ? null : treePath(last, end)[count - 1] || null;
}

const piecesOf = (path) => path.map(([s, i]) => data.tree.steps[s][i].piece).join(" ");

/* The edges between boxes, drawn behind them; `marked`: a set of "step/index" whose edges stand out. */
function drawEdges(svg, boxes, marked, best) {
  svg.replaceChildren();
  const forest = svg.parentElement;
  svg.setAttribute("width", forest.scrollWidth);
  svg.setAttribute("height", forest.scrollHeight);
  boxes.forEach((step, s) => step.forEach((box, i) => {
    const k = parentIndex(s, i);
    if (k < 0) return;
    const from = boxes[s - 1][k], x1 = from.offsetLeft + from.offsetWidth, y1 = from.offsetTop + from.offsetHeight / 2, x2 = box.offsetLeft, y2 = box.offsetTop + box.offsetHeight / 2;
    const edge = document.createElementNS(SVG, "path"), middle = (x1 + x2) / 2, name = `${s}/${i}`;
    edge.setAttribute("d", `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`);
    edge.setAttribute("class", `edge${marked.has(name) ? " line" : best.has(name) ? " best" : ""}${box.classList.contains("on") ? " on" : ""}`);
    svg.append(edge);
  }));
}

Object.assign(VIEWS, {
  tree(view, holder) {
    const readout = element("div", { class: "readout", "aria-live": "polite" }), svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("aria-hidden", "true");
    const forest = element("div", { class: "forest" });
    forest.append(svg);
    const columns = element("div", { class: "columns tree", tabindex: "0", role: "group", "aria-label": view.title }, forest);
    const boxes = data.tree.steps.map((step) => step.map((candidate) => {
      const kind = candidate.beam !== null || /^(finished|chosen)/.test(candidate.outcome) ? "option candidate on" : "option candidate";
      const box = element("button", { type: "button", class: kind }, candidate.piece, element("b", {}, candidate.score.toFixed(2)));
      box.style.setProperty("--share", `${100 * Math.exp(candidate.log_prob)}%`);
      return box;
    }));
    const end = chosenCandidate(), best = new Set((end ? treePath(...end) : []).map(([a, b]) => `${a}/${b}`));
    let marked = new Set();
    const edges = () => drawEdges(svg, boxes, marked, best);
    data.tree.steps.forEach((step, s) => {
      boxes[s].forEach((box, i) => box.addEventListener("click", () => {
        boxes.flat().forEach((other) => other.classList.remove("line"));
        const path = treePath(s, i), candidate = step[i];
        path.forEach(([a, b]) => boxes[a][b].classList.add("line"));
        marked = new Set(path.map(([a, b]) => `${a}/${b}`));
        edges();
        readout.textContent = `${piecesOf(path)}: log-probability ${candidate.log_prob.toFixed(4)}, score ${candidate.score.toFixed(4)}; ${candidate.outcome}`;
      }));
      forest.append(element("div", {}, element("h4", {}, `step ${s + 1}`), ...boxes[s]));
    });
    if (data.tree.kind === "beam") best.forEach((name) => { const [a, b] = name.split("/"); boxes[a][b].classList.add("best"); });
    holder.append(element("p", {}, `The search stopped: ${data.tree.end}. A line leads from each candidate to those that continue it; the green one is the transcript.`), columns, readout);
    redraws.push(edges);
    requestAnimationFrame(edges);
  },
});
