/* ---- inside a layer: queries, keys, values, scores and the feed-forward network; and how much each block adds ---- */

const PART_NAMES = {
  q_proj: "queries Q", k_proj: "keys K", v_proj: "values V", scores: "scores of head", context: "gathered values", out_proj: "what attention adds",
  fc1: "feed-forward, before the ReLU", activation_fn: "feed-forward, after the ReLU", fc2: "what feed-forward adds",
};
const BLOCK_NAMES = { self_attn: "self-attention", encoder_attn: "listening" };

/* { layer: [[name, key], ...] } for the arrays that the page carries, with those that it computes from them. */
function partsOfLayers(keys) {
  const found = new Map();
  for (const key of keys) {
    const [, layer, block, part] = key.match(/layers\.(\d+)\.(?:(self_attn|encoder_attn)\.)?(\w+)$/);
    const own = found.get(layer) || found.set(layer, []).get(layer), name = (p) => (block ? `${BLOCK_NAMES[block]}: ${PART_NAMES[p]}` : PART_NAMES[p]);
    own.push([name(part), key]);
    if (part === "v_proj") own.push(...scoreParts(key.replace(".v_proj", ""), name("scores")));
    if (part === "fc1") own.push([name("activation_fn"), key.replace("fc1", "activation_fn")]);
  }
  return found;
}

function scoreParts(block, name) {
  if (!isAsking && !(`${block}.q_proj` in data.arrays && `${block}.k_proj` in data.arrays)) return [];
  return Array.from({ length: data.shapes[`${block}.attn_weights`][0] }, (_, h) => [`${name} ${h}`, `${block}.scores/${h}`]);
}

Object.assign(VIEWS, {
  inside(view, holder) {
    const layers = partsOfLayers(view.arrays), names = [...layers.keys()], controls = element("div", { class: "controls" });
    const all = network.layers[view.rows === "position" ? "encoder" : "decoder"];
    holder.append(element("p", {}, names.length < all ? `The page has room for ${names.length} of ${all} layers.` : "Everything that one layer computes, part by part."), controls);
    const part = picture(view, holder, "13rem", (a, r, c) => `${placeOf({ key: a.key, r, c })}: ${shown(a.at(r, c), a)}`);
    let layer = 0, chosen = 0;
    const what = select("part", [], (i) => { chosen = i; draw(); }), list = what.querySelector("select");
    const fill = () => {
      const options = layers.get(names[layer]);
      list.replaceChildren(...options.map(([name], i) => element("option", { value: String(i) }, name)));
      chosen = Math.min(chosen, options.length - 1);
      list.value = String(chosen);
    };
    const chosenKey = () => layers.get(names[layer])[chosen][1];
    const draw = async () => {
      const key = chosenKey();
      if (missing(() => lookup(key)).length) {
        part.say("Asking the server …");
        await fetchFor(() => lookup(key)).catch((error) => part.say(`The server gave no numbers: ${error.message}.`));
        if (key !== chosenKey()) return;
      }
      const a = lookup(key), attending = /\.scores\//.test(key);
      if (a) part.show(a, { signed: true, across: !attending && view.rows === "position" });
    };
    controls.append(select("layer", names.map((i) => `layer ${i}`), (i) => { layer = i; fill(); draw(); }), what);
    fill();
    draw();
  },

  norms(view, holder) {
    const names = ["what the stream holds after the layer", "what attention adds", "what feed-forward adds"];
    holder.append(element("p", {}, "The length of each position's row. A block that adds little leaves the stream as it was."));
    const part = choices(view, holder, view.arrays, "part of the stream", (_, i) => names[i], true);
    follow(part.frame, lookup(view.arrays[0]).rows * view.seconds);
  },
});
