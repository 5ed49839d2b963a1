/** The keyboard: single keys, outside of fields. */
import { closeMatch, route } from "../live/address";
import { hasShortcuts, panel } from "../live/page";

/** How long `g` waits for the second key. */
const SECOND_KEY_MS = 1500;
let goAt = Number.NEGATIVE_INFINITY;

/** Listens for shortcuts. */
export function followKeys(): void {
    addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || panel.value) return;
        if (press(event)) event.preventDefault();
    });
}

function press(event: KeyboardEvent): boolean {
    const field = event.target instanceof Element && event.target.closest("input,textarea,select");
    if (event.key === "Escape") return leave(field);
    if (field || !hasShortcuts.value) return false;
    const isSecond = event.timeStamp - goAt < SECOND_KEY_MS;
    goAt = event.key === "g" ? event.timeStamp : Number.NEGATIVE_INFINITY;
    switch (event.key) {
        case "/":
            return focus(document.querySelector("#id"));
        case "j":
            return move(1);
        case "k":
            return move(-1);
        case "?":
            panel.value = "keys";
            return true;
        case "l":
            return isSecond && goToList();
        default:
            return false;
    }
}

function leave(field: Element | false | null): boolean {
    if (field instanceof HTMLElement) {
        field.blur();
        return true;
    }
    return route.peek().match !== undefined && goToList();
}

/** Closes the match and puts the focus back to its row. */
export function goToList(): boolean {
    const { match } = route.peek();
    if (match !== undefined) closeMatch();
    requestAnimationFrame(() => {
        const rows = [...document.querySelectorAll<HTMLAnchorElement>("a.row")];
        focus(rows.find((row) => match && row.href.includes(match)) ?? rows[0]);
    });
    return true;
}

function move(step: number): boolean {
    const rows: Element[] = [...document.querySelectorAll("a.row")];
    const at = document.activeElement ? rows.indexOf(document.activeElement) : -1;
    const current = at < 0 ? rows.findIndex((row) => row.ariaCurrent === "true") : at;
    return focus(rows[current < 0 ? 0 : current + step]);
}

function focus(element: Element | null | undefined): boolean {
    if (!(element instanceof HTMLElement)) return false;
    element.focus();
    return true;
}
