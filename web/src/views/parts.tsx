/** Small parts that several views use. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Failure } from "../core/failure";
import type { Verdict } from "../core/match";

const COPIED_MS = 2000;

/** A verdict: a shape, a word and a colour. */
export function Badge({ verdict }: { verdict: Verdict }) {
    return (
        <span class={`badge ${verdict.tone}`}>
            <span class="shape" aria-hidden="true">
                {verdict.shape}
            </span>
            {verdict.word}
        </span>
    );
}

/** A text with a button that copies it. */
export function Copied({ text, what }: { text: string; what: string }) {
    const code = useRef<HTMLElement>(null);
    const [said, say] = useState("");
    const copy = async () => {
        say((await toClipboard(text, code.current)) ? "Copied" : "Press Ctrl+C");
        setTimeout(() => say(""), COPIED_MS);
    };
    return (
        <span class="copied">
            <code ref={code}>{text}</code>
            <button type="button" class="small" aria-label={`Copy ${what}`} onClick={copy}>
                {said || "Copy"}
            </button>
        </span>
    );
}

/** Copies a text; where the browser forbids it, selects the text. */
async function toClipboard(text: string, element: HTMLElement | null): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        if (element) getSelection()?.selectAllChildren(element);
        return false;
    }
}

/** A button that asks once more before it acts. */
export function TwoSteps(props: {
    name: string;
    question: string;
    yes: string;
    isBusy: boolean;
    act: () => void;
}) {
    const [isAsking, ask] = useState(false);
    const answer = useRef<HTMLButtonElement>(null);
    const first = useRef<HTMLButtonElement>(null);
    const wasAsking = useRef(false);
    useEffect(() => {
        if (isAsking) answer.current?.focus();
        else if (wasAsking.current) first.current?.focus();
        wasAsking.current = isAsking;
    }, [isAsking]);
    if (!isAsking) {
        return (
            <button type="button" ref={first} disabled={props.isBusy} onClick={() => ask(true)}>
                {props.isBusy ? "Working…" : props.name}
            </button>
        );
    }
    const act = () => {
        ask(false);
        props.act();
    };
    return (
        <fieldset class="question" aria-label={props.question}>
            <span>{props.question}</span>
            <button type="button" class="danger" ref={answer} onClick={act}>
                {props.yes}
            </button>
            <button type="button" onClick={() => ask(false)}>
                No
            </button>
        </fieldset>
    );
}

/** A dialog over the page, which Esc closes. */
export function Panel(props: { title: string; close: () => void; children: ComponentChildren }) {
    const dialog = useRef<HTMLDialogElement>(null);
    useEffect(() => dialog.current?.showModal(), []);
    return (
        <dialog ref={dialog} aria-label={props.title} onClose={props.close}>
            <header>
                <h2>{props.title}</h2>
                <button type="button" aria-label="Close" onClick={() => dialog.current?.close()}>
                    ✕
                </button>
            </header>
            {props.children}
        </dialog>
    );
}

/** Why something failed, and what can be done. */
export function Trouble({ failure, again }: { failure: Failure; again?: () => void }) {
    return (
        <p class="trouble">
            <strong>{failure.word}</strong> {failure.message}
            {again && (
                <button type="button" class="small" onClick={again}>
                    Try again
                </button>
            )}
        </p>
    );
}
