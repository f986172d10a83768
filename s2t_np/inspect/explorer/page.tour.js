/* ---- the guided tour: a panel that goes from stop to stop, by its buttons or the keys ← → Esc ---- */

const still = window.matchMedia("(prefers-reduced-motion: reduce)");

let closeTour = () => {};               // set when there is a tour to close

function tour(go) {
  const title = element("h2", { id: "tour-title", tabindex: "-1" }), text = element("p"), surprise = element("p", { class: "surprise" });
  const count = element("span", { class: "count" });
  const back = element("button", { type: "button", onclick: () => show(at - 1) }, "Back");
  const next = element("button", { type: "button", onclick: () => (at < data.tour.length - 1 ? show(at + 1) : close()) });
  const end = element("button", { type: "button", "aria-label": "End the tour", onclick: () => close() }, "✕");
  const panel = element("div", { id: "tour", role: "dialog", "aria-labelledby": "tour-title" },
    element("div", { class: "controls" }, count, end), title, text, surprise, element("div", { class: "controls" }, back, next));
  panel.hidden = true;
  document.body.append(panel);
  let at = 0, opener = null;

  const show = (i) => {
    at = Math.min(data.tour.length - 1, Math.max(0, i));
    const stop = data.tour[at];
    document.querySelectorAll(".stop").forEach((old) => old.classList.remove("stop"));
    count.textContent = `Stop ${at + 1} of ${data.tour.length}`;
    title.textContent = stop.title;
    text.textContent = stop.text;
    surprise.textContent = stop.surprise;
    back.disabled = at === 0;
    next.textContent = at < data.tour.length - 1 ? "Next" : "Finish";
    panel.hidden = false;
    go(stop.section, !still.matches);
    $(stop.section).classList.add("stop");
    title.focus({ preventScroll: true });
  };
  const close = () => {
    panel.hidden = true;
    document.querySelectorAll(".stop").forEach((old) => old.classList.remove("stop"));
    if (opener) opener.focus({ preventScroll: true });
  };
  panel.addEventListener("keydown", (event) => {
    const act = { Escape: close, ArrowRight: () => show(at + 1), ArrowLeft: () => show(at - 1) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  closeTour = () => { if (!panel.hidden) { opener = null; close(); } };
  return (from) => {
    closeFollow();
    opener = from;
    show(0);
  };
}
