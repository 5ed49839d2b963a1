/** The list of matches with its filters. */
import { computed, signal } from "@preact/signals";
import { Component } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { counts, shown } from "../core/list";
import { isOver, lengthMs, shortNumber, similarity, verdict } from "../core/match";
import { isFiltered, isUuid, parseLabel, type StateFilter, toAddress } from "../core/route";
import { duration, moment, ms } from "../core/time";
import { matches } from "../core/words";
import type { Match } from "../gen/facematch/v1/face_match_pb";
import { filter, filters, openMatch, route, unread } from "../live/address";
import { now } from "../live/clock";
import { isRead, list, more, readMore, restartList, stream } from "../live/list";
import { find } from "../live/match";
import { panel } from "../live/page";
import { may } from "../live/permissions";
import { Badge, Trouble } from "./parts";

/** The list is held still once it is scrolled further than this, in pixels. */
const SCROLLED = 60;
const SKELETON_ROWS = 6;

/** The first row of the list while it is scrolled. */
const top = signal<Match | undefined>(undefined);
const visible = computed(() => shown(list.value, filters.value, top.value));

export function ListView() {
    const scroller = useRef<HTMLElement>(null);
    const scrolled = () => {
        const isScrolled = (scroller.current?.scrollTop ?? 0) > SCROLLED;
        if (!isScrolled) top.value = undefined;
        else top.value ??= visible.peek().rows[0];
    };
    const toTop = () => {
        top.value = undefined;
        if (scroller.current) scroller.current.scrollTop = 0;
    };
    const { held } = visible.value;
    return (
        <section class="list" aria-label="Matches" ref={scroller} onScroll={scrolled}>
            <FilterBar />
            <Unread />
            {held > 0 && (
                <button type="button" class="pill" onClick={toTop}>
                    {held} new
                </button>
            )}
            <Rows />
        </section>
    );
}

/** An address from elsewhere may have filters that can't be read: the list shows more then. */
function Unread() {
    if (unread.value.length === 0) return null;
    return (
        <p class="trouble">
            The list ignores what can't be read in the address: {unread.value.join(", ")}
        </p>
    );
}

function Rows() {
    const { rows } = visible.value;
    const link = stream.value?.link.value;
    if (!isRead.value) {
        if (link?.phase !== "refused") return <Skeleton />;
        const { failure } = link;
        if (!failure || failure.remedy === "credential") return null;
        return <Trouble failure={failure} again={() => restartList()} />;
    }
    if (rows.length === 0 && list.value.nextPage === "") return <Empty />;
    const opened = route.value.match;
    return (
        <>
            <ul class="rows">
                {rows.map((match) => (
                    <Row key={match.matchId} match={match} isOpen={match.matchId === opened} />
                ))}
            </ul>
            <End />
        </>
    );
}

/** One match. It is drawn anew only when the match has changed. */
class Row extends Component<{ match: Match; isOpen: boolean }> {
    override shouldComponentUpdate(next: { match: Match; isOpen: boolean }): boolean {
        return next.match !== this.props.match || next.isOpen !== this.props.isOpen;
    }

    override render() {
        const { match, isOpen } = this.props;
        const number = similarity(match);
        const created = ms(match.createTime) ?? 0;
        return (
            <li>
                <a
                    class="row"
                    href={toAddress({ ...route.peek(), match: match.matchId })}
                    aria-current={isOpen ? "true" : undefined}
                    onClick={(event) => {
                        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                        event.preventDefault();
                        openMatch(match.matchId);
                    }}
                >
                    <Badge verdict={verdict(match)} />
                    <span class="name">{match.requestId || match.matchId}</span>
                    <span class="number">
                        {number !== undefined && `similarity ${shortNumber(number)}`}
                    </span>
                    <span class="time">
                        {moment(created, now.peek())}
                        {isOver(match) && `, ${duration(lengthMs(match, created))}`}
                    </span>
                    <span class="labels">
                        {match.error && <span class="reason">{match.error.reason}</span>}
                        {Object.entries(match.labels).map(([key, value]) => (
                            <span class="label" key={key}>{`${key}=${value}`}</span>
                        ))}
                    </span>
                </a>
            </li>
        );
    }
}

function Skeleton() {
    return (
        <div class="skeleton" role="img" aria-label="Reading the matches">
            {Array.from({ length: SKELETON_ROWS }, (_, index) => (
                <div key={index} />
            ))}
        </div>
    );
}

function Empty() {
    if (isFiltered(filters.value)) {
        return (
            <div class="empty">
                <p>No match has these properties.</p>
                <button type="button" onClick={clear}>
                    Show all matches
                </button>
            </div>
        );
    }
    return (
        <div class="empty">
            <p>There are no matches yet. New ones appear here at once.</p>
            {may.value.match && (
                <button type="button" onClick={() => (panel.value = "try")}>
                    Try a photo
                </button>
            )}
        </div>
    );
}

function End() {
    const { nextPage, isCut, rows } = list.value;
    if (isCut) {
        return <p class="end">The newest {matches(rows.length)}. Filters find older ones.</p>;
    }
    if (nextPage === "") {
        const { rows, held } = visible.value;
        return <p class="end">{matches(rows.length + held)} in all.</p>;
    }
    return (
        <div class="end">
            {more.value.failure && <Trouble failure={more.value.failure} />}
            <button type="button" disabled={more.value.isBusy} onClick={() => void readMore()}>
                {more.value.isBusy ? "Reading…" : "Show older matches"}
            </button>
        </div>
    );
}

const STATE_NAMES: readonly [StateFilter | undefined, string][] = [
    [undefined, "All"],
    ["running", "Running"],
    ["finished", "Finished"],
    ["failed", "Failed"],
    ["cancelled", "Cancelled"],
];

function clear() {
    filter({ state: undefined, folder: undefined, labels: {}, id: undefined });
}

function FilterBar() {
    return (
        <div class="filters">
            <StateButtons />
            <IdField />
            <details open={Boolean(filters.value.folder) || undefined}>
                <summary>Folder and labels</summary>
                <FolderField />
                <LabelField />
            </details>
            <LabelChips />
        </div>
    );
}

/** One button for each state, with how many matches of the list are in it. */
function StateButtons() {
    const selected = filters.value.state;
    const found = counts(list.value);
    const total = list.value.rows.length;
    const plus = list.value.nextPage !== "" || list.value.isCut ? "+" : "";
    const count = (state: StateFilter | undefined) => {
        if (!isRead.value || (selected && state !== selected)) return "";
        return `${state ? found[state] : total}${plus}`;
    };
    return (
        <fieldset class="states">
            <legend class="unseen">State</legend>
            {STATE_NAMES.map(([state, name]) => (
                <button
                    type="button"
                    key={name}
                    aria-pressed={selected === state}
                    onClick={() => filter({ state })}
                >
                    {name} <span class="count">{count(state)}</span>
                </button>
            ))}
        </fieldset>
    );
}

const looking = signal("");

/** Looks for an id, in the list at once and at the server on Enter. */
function IdField() {
    const submit = async (event: Event) => {
        event.preventDefault();
        const id = filters.value.id?.trim();
        if (!id) return;
        looking.value = "Looking…";
        try {
            const matchId = await find(id);
            looking.value = matchId ? "" : "No match has this id.";
            if (matchId) openMatch(matchId);
        } catch {
            looking.value = "The server didn't answer: try again.";
        }
    };
    return (
        <form class="find" onSubmit={submit}>
            <label for="id">Id</label>
            <input
                id="id"
                type="search"
                autocomplete="off"
                placeholder="match or request id, Enter to open"
                value={filters.value.id ?? ""}
                onInput={(event) => {
                    looking.value = "";
                    filter({ id: event.currentTarget.value || undefined });
                }}
            />
            <span class="hint">{looking.value}</span>
        </form>
    );
}

function FolderField() {
    const field = useRef<HTMLInputElement>(null);
    const [hint, say] = useState("");
    useEffect(() => {
        say("");
        if (field.current) field.current.value = filters.value.folder ?? "";
    }, [filters.value.folder]);
    return (
        <p class="field">
            <label for="folder">Folder</label>
            <input
                id="folder"
                type="text"
                autocomplete="off"
                placeholder="the UUID of a folder at Oz"
                ref={field}
                onInput={(event) => {
                    const text = event.currentTarget.value.trim().toLowerCase();
                    const isWrong = text !== "" && !isUuid(text);
                    say(isWrong ? "No whole UUID yet: the list isn't filtered by it." : "");
                    if (text === "") filter({ folder: undefined });
                    else if (isUuid(text)) filter({ folder: text });
                }}
            />
            <span class="hint" role="status">
                {hint}
            </span>
        </p>
    );
}

function LabelField() {
    const [hint, say] = useState("");
    const add = (event: SubmitEvent) => {
        event.preventDefault();
        const input = (event.currentTarget as HTMLFormElement).elements.namedItem("label");
        if (!(input instanceof HTMLInputElement)) return;
        const label = parseLabel(input.value);
        say(label ? "" : "A label is key=value: the list isn't filtered by it.");
        if (!label) return;
        filter({ labels: { ...filters.value.labels, [label[0]]: label[1] } });
        input.value = "";
    };
    return (
        <form class="field" onSubmit={add}>
            <label for="label">Label</label>
            <input id="label" name="label" autocomplete="off" placeholder="branch=riga" />
            <button type="submit">Add</button>
            <span class="hint" role="status">
                {hint}
            </span>
        </form>
    );
}

function LabelChips() {
    const { labels } = filters.value;
    if (Object.keys(labels).length === 0) return null;
    const without = (key: string) =>
        Object.fromEntries(Object.entries(labels).filter(([other]) => other !== key));
    return (
        <p class="chips">
            {Object.entries(labels).map(([key, value]) => (
                <button
                    type="button"
                    key={key}
                    aria-label={`Remove the filter ${key}=${value}`}
                    onClick={() => filter({ labels: without(key) })}
                >
                    {`${key}=${value}`} <span aria-hidden="true">✕</span>
                </button>
            ))}
        </p>
    );
}
