/** What is the page's own: the open panel, the shortcuts, the theme. */
import { effect, signal } from "@preact/signals";

/** The panel over the page. */
export const panel = signal<"try" | "keys" | undefined>(undefined);
/** Whether single keys are shortcuts: speech input and some keyboards need them off. */
export const hasShortcuts = signal(true);
/** A photo that was dropped on the page, for the panel. */
export const dropped = signal<File | undefined>(undefined);

const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
const THEME_KEY = "theme";

function storedTheme(): Theme {
    try {
        const stored = localStorage.getItem(THEME_KEY);
        return THEMES.find((theme) => theme === stored) ?? "system";
    } catch {
        return "system";
    }
}

export const theme = signal<Theme>(storedTheme());

/** Shows and keeps the theme: the only thing that the page stores. */
export function followTheme(): void {
    effect(() => {
        document.documentElement.dataset.theme = theme.value;
        try {
            if (theme.value === "system") localStorage.removeItem(THEME_KEY);
            else localStorage.setItem(THEME_KEY, theme.value);
        } catch {
            // Storage may be forbidden: the theme then lasts as long as the page.
        }
    });
}
