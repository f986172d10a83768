/* ---- views: one function a kind, called with the view and where it belongs ---- */

const VIEWS = {
  experiment(view, holder) { live.panel(view, holder); },

  image(view, holder) {
    const a = lookup(view.arrays[0]);
    const part = picture(view, holder, a.columns > 300 ? "18rem" : "13rem", named(view));
    part.show(a, { signed: view.signed, across: true, logarithm: a.key.includes("power_spectrum") });
    if (view.seconds) follow(part.frame, a.rows * view.seconds);
  },

  choice(view, holder) {
    const part = choices(view, holder, view.arrays, "layer", (key, i) => `layer ${i}`, true);
    follow(part.frame, lookup(view.arrays[0]).rows * view.seconds);
  },

  heads(view, holder) {
    const layers = grouped(view.arrays);
    const controls = element("div", { class: "controls" }), grid = element("div", { class: "grid", role: "group", "aria-label": "All heads of the layer" });
    const large = element("div", { class: "large" });
    holder.append(controls, element("div", { class: "enlarged" }, large, grid));
    const part = picture(view, large, "auto", named(view));
    part.whole.style.maxWidth = `${Math.min(34, 4 + 3 * array(layers[0][0]).rows)}rem`;
    part.canvas.style.aspectRatio = "1";
    let layer = 0, head = 0;
    const small = layers[0].map((_, i) => element("canvas", { "aria-hidden": "true" }));
    const buttons = small.map((canvas, i) => element("button", { type: "button", onclick: () => { head = i; draw(); } }, canvas, `head ${i}`));
    grid.append(...buttons);
    const miniatures = () => small.forEach((canvas, i) => paint(canvas, lookup(layers[layer][i]), { signed: false, across: false }));
    const draw = () => {
      part.show(lookup(layers[layer][head]), { signed: false, across: false });
      miniatures();
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === head)));
      choice.querySelector("select").value = String(head);
    };
    const choice = select("head", layers[0].map((_, i) => `head ${i}`), (i) => { head = i; draw(); });
    controls.append(select("layer", layers.map((_, i) => `layer ${i}`), (i) => { layer = i; draw(); }), choice);
    part.choose = (i) => { layer = i; controls.querySelector("select").value = String(i); draw(); };
    choosers.push([holder, part.choose]);
    redraws.push(miniatures);
    draw();
  },

  lines(view, holder) {
    const arrays = view.arrays.map(lookup), several = arrays[0].rows > 1;
    const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": view.title });
    canvas.style.height = "13rem";
    const readout = element("div", { class: "readout", "aria-live": "polite" });
    const legend = element("div", { class: "controls" }, ...arrays.map((a, i) => {
      const label = element("span", {}, a.key.replace(/^features\./, ""));
      label.style.color = lineColour(i);
      return label;
    }));
    let row = 0, column = 0;
    const tell = () => {
      const of = several ? `${view.rows} ${row} (${(row * view.seconds).toFixed(2)} s), ` : "";
      const values = arrays.map((a) => `${a.key.split(".").pop()} ${shown(a.at(row, column), a)}`);
      readout.textContent = `${of}${view.columns} ${column}: ${values.join(", ")}`;
    };
    const draw = () => {
      plot(canvas, arrays.map((a) => Float64Array.from({ length: a.columns }, (_, c) => a.at(row, c))), true);
      canvas.dataset.drawn = "yes";
      canvas.dataset.array = arrays[0].key;
    };
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      column = Math.min(arrays[0].columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * arrays[0].columns)));
      tell();
    });
    canvas.addEventListener("click", () => followCell({ key: arrays.at(-1).key, r: row, c: column }, { fresh: true }));
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Enter") followCell({ key: arrays.at(-1).key, r: row, c: column }, { fresh: true });
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      event.preventDefault();
      column = Math.min(arrays[0].columns - 1, Math.max(0, column + move * (event.shiftKey ? 10 : 1)));
      tell();
    });
    if (several) {
      const slider = element("input", { type: "range", min: "0", max: String(arrays[0].rows - 1), value: "0", "aria-label": view.rows });
      slider.addEventListener("input", () => { row = Number(slider.value); draw(); tell(); });
      row = Math.floor(arrays[0].rows / 2);
      slider.value = String(row);
      legend.prepend(slider);
    }
    const drawn = figure(canvas);
    drawn.axes({ name: "ms", ticks: rounds((1000 * arrays[0].columns) / data.rate) },
      { name: "own scale", ticks: several ? [[0.02, "+max"], [0.5, "0"], [0.98, "-max"]] : [[0.02, "max"], [0.98, "0"]] });
    holder.append(legend, drawn.whole, readout);
    redraws.push(draw);
    draw();
  },

  filters(view, holder) {
    const a = lookup(view.arrays[0]);
    const part = picture(view, holder, "13rem", named(view));
    const draw = () => {
      const filters = [];
      for (let c = 0; c < a.columns; c++) filters.push(Float64Array.from({ length: a.rows }, (_, r) => a.at(r, c)));
      plot(part.canvas, filters, false);
    };
    part.show(a, { signed: false, across: true });
    redraws.push(draw);
    draw();
  },

  wave(view, holder) {
    const a = lookup(view.arrays[0]);
    const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": "Waveform; arrow keys move the playhead" });
    canvas.style.height = "8rem";
    const readout = element("div", { class: "readout", "aria-live": "polite" });
    const { whole, frame, axes } = figure(canvas);
    holder.append(whole, readout);
    const most = Math.max(Math.abs(a.low), Math.abs(a.low + a.step * 65535)) || 1;
    axes(timeAxis(duration), { name: "pressure", ticks: [[0.02, brief(most)], [0.5, "0"], [0.98, brief(-most)]] }, true);
    const draw = () => { waveform(canvas, a); canvas.dataset.drawn = "yes"; canvas.dataset.array = a.key; };
    canvas.addEventListener("pointermove", (event) => {
      const n = sampleAt(canvas, event, a.columns);
      readout.textContent = `sample ${n} (${(n / data.rate).toFixed(3)} s): ${shown(a.at(0, n), a)}`;
    });
    canvas.addEventListener("pointerdown", (event) => seek(sampleAt(canvas, event, a.columns) / data.rate));
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key];
      if (!move) return;
      event.preventDefault();
      seek(now + move);
    });
    follow(frame, duration);
    stretches.push(frame);
    redraws.push(draw);
    draw();
  },

  cross(view, holder) {
    const layers = grouped(view.arrays), controls = element("div", { class: "controls" });
    const words = element("div", { class: "words" });
    holder.append(words, controls);
    const rows = data.tokens.length;
    const part = picture(view, holder, `${Math.max(6, Math.min(26, rows * 1.4))}rem`, (a, r, c) =>
      `token ${r} ${data.tokens[r] ? data.tokens[r].piece : ""}, position ${c} (${(c * view.seconds).toFixed(2)} s): ${shown(a.at(r, c), a)}`);
    let layer = layers.length - 1, head = -1, word = -1;
    const current = () => (head < 0 ? mean(layers[layer].map(lookup)) : lookup(layers[layer][head]));
    const draw = () => { part.show(current(), { signed: false, across: false }); mark(); };
    const mark = () => {
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === word)));
      listenedTo(word < 0 ? null : heard(current(), groups[word], view.seconds));
    };
    const groups = wordGroups();
    const buttons = groups.map((group, i) => element("button", { type: "button", "aria-pressed": "false", onclick: () => {
      word = word === i ? -1 : i;
      mark();
      if (word >= 0) seek(heard(current(), groups[word], view.seconds)[0]);
    } }, group.text));
    words.append(...buttons);
    const names = ["all heads", ...layers[0].map((_, i) => `head ${i}`)];
    const choice = select("layer", layers.map((_, i) => `layer ${i}`), (i) => { layer = i; draw(); });
    choice.querySelector("select").value = String(layer);
    controls.append(choice, select("head", names, (i) => { head = i - 1; draw(); }));
    follow(part.frame, lookup(layers[0][0]).columns * view.seconds);
    stretches.push(part.frame);
    choosers.push([holder, (i) => { layer = i; choice.querySelector("select").value = String(i); draw(); }]);
    draw();
  },

  spoken(view, holder) {
    const table = element("table", {}, element("tr", {}, ...["word", "heard at", "pieces", "p(word)"].map((x) => element("th", {}, x))));
    for (const word of heardWords()) {
      const tokens = word.tokens.map((i) => data.tokens[i]);
      const go = element("button", { type: "button", onclick: () => { seek(word.from); listenedTo([word.from, word.to]); } }, word.text);
      const cells = [go, `${word.from.toFixed(2)} to ${word.to.toFixed(2)} s`, tokens.map((t) => t.piece).join(" "),
        tokens.reduce((p, t) => p * t.probability, 1).toFixed(3)];
      table.append(element("tr", {}, ...cells.map((x) => element("td", {}, x))));
    }
    holder.append(element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": view.title }, table));
  },

  alternatives(view, holder) {
    const columns = element("div", { class: "columns", tabindex: "0", role: "group", "aria-label": view.title });
    data.alternatives.forEach((options, i) => {
      const column = element("div", {}, element("h4", {}, `step ${i + 1}`));
      for (const option of options) {
        const first = data.inputs.length - data.tokens.length, cell = { key: "log_probs", r: first + i, c: option.id };
        const row = element("button", { type: "button", class: option.chosen ? "option chosen" : "option", onclick: () => followCell(cell, { fresh: true }) },
          option.piece, element("b", {}, option.probability.toFixed(3)));
        row.style.setProperty("--share", `${100 * option.probability}%`);
        column.append(row);
      }
      columns.append(column);
    });
    holder.append(columns);
  },
};
