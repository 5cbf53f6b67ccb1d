// Copy buttons: <button data-copy="ID of the element whose text is copied">. Everything else works without this file.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.dataset.label ?? (button.dataset.label = button.textContent);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => { button.textContent = label; }, 2000);
});

// One three-dots menu at a time; Escape or a click elsewhere closes it.
const closeMenus = (except) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
};
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelector("details.menu[open] > summary")?.focus();
  closeMenus();
});

// What has the focus has it still when what it stands in is refreshed. htmx sees to what has an id.
const named = (e) => [e.tagName, e.getAttribute("href"), e.getAttribute("aria-label") ?? e.textContent.trim()].join(" ");
let focused = null;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const e = document.activeElement;
  focused = e && e !== document.body && !e.id && detail.target.contains(e) ? named(e) : null;
});
document.addEventListener("htmx:afterSwap", () => {
  if (focused === null || document.activeElement !== document.body) return;
  [...document.querySelectorAll("a[href], button, summary, input")].find((e) => named(e) === focused)?.focus({ preventScroll: true });
});

// A menu that is open stays so when what it stands in is refreshed.
let open = [];
document.addEventListener("htmx:beforeSwap", () => { open = [...document.querySelectorAll("details.menu[id][open]")].map((menu) => menu.id); });
document.addEventListener("htmx:afterSwap", () => { for (const id of open) document.getElementById(id)?.setAttribute("open", ""); });

// A part that is brought up to date leaves alone what somebody is typing into, and comes again once they are done.
document.addEventListener("htmx:beforeSwap", (event) => {
  const typing = document.activeElement;
  if (typing?.matches("input, select, textarea") && event.detail.target.contains(typing)) event.detail.shouldSwap = false;
});
document.addEventListener("focusout", (event) => {
  const live = event.target.matches("input, select, textarea") && event.target.closest("[hx-trigger*=seen]");
  if (live) setTimeout(() => htmx.trigger(live, "seen"), 300);
});

document.documentElement.classList.add("js");

// A terminal shows its end as it grows, unless somebody scrolled up in it.
const atEnd = new WeakMap();
document.addEventListener("htmx:sseBeforeMessage", ({ target }) => {
  if (target.matches(".terminal")) atEnd.set(target, target.scrollHeight - target.scrollTop - target.clientHeight < 40);
});
document.addEventListener("htmx:sseMessage", ({ target }) => {
  if (atEnd.get(target)) target.scrollTop = target.scrollHeight;
});
for (const terminal of document.querySelectorAll(".terminal")) terminal.scrollTop = terminal.scrollHeight;
