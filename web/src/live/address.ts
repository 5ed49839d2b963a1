/** The page's address as a signal, with the browser's back and forward. */
import { computed, signal } from "@preact/signals";
import { type Filters, parseRoute, type Route, toAddress, unreadFilters } from "../core/route";

export const route = signal<Route>(parseRoute(location.search));
export const filters = computed(() => route.value.filters);
/** The filters of the address by which the list isn't filtered, since they can't be read. */
export const unread = signal(unreadFilters(location.search));

addEventListener("popstate", () => {
    route.value = parseRoute(location.search);
    unread.value = unreadFilters(location.search);
});

/** Goes to a route, as a step that the browser can take back. */
export function go(next: Route): void {
    const address = toAddress(next);
    if (address !== toAddress(route.value)) {
        history.pushState(null, "", address);
        unread.value = [];
    }
    route.value = next;
}

/** Changes the filters, without a step for each letter that is typed. */
export function filter(change: Partial<Filters>): void {
    const next = { ...route.value, filters: { ...filters.value, ...change } };
    history.replaceState(null, "", toAddress(next));
    unread.value = [];
    route.value = next;
}

export function openMatch(match: string): void {
    go({ ...route.value, match });
}

export function closeMatch(): void {
    go({ ...route.value, match: undefined });
}
