/* Runs the page's forward pass in node: { record, block, experiments } on standard input, the comparisons on standard output. */
const { record, block, descriptions } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { model, features } = experiments.unpacked(record, require("zlib").inflateSync(Buffer.from(block, "base64")));
const before = experiments.subject(model, features);
const done = descriptions.map((description) => experiments.compare(before, description));
console.log(JSON.stringify(done.map((one) => ({ ...one, logits: Array.from(one.logits.data) }))));
