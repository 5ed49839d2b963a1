/** The page as a whole: the head, the banner, the list beside the match, and the panels. */
import type { Link } from "../core/link";
import { clock } from "../core/time";
import { connection } from "../core/words";
import { useCredential } from "../live/calls";
import { here } from "../live/clock";
import { announced, isRead, restartList, stream, wasReadAnew } from "../live/list";
import { open, trying } from "../live/match";
import { hasShortcuts, panel, type Theme, theme } from "../live/page";
import { askPermissions, may } from "../live/permissions";
import type { Stream } from "../live/stream";
import { ListView } from "./list";
import { MatchView } from "./match";
import { Panel } from "./parts";
import { TryPanel } from "./try";

export function App() {
    return (
        <>
            <a class="skip" href="#content">
                Skip to the matches
            </a>
            <Head />
            <Banner />
            <Credential />
            <main id="content" tabIndex={-1} class={open.value ? "has-match" : ""}>
                <ListView />
                {open.value && <MatchView key={open.value.matchId} open={open.value} />}
            </main>
            {panel.value === "try" && may.value.match && <TryPanel />}
            {panel.value === "keys" && <Keys />}
            <p class="unseen" role="status">
                {announced.value}
            </p>
        </>
    );
}

function Head() {
    const isLive = stream.value?.link.value.phase === "live";
    return (
        <header class="head">
            <h1>FaceMatch</h1>
            <p class="what">Photos compared with liveness videos at Oz</p>
            <p class={isLive ? "pulse live" : "pulse"}>{isLive ? "● Live" : "○ Not live"}</p>
            <span class="tools">
                {may.value.match && (
                    <button type="button" class="main" onClick={() => (panel.value = "try")}>
                        Try a photo
                    </button>
                )}
                <select
                    aria-label="Theme"
                    value={theme.value}
                    onChange={(event) => (theme.value = event.currentTarget.value as Theme)}
                >
                    <option value="system">System theme</option>
                    <option value="light">Light theme</option>
                    <option value="dark">Dark theme</option>
                </select>
                <button
                    type="button"
                    aria-label="Keyboard shortcuts"
                    onClick={() => (panel.value = "keys")}
                >
                    ?
                </button>
            </span>
        </header>
    );
}

/** What is wrong with the connections, until they are back. */
function Banner() {
    const streams = [stream.value, open.value?.stream, trying.value?.stream];
    const words = streams
        .filter((it): it is Stream => it !== undefined)
        .map((it) => ({ stream: it, text: connection(it.link.value, here.value) }));
    const broken = words.find((it) => it.text !== undefined);
    if (broken) {
        const isWaiting = broken.stream.link.value.phase === "waiting";
        return (
            <section class="banner" aria-label="Connection">
                <span>{broken.text}</span>
                {isWaiting && (
                    <button
                        type="button"
                        class="small"
                        onClick={() => {
                            for (const it of streams) it?.retryNow();
                        }}
                    >
                        Try now
                    </button>
                )}
            </section>
        );
    }
    if (isRead.value && stream.value?.link.value.phase === "refused") {
        return <Refused link={stream.value.link.value} />;
    }
    if (!wasReadAnew.value) return null;
    return (
        <section class="banner mild" aria-label="Connection">
            <span>The list was read anew: the server no longer knew where this page was.</span>
            <button type="button" class="small" onClick={() => (wasReadAnew.value = false)}>
                Close
            </button>
        </section>
    );
}

/** The list stays, but there is no more news for it. */
function Refused({ link: { failure, asOf } }: { link: Link }) {
    if (!failure || failure.remedy === "credential") return null;
    return (
        <section class="banner" aria-label="Connection">
            <span>
                <strong>{failure.word}</strong> {failure.message}
                {asOf !== undefined && `; shown as of ${clock(asOf)}`}
            </span>
            <button type="button" class="small" onClick={() => restartList()}>
                Try again
            </button>
        </section>
    );
}

/** Asks for a token when the server wants one. */
function Credential() {
    const links = [stream.value?.link.value, open.value?.stream.link.value];
    const asking = links.find(
        (link) => link?.phase === "refused" && link.failure?.remedy === "credential",
    );
    if (!asking?.failure) return null;
    const submit = (event: SubmitEvent) => {
        event.preventDefault();
        const input = (event.currentTarget as HTMLFormElement).elements.namedItem("token");
        if (!(input instanceof HTMLInputElement)) return;
        useCredential(input.value);
        input.value = "";
        restartList();
        open.peek()?.stream.retryNow();
        void askPermissions();
    };
    return (
        <form class="credential" aria-label="Credential" autocomplete="off" onSubmit={submit}>
            <p>
                <strong>{asking.failure.word}</strong> {asking.failure.message}
            </p>
            <label for="token">Token</label>
            <input id="token" name="token" class="secret" autocomplete="off" required />
            <button type="submit">Use it</button>
            <p class="hint">
                It is kept in the memory of this page alone, until the page is closed.
            </p>
        </form>
    );
}

const KEYS: readonly [string, string][] = [
    ["/", "look for an id"],
    ["j, k", "next and previous match"],
    ["Enter", "open the match"],
    ["Esc", "close the match, or leave a field"],
    ["g l", "go to the list"],
    ["?", "show these keys"],
];

function Keys() {
    return (
        <Panel title="Keyboard shortcuts" close={() => (panel.value = undefined)}>
            <dl class="keys">
                {KEYS.map(([key, what]) => (
                    <div key={key}>
                        <dt>
                            <kbd>{key}</kbd>
                        </dt>
                        <dd>{what}</dd>
                    </div>
                ))}
            </dl>
            <label>
                <input
                    type="checkbox"
                    checked={hasShortcuts.value}
                    onChange={(event) => (hasShortcuts.value = event.currentTarget.checked)}
                />
                Use single keys as shortcuts
            </label>
        </Panel>
    );
}
