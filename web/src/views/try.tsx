/** The panel that tries a match with a photo, or with a photo of the operator's library. */
import { useEffect, useState } from "preact/hooks";
import type { Failure } from "../core/failure";
import { parseLabel } from "../core/route";
import { bytes } from "../core/time";
import { PhotoKind } from "../gen/facematch/v1/face_match_pb";
import { filters } from "../live/address";
import { list } from "../live/list";
import { stopTrying, trying, tryMatch } from "../live/match";
import { dropped, panel } from "../live/page";
import { may } from "../live/permissions";
import { Panel, Trouble } from "./parts";

/** The most bytes of a photo, as in the contract. */
const PHOTO_BYTES_MAX = 10 * 1024 * 1024;

export function TryPanel() {
    const tried = trying.value;
    const [wasSent, setSent] = useState(false);
    // Once the match is accepted, it is open behind the panel.
    useEffect(() => {
        if (wasSent && tried === undefined) close();
    }, [wasSent, tried]);
    return (
        <Panel title="Try a match" close={close}>
            <Form sent={() => setSent(true)} />
        </Panel>
    );
}

/** Closes the panel, and forgets its photo. */
function close(): void {
    stopTrying();
    dropped.value = undefined;
    panel.value = undefined;
}

function Form({ sent }: { sent: () => void }) {
    const photo = dropped.value;
    const [isByKey, setByKey] = useState(false);
    const [problem, setProblem] = useState("");
    const [isReading, setReading] = useState(false);
    const [folder] = useState(filters.peek().folder ?? list.peek().rows[0]?.folderId ?? "");
    const link = trying.value?.stream.link.value;
    const refusal = link?.phase === "refused" ? link.failure : undefined;
    const isBusy = isReading || (trying.value !== undefined && refusal === undefined);

    const submit = async (event: SubmitEvent) => {
        event.preventDefault();
        const fields = new FormData(event.currentTarget as HTMLFormElement);
        const text = (name: string) => String(fields.get(name) ?? "").trim();
        const labels = readLabels(text("labels"));
        if (labels === undefined) return setProblem("A label is key=value, one on each line.");
        if (!isByKey && photo === undefined) return setProblem("Choose a photo.");
        if (!isByKey && photo && photo.size > PHOTO_BYTES_MAX) {
            return setProblem("The photo is over 10 MiB.");
        }
        setProblem("");
        setReading(true);
        const content = isByKey ? undefined : await photo?.arrayBuffer().catch(() => undefined);
        setReading(false);
        if (!isByKey && content === undefined) return setProblem("The photo can't be read.");
        const source = content
            ? ({ case: "content", value: new Uint8Array(content) } as const)
            : ({ case: "referenceKey", value: text("key") } as const);
        const kind = Number(fields.get("kind")) as PhotoKind;
        const request = { requestId: newRequestId(), folderId: text("folder").toLowerCase() };
        tryMatch({ ...request, labels, photo: { source, kind }, includeProgress: true });
        sent();
    };

    return (
        <form class="try" autocomplete="off" onSubmit={submit}>
            {may.value.library && (
                <fieldset>
                    <legend>Photo</legend>
                    <label>
                        <input
                            type="radio"
                            name="from"
                            checked={!isByKey}
                            onChange={() => setByKey(false)}
                        />
                        From this computer
                    </label>
                    <label>
                        <input
                            type="radio"
                            name="from"
                            checked={isByKey}
                            onChange={() => setByKey(true)}
                        />
                        From the photo library
                    </label>
                </fieldset>
            )}
            {isByKey ? (
                <Field
                    key="key"
                    name="key"
                    label="Reference key"
                    hint="The key of the photo in the library."
                />
            ) : (
                <PhotoField key="photo" photo={photo} />
            )}
            <Field
                key="folder"
                name="folder"
                label="Folder"
                value={folder}
                hint="The id of the folder at Oz that holds the liveness video."
            />
            <p class="field">
                <label for="try-kind">The photo shows</label>
                <select id="try-kind" name="kind">
                    <option value={PhotoKind.SELFIE}>a face</option>
                    <option value={PhotoKind.ID_FRONT}>the front of an identity document</option>
                </select>
            </p>
            <p class="field">
                <label for="try-labels">Labels</label>
                <textarea id="try-labels" name="labels" rows={2} placeholder="branch=riga" />
                <span class="hint">
                    Optional, one on each line. Labels are stored: no personal data.
                </span>
            </p>
            {problem && (
                <p class="trouble" role="alert">
                    {problem}
                </p>
            )}
            {refusal && <Trouble failure={refusal} />}
            {isBusy && <p class="hint">{sendingWords(link?.failure)}</p>}
            <p class="buttons">
                <button type="submit" class="main" disabled={isBusy}>
                    {isBusy ? "Sending…" : "Run the match"}
                </button>
            </p>
        </form>
    );
}

/** What happens until the match is accepted. */
function sendingWords(failure: Failure | undefined): string {
    if (failure) return `It is tried again: ${failure.message}`;
    return "Sending the match to the server…";
}

function Field(props: { name: string; label: string; hint: string; value?: string }) {
    const id = `try-${props.name}`;
    return (
        <p class="field">
            <label for={id}>{props.label}</label>
            <input id={id} name={props.name} required defaultValue={props.value ?? ""} />
            <span class="hint">{props.hint}</span>
        </p>
    );
}

/** Takes a photo and shows it. The picture is in memory alone, and forgotten with the panel. */
function PhotoField({ photo }: { photo: File | undefined }) {
    const [preview, setPreview] = useState("");
    useEffect(() => {
        if (!photo) return setPreview("");
        const url = URL.createObjectURL(photo);
        setPreview(url);
        return () => URL.revokeObjectURL(url);
    }, [photo]);
    return (
        <div class="drop">
            {preview && <img src={preview} alt="Your choice" />}
            <label for="try-photo">
                {photo
                    ? `${bytes(photo.size)}: choose another photo`
                    : "Drop a photo here, or choose one"}
            </label>
            <input
                id="try-photo"
                type="file"
                accept="image/jpeg,image/png"
                onChange={(event) => {
                    dropped.value = event.currentTarget.files?.[0] ?? dropped.peek();
                }}
            />
            <p class="hint">JPEG or PNG, at most 10 MiB. It is never stored by this page.</p>
        </div>
    );
}

/** Labels, one on each line. `undefined` if a line is none. */
function readLabels(text: string): Record<string, string> | undefined {
    const labels: Record<string, string> = {};
    for (const line of text.split("\n").filter((it) => it.trim() !== "")) {
        const label = parseLabel(line);
        if (!label) return undefined;
        labels[label[0]] = label[1];
    }
    return labels;
}

/** `crypto.randomUUID` isn't there for pages without TLS. */
function newRequestId(): string {
    const numbers = crypto.getRandomValues(new Uint8Array(16));
    const digits = [...numbers].map((number) => number.toString(16).padStart(2, "0"));
    return `page-${digits.join("")}`;
}
