// The page: a file or the microphone in, words out. It asks nothing of any other server.
"use strict";

const $ = (id) => document.getElementById(id);
const SURE = 0.9, DOUBTFUL = 0.7;  // probabilities, as cli/highlight.py has them
const PAD = 0.2;  // seconds of the pauses around a segment that the explorer hears with it

let server = { model: "", languages: [], needs_key: false };
let segments = [], brokenOff = null, name = "recording", sound = null, recorded = null, playing = 0, session = 0;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function tell(text, failed = false) {
  $("status").textContent = text;
  $("status").classList.toggle("failed", failed);
}

function headers() {
  return $("key").value ? { Authorization: `Bearer ${$("key").value}` } : {};
}

async function begin() {
  const answer = await fetch("health");
  server = await answer.json();
  $("about").textContent = `Speech to text with the model ${server.model}. Nothing leaves this server.`;
  $("key-row").hidden = !server.needs_key;
  $("language-row").hidden = !server.languages.length;
  $("language").append(...server.languages.map((code) => element("option", { textContent: code })));
  document.documentElement.dataset.ready = "true";
}

// ---- what was heard, on the page

function clear(title) {
  session += 1;
  segments = [];
  brokenOff = null;
  name = title.replace(/\.[^.]*$/, "") || "recording";
  $("transcript").replaceChildren();
  $("result").hidden = false;
  tell("");
  return session;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return (hours ? `${hours}:` : "") + `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

function wordButton(word) {
  const kind = word.probability < DOUBTFUL ? "word unlikely" : word.probability < SURE ? "word doubtful" : "word";
  const title = `${word.start.toFixed(2)} to ${word.end.toFixed(2)} s, probability ${word.probability.toFixed(2)}`;
  const button = element("button", { type: "button", className: kind, textContent: word.word, title });
  button.addEventListener("click", () => play(word.start, word.end, button));
  return button;
}

function show(segment) {
  segments.push(segment);
  const text = element("p");
  const words = segment.words || [];
  words.forEach((word, i) => text.append(i ? " " : "", wordButton(word)));
  if (!words.length) text.textContent = segment.text;
  const explore = element("button", { type: "button", className: "explore", textContent: "Explore" });
  explore.title = "A page that follows this segment through the model";
  explore.addEventListener("click", () => openExplorer(segment, explore));
  const row = element("div", { className: "segment" }, element("span", { className: "time", textContent: clock(segment.start) }), text, explore);
  if (segment.flags.length) row.append(element("span", { className: "flags", textContent: segment.flags.join(", ").replace("_", " ") }));
  document.querySelector(".open")?.remove();
  $("transcript").append(row);
}

function showPartial(partial) {
  let row = document.querySelector(".open");
  if (!row) {
    row = element("div", { className: "segment open" }, element("span", { className: "time" }), element("p"), "");
    row.setAttribute("aria-live", "off");  // a screen reader hears the segment when it has closed
    $("transcript").append(row);
  }
  row.querySelector(".time").textContent = clock(partial.start);
  const tentative = element("span", { className: "tentative", textContent: partial.tentative });
  row.querySelector("p").replaceChildren(partial.stable, partial.stable && partial.tentative ? " " : "", tentative);
}

// ---- a file

async function* serverEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

async function transcribeFile(file) {
  stopMicrophone();
  const own = clear(file.name);
  sound = file;
  $("player").src = URL.createObjectURL(file);
  const form = new FormData();
  form.append("model", server.model);
  form.append("response_format", "verbose_json");
  form.append("timestamp_granularities[]", "word");
  form.append("timestamp_granularities[]", "segment");
  form.append("stream", "true");
  if (server.languages.length) form.append("to_language", $("language").value);
  form.append("file", file);
  const path = server.task === "translate" ? "v1/audio/translations" : "v1/audio/transcriptions";
  tell(`Listening to ${file.name} ...`);
  try {
    const response = await fetch(path, { method: "POST", body: form, headers: headers() });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const event of serverEvents(response)) {
      if (own !== session) return;
      if (event.error) throw new Error(event.error.message);
      if (event.type === "transcript.text.segment") show(event);
      if (event.type === "transcript.text.done") finished(event.duration, event.incomplete);
    }
  } catch (error) {
    if (own === session) tell(error.message, true);
  }
}

function finished(duration, incomplete) {
  document.querySelector(".open")?.remove();
  brokenOff = incomplete ? { at: duration, reason: incomplete } : null;
  const found = segments.length ? "" : "No speech was found. ";
  tell(`${found}${duration.toFixed(1)} s heard.${incomplete ? ` The recording ${incomplete}.` : ""}`, Boolean(incomplete));
}

// ---- the microphone

let live = null;

async function startMicrophone() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  await context.audioWorklet.addModule("microphone.js");
  const node = new AudioWorkletNode(context, "microphone");
  const protocols = ["s2t-np", ...($("key").value ? [`s2t-np-key.${$("key").value}`] : [])];
  const socket = new WebSocket(new URL("v1/live", location.href.replace(/^http/, "ws")), protocols);
  const own = clear("microphone");
  live = { stream, context, node, socket, blocks: [], own };
  sound = recorded = null;
  $("player").removeAttribute("src");
  socket.binaryType = "arraybuffer";
  const lang = server.languages.length ? { lang: $("language").value } : {};
  socket.onopen = () => socket.send(JSON.stringify({ type: "start", rate: context.sampleRate, encoding: "float32", words: true, ...lang }));
  socket.onmessage = (message) => heard(live, JSON.parse(message.data), own);
  socket.onclose = (event) => { if (own === session && live) { stopMicrophone(); if (event.code !== 1000) tell(event.reason || "The server has closed the session.", true); } };
  node.port.onmessage = ({ data }) => {
    if (socket.readyState !== WebSocket.OPEN || !live) return;
    live.blocks.push(data);
    socket.send(data.buffer.slice(0));
  };
  context.createMediaStreamSource(stream).connect(node);
  $("microphone").setAttribute("aria-pressed", "true");
  $("microphone").querySelector("b").textContent = "Stop";
  tell("Listening ...");
}

function heard(state, event, own) {
  if (own !== session) return;
  if (event.type === "partial") showPartial(event);
  if (event.type === "segment") show(event);
  if (event.type === "error") tell(event.error.message, true);
  if (event.type === "done") finished(event.duration, null);
}

function stopMicrophone() {
  if (!live) return;
  const { stream, context, socket, blocks } = live;
  live = null;
  stream.getTracks().forEach((track) => track.stop());
  sound = wav(joined(blocks), context.sampleRate);
  $("player").src = URL.createObjectURL(sound);
  context.close();
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "end" }));
  $("microphone").setAttribute("aria-pressed", "false");
  $("microphone").querySelector("b").textContent = "Use the microphone";
}

// ---- sound

function joined(blocks) {
  const all = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) { all.set(block, at); at += block.length; }
  return all;
}

function mono(decoded) {  // the mean of the channels, as the server mixes them
  const all = Array.from({ length: decoded.numberOfChannels }, (_, channel) => decoded.getChannelData(channel));
  return all[0].map((_, i) => all.reduce((sum, one) => sum + one[i], 0) / all.length);
}

function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, x)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

async function play(start, end, button) {
  const player = $("player"), own = ++playing;
  document.querySelectorAll(".playing").forEach((word) => word.classList.remove("playing"));
  player.currentTime = start;
  button.classList.add("playing");
  try {
    await player.play();
    while (own === playing && !player.paused && player.currentTime < end) await new Promise(requestAnimationFrame);
  } catch {
    tell("This browser cannot play the recording.", true);
  }
  if (own === playing) player.pause();
  button.classList.remove("playing");
}

async function openExplorer(segment, button) {
  button.disabled = true;
  button.textContent = "Computing ...";
  try {
    const context = new OfflineAudioContext(1, 1, 16000);
    const decoded = await context.decodeAudioData(await sound.arrayBuffer());
    const [from, to] = [Math.max(0, segment.start - PAD), segment.end + PAD].map((s) => Math.round(s * decoded.sampleRate));
    const form = new FormData();
    form.append("model", server.model);
    form.append("file", wav(mono(decoded).slice(from, to), decoded.sampleRate), "segment.wav");
    const response = await fetch("explorer", { method: "POST", body: form, headers: headers() });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error.message);
    const link = element("a", { href: answer.url, target: "_blank", rel: "noopener", className: "explore", textContent: "Open the explorer" });
    button.replaceWith(link);
    link.focus();
  } catch (error) {
    tell(error.message, true);
    button.disabled = false;
    button.textContent = "Explore";
  }
}

// ---- files to keep

const WRITERS = {
  txt: () => segments.map((segment) => `${segment.text}\n`).join(""),
  srt: () => subtitles.srt(segments, brokenOff),
  vtt: () => subtitles.vtt(segments, brokenOff),
  json: () => JSON.stringify({ text: segments.map((segment) => segment.text).join(" "), segments }, null, 2),
};

function download(format) {
  const link = element("a", { download: `${name}.${format}`, href: URL.createObjectURL(new Blob([WRITERS[format]()], { type: "text/plain" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---- what one can do

$("file").addEventListener("change", () => { if ($("file").files[0]) transcribeFile($("file").files[0]); $("file").value = ""; });
$("microphone").addEventListener("click", () => (live ? stopMicrophone() : startMicrophone().catch((error) => tell(`The microphone cannot be used: ${error.message}`, true))));
document.querySelectorAll("#downloads button").forEach((button) => button.addEventListener("click", () => download(button.dataset.format)));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) transcribeFile(event.dataTransfer.files[0]);
  });
}
begin().catch((error) => tell(`The server does not answer: ${error.message}`, true));
