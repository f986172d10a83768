/* The panel: controls, a computer, and the answers. It asks shortly after the last change, and shows the newest answer only. */

const PAUSE = 250;                      // milliseconds

function panel(view, holder) {
  const record = JSON.parse($("live-data").textContent);
  if (record.kind === "none") {
    holder.append(element("p", {}, `This page cannot compute experiments: ${record.why}. `, element("code", {}, "s2t-np explore FILE --model NAME"),
      " opens it with the controls, and Python computes the answers."));
    return;
  }
  const compute = computers[record.kind](record), state = controls.nothing();
  const result = element("div", { class: "result" }), status = element("div", { class: "status", role: "status" });
  let asked = 0, waiting = 0;
  const run = async () => {
    const mine = ++asked;
    result.setAttribute("aria-busy", "true");
    status.textContent = "Computing …";
    try {
      const done = await compute(JSON.parse(JSON.stringify(state)));
      if (mine === asked) answers.show(result, status, done);
    } catch (error) {
      if (mine === asked) status.textContent = `There is no answer: ${error.message}.`;
    }
    if (mine !== asked) return;
    result.removeAttribute("aria-busy");
    result.dataset.answers = String(Number(result.dataset.answers || 0) + 1);
  };
  const parts = [];
  const changed = () => {
    parts.forEach((part) => part.show());
    clearTimeout(waiting);
    waiting = setTimeout(run, PAUSE);
  };
  const set = (experiment) => { Object.assign(state, controls.nothing(), JSON.parse(JSON.stringify(experiment))); changed(); };
  const tries = controls.suggestions(record).map(([name, experiment]) => element("button", { type: "button", onclick: () => set(experiment) }, name));
  const again = element("button", { type: "button", class: "again", onclick: () => set({}) }, "start again");
  const input = element("div", {});
  parts.push(
    controls.stack("encoder", record.encoder_layers, record.encoder_heads, ["self_attn"], state, changed),
    controls.stack("decoder", record.decoder_layers, record.decoder_heads, ["self_attn", "encoder_attn"], state, changed),
    controls.positions("encoder", state, changed), controls.positions("decoder", state, changed),
    controls.span("masked_seconds", "time", { unit: "s", step: 0.01, most: duration }, state, changed),
    controls.span("masked_bins", "mel bins", { unit: "", step: 1, most: record.bins }, state, changed),
    controls.search(record, state, changed));
  const [encoderStack, decoderStack, ...others] = parts.map((part) => part.made);
  holder.append(
    element("div", { class: "controls", role: "group", "aria-label": "Experiments to begin with" }, "Try: ", ...tries, again),
    controls.group("Mute layers and heads", element("div", { class: "stacks" }, encoderStack, decoderStack)),
    controls.group("Positions", ...others.slice(0, 2)),
    controls.group("Hide a part of the input", input, element("div", { class: "controls" }, ...others.slice(2, 4))),
    controls.group("Search", others[4]), status, result);
  if (record.kind === "page") holder.append(programText());
  parts.push(controls.picture(view, input, state, changed));
  parts.forEach((part) => part.show());
  run();
}

/* The files of this program, to be read. */
function programText() {
  const [, ...files] = $("live-program").textContent.split(/^\/\* ==== (\S+) ==== \*\/$/m), shown = [];
  for (let i = 0; i < files.length; i += 2) shown.push(element("p", {}, files[i]), element("pre", { tabindex: "0" }, files[i + 1].trim()));
  const note = "The weights in this page are kept in float16; a logit differs by up to 0.002 from what Python computes with float32 ones.";
  return element("details", {}, element("summary", {}, "The program that computes it in this page"), element("p", {}, note), ...shown);
}
