/** Starts the page. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { followList, isRead, stream } from "./live/list";
import { followAddress, followErasure, open, trying } from "./live/match";
import { dropped, followTheme, panel } from "./live/page";
import { askPermissions, may } from "./live/permissions";
import type { Stream } from "./live/stream";
import { followVisibility } from "./live/visibility";
import { App } from "./views/app";
import { followKeys } from "./views/keys";

/** Opens the panel with a photo that is dropped anywhere. The browser would show it instead. */
function followDrops(): void {
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
        event.preventDefault();
        const photo = event.dataTransfer?.files[0];
        if (!photo || !may.value.match || trying.value) return;
        dropped.value = photo;
        panel.value = "try";
    });
}

/** Does the same with the streams of the page. */
function each(act: (stream: Stream) => void): void {
    for (const it of [stream.peek(), open.peek()?.stream]) if (it) act(it);
}

followTheme();
followList();
followAddress();
followErasure();
followVisibility(
    () => each((it) => it.pause()),
    () => each((it) => it.resume()),
);
addEventListener("online", () => each((it) => it.retryNow()));
followKeys();
followDrops();

let isAsked = false;
effect(() => {
    if (!isRead.value || isAsked) return;
    isAsked = true;
    void askPermissions();
});

const place = document.getElementById("app");
if (place) {
    place.replaceChildren();
    render(<App />, place);
}
