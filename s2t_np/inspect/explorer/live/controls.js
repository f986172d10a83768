/* The controls of an experiment. Each shows a part of the experiment, changes it, and calls `changed()`. */

const BLOCKS = { self_attn: "self-attention", encoder_attn: "attention to the sound" };
const HEADINGS = { self_attn: "self-attention heads", encoder_attn: "heads on the sound" };
const MOST_BEAMS = 10;

const controls = {
  /* The experiment before anything is chosen. */
  nothing: () => ({ muted_heads: [], muted_layers: [], dropped_positions: [], masked_bins: null, masked_seconds: null, num_beams: null, length_penalty: null }),

  /* Put a name into a list of the experiment, or take it out. */
  toggle(list, name) {
    const at = list.indexOf(name);
    if (at < 0) list.push(name);
    else list.splice(at, 1);
  },

  group: (title, ...children) => element("fieldset", {}, element("legend", {}, title), ...children),

  /* A button that mutes a head or a layer: pressed while it is muted. */
  mute(shown, label, list, name, changed) {
    const made = element("button", { type: "button", class: "mute", "aria-label": `mute ${label}`, title: `mute ${label}`, tabindex: "-1" }, shown);
    made.addEventListener("click", () => { controls.toggle(list(), name); changed(); });
    made.show = () => made.setAttribute("aria-pressed", String(list().includes(name)));
    return made;
  },

  /* A table of one stack: a row for each layer, with a button for the layer and one for each of its heads. One stop of the
     tab key; the arrow keys go on from there. */
  stack(name, count, heads, blocks, state, changed) {
    const row = (i) => [
      controls.mute(String(i), `${name} layer ${i}`, () => state.muted_layers, `${name}.layers.${i}`, changed),
      ...blocks.flatMap((block) => Array.from({ length: heads }, (_, head) => controls.mute(String(head),
        `${name} layer ${i}, ${BLOCKS[block]}, head ${head}`, () => state.muted_heads, `${name}.layers.${i}.${block}/${head}`, changed))),
    ];
    const buttons = Array.from({ length: count }, (_, i) => row(i));
    const first = (x, span) => element("th", { scope: "colgroup", colspan: String(span) }, x);
    const head = element("tr", {}, first("layer", 1), ...blocks.map((block) => first(HEADINGS[block], heads)));
    const rows = buttons.map((cells) => element("tr", {}, ...cells.map((cell, i) =>
      element("td", { class: i && (i - 1) % heads === 0 ? "apart" : "" }, cell))));
    const table = element("table", { class: "mutes", role: "group", "aria-label": `${name} layers and heads to mute` }, head, ...rows);
    controls.roam(table, buttons);
    return { made: element("div", { class: "stack" }, element("h4", {}, name), table), show: () => buttons.flat().forEach((b) => b.show()) };
  },

  roam(table, buttons) {
    if (!buttons.length) return;
    buttons[0][0].tabIndex = 0;
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const focus = (to) => { buttons.flat().forEach((button) => { button.tabIndex = button === to ? 0 : -1; }); to.focus(); };
    table.addEventListener("keydown", (event) => {
      const move = moves[event.key], r = buttons.findIndex((row) => row.includes(event.target));
      if (!move || r < 0) return;
      event.preventDefault();
      const c = buttons[r].indexOf(event.target), to = (buttons[r + move[0]] || [])[c + move[1]];
      if (to) focus(to);
    });
    table.addEventListener("click", (event) => { if (buttons.flat().includes(event.target)) focus(event.target); });
  },

  /* A tick for the positions of a stack: off drops them. */
  positions(name, state, changed) {
    const box = element("input", { type: "checkbox", onchange: () => { controls.toggle(state.dropped_positions, name); changed(); } });
    const made = element("label", {}, box, ` ${name} positions are added`);
    return { made, show: () => { box.checked = !state.dropped_positions.includes(name); } };
  },

  /* Two numbers, from and to, of a mask; empty ones hide nothing. */
  span(key, label, { unit, step, most }, state, changed) {
    const field = (word) => element("input", { type: "number", min: "0", max: String(most), step: String(step), "aria-label": `hide ${label} ${word}`, onchange: () => read() });
    const [from, to] = [field("from"), field("to")];
    const read = () => {
      const ends = [from, to].map((input) => (input.value === "" ? null : Math.min(most, Math.max(0, Number(input.value)))));
      state[key] = ends.includes(null) || ends[0] >= ends[1] ? null : ends;
      if (!ends.includes(null) || ends.every((end) => end === null)) changed();
    };
    const show = () => [from, to].forEach((input, i) => { if (document.activeElement !== input || state[key]) input.value = state[key] ? String(state[key][i]) : ""; });
    return { made: element("span", { class: "span" }, `${label} from `, from, " to ", to, ` ${unit}`), show };
  },

  /* The picture of the input. Dragging along it hides a stretch of time, dragging up or down a band. */
  picture(view, holder, state, changed) {
    const part = picture(view, holder, "11rem", named(view)), a = array(view.arrays[0]);
    part.show(a, { signed: true, across: true });
    part.canvas.setAttribute("aria-label", "The input of the network; drag along it to hide a stretch, up or down to hide a band; the fields below do the same");
    follow(part.frame, duration);
    const veils = [element("div", { class: "veil" }), element("div", { class: "veil" })];
    part.frame.append(...veils);
    const at = (event) => {
      const box = part.canvas.getBoundingClientRect(), share = (x) => Math.min(1, Math.max(0, x));
      return [share((event.clientX - box.left) / box.width), share((box.bottom - event.clientY) / box.height), event.clientX, event.clientY];
    };
    let begun = null;
    part.canvas.addEventListener("pointerdown", (event) => { begun = at(event); part.canvas.setPointerCapture(event.pointerId); });
    part.canvas.addEventListener("pointerup", (event) => {
      const ended = at(event), [wide, high] = [2, 3].map((i) => Math.abs(ended[i] - (begun || ended)[i]));
      const ends = (i, scale) => [begun[i], ended[i]].sort((x, y) => x - y).map((x) => Math.round(scale * x));
      if (begun && Math.max(wide, high) > 6) {
        if (wide >= high) state.masked_seconds = ends(0, a.rows).map((frame) => frame / 100);
        else state.masked_bins = ends(1, a.columns);
        changed();
      }
      begun = null;
    });
    const percent = (x) => `${100 * Math.min(1, x)}%`;
    const show = () => {
      const [s, b] = [state.masked_seconds || [0, 0], state.masked_bins || [0, 0]];
      Object.assign(veils[0].style, { left: percent((100 * s[0]) / a.rows), width: percent((100 * (s[1] - s[0])) / a.rows), top: 0, bottom: 0 });
      Object.assign(veils[1].style, { left: 0, right: 0, bottom: percent(b[0] / a.columns), height: percent((b[1] - b[0]) / a.columns) });
    };
    return { show };
  },

  /* How to search: the number of beams, and the length penalty. */
  search(shape, state, changed) {
    const counts = Array.from({ length: Math.max(MOST_BEAMS, shape.num_beams) }, (_, i) => i + 1);
    const beams = element("select", { onchange: () => { const k = Number(beams.value); state.num_beams = k === shape.num_beams ? null : k; changed(); } },
      ...counts.map((k) => element("option", { value: String(k) }, k === 1 ? "1 (greedy)" : String(k))));
    const power = element("input", { type: "range", min: "-3", max: "3", step: "0.25", oninput: () => {
      const p = Number(power.value);
      state.length_penalty = p === shape.length_penalty ? null : p;
      changed();
    } });
    const said = element("output", {});
    const show = () => {
      beams.value = String(state.num_beams ?? shape.num_beams);
      power.value = String(state.length_penalty ?? shape.length_penalty);
      said.textContent = power.value;
    };
    return { made: element("div", { class: "controls" }, element("label", {}, "beams ", beams), element("label", {}, "length penalty ", power, " ", said)), show };
  },

  /* Experiments to begin with. */
  suggestions(shape) {
    const spoken = heardWords(), found = [
      ["no positions at all", { dropped_positions: ["encoder", "decoder"] }],
      ["no positions in the text", { dropped_positions: ["decoder"] }],
      ["without the first decoder layer", { muted_layers: ["decoder.layers.0"] }],
      ["without attention to the sound in the last layer", { muted_heads: Array.from({ length: shape.decoder_heads }, (_, h) => `decoder.layers.${shape.decoder_layers - 1}.encoder_attn/${h}`) }],
      ["only the lower half of the mel bins", { masked_bins: [Math.floor(shape.bins / 2), shape.bins] }],
    ];
    if (spoken.length > 1) found.push([`hide “${spoken[1].text}”`, { masked_seconds: [spoken[1].from, spoken[1].to].map((x) => Math.round(100 * x) / 100) }]);
    return found;
  },
};
