/// <reference lib="dom" />
/** Runs before the first paint: puts the theme that this browser chose last on the page, so that nothing flashes. */
const chosen = localStorage.getItem("deltadb.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
