/** The page: its bar, the model, and the room that is open. */
import { LateRoom } from "./late-room.tsx";
import { DropTarget } from "./parts/drop-target.tsx";
import { Logo } from "./parts/icons.tsx";
import { panelId, Tabs, tabId } from "./parts/tabs.tsx";
import { ThemeButton } from "./parts/theme-button.tsx";
import { NeedsPage } from "./server/needs-page.tsx";
import { room, rooms } from "./state/room.ts";
import { server } from "./state/server.ts";
import { ModelBar } from "./steer/model-bar.tsx";
import { Steer } from "./steer/steer.tsx";

export function App() {
  const open = room.value;
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
          {open === "Steer" ? <Steer /> : server.value ? <NeedsPage room={open} /> : <LateRoom name={open} />}
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
