/**
 * Closes streams of hidden pages. A browser has six connections to a server over HTTP/1.1, which
 * all pages share: a page that is shown asks the hidden ones to leave theirs at once.
 */

/** How long a page keeps its streams after it was hidden. */
const HIDDEN_MS = 30_000;
const CHANNEL = "facematch-page";

/** Calls `pause` some time after the page is hidden, and `resume` when it is shown. */
export function followVisibility(pause: () => void, resume: () => void): void {
    const channel = new BroadcastChannel(CHANNEL);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const changed = () => {
        clearTimeout(timer);
        if (document.visibilityState === "hidden") {
            timer = setTimeout(pause, HIDDEN_MS);
        } else {
            channel.postMessage("shown");
            resume();
        }
    };
    channel.addEventListener("message", () => {
        if (document.visibilityState === "hidden") pause();
    });
    document.addEventListener("visibilitychange", changed);
    changed();
}
