/** Starts the page. */
import { render } from "preact";
import { App } from "./app.tsx";
import { registerOffline } from "./offline/register.ts";
import { loadShelf } from "./state/shelf.ts";
import { showRecorded } from "./steer/run.ts";
import { openLink } from "./steer/share.ts";

const root = document.getElementById("app");
if (root) render(<App />, root);
registerOffline();
// A link that is pasted into the address bar of an open page.
addEventListener("hashchange", () => void openLink());
await loadShelf();
if (!(await openLink())) await showRecorded();
