/** The page: its bar, the model, and the room that is open. */
import { Circuit } from "./circuit/circuit.tsx";
import { Fit } from "./fit/fit.tsx";
import { Look } from "./look/look.tsx";
import { Measure } from "./measure/measure.tsx";
import { DropTarget } from "./parts/drop-target.tsx";
import { Logo } from "./parts/icons.tsx";
import { panelId, Tabs, tabId } from "./parts/tabs.tsx";
import { ThemeButton } from "./parts/theme-button.tsx";
import { NeedsPage } from "./server/needs-page.tsx";
import { type Room, room, rooms } from "./state/room.ts";
import { server } from "./state/server.ts";
import { ModelBar } from "./steer/model-bar.tsx";
import { Steer } from "./steer/steer.tsx";

const contents: Readonly<Record<Room, () => preact.JSX.Element>> = {
  Steer,
  Circuit,
  Fit,
  Look,
  Measure,
};

export function App() {
  const open = room.value;
  const Contents = contents[open];
  return (
    <DropTarget>
      <header class="topbar">
        <div class="topbar-inner">
          <h1 class="brand">
            <Logo />
            Sluice
          </h1>
          <Tabs
            label="Rooms"
            names={rooms}
            open={open}
            onOpen={(name) => {
              room.value = name;
            }}
          />
          <ThemeButton />
        </div>
      </header>
      <main class="shell">
        <ModelBar />
        <div role="tabpanel" id={panelId} aria-labelledby={tabId(open)}>
          {server.value && open !== "Steer" ? <NeedsPage room={open} /> : <Contents />}
        </div>
        <footer class="footer">
          {server.value ? (
            <>
              The model runs on {server.value.address}. What you send goes there, and nowhere else; the server's key is
              kept for this visit alone.
            </>
          ) : (
            <>
              The model runs in this page, on this machine. Nothing you type leaves it. This page needs no network after
              the first visit.
            </>
          )}
        </footer>
      </main>
    </DropTarget>
  );
}
