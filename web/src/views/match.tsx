/** One match: what it has come to, how it went, and what can be done with it. */
import { toJsonString } from "@bufbuild/protobuf";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isOver, isRunning, lengthMs, nameOf, resolved, verdict } from "../core/match";
import { bytes, clock, duration, moment, ms, preciseClock, wholeSeconds } from "../core/time";
import { steps, type Timeline } from "../core/timeline";
import { curl, grpcurl, nextTry } from "../core/words";
import {
    LivenessPolicy,
    type Match,
    MatchSchema,
    PhotoKind,
} from "../gen/facematch/v1/face_match_pb";
import { atServer, now } from "../live/clock";
import { list } from "../live/list";
import { action, cancel, erase, type OpenMatch } from "../live/match";
import { may } from "../live/permissions";
import { goToList } from "./keys";
import { Badge, Copied, Trouble, TwoSteps } from "./parts";

export function MatchView({ open }: { open: OpenMatch }) {
    const heading = useRef<HTMLHeadingElement>(null);
    useEffect(() => heading.current?.focus(), [open.matchId]);
    const timeline = open.timeline.value;
    const match = timeline.match ?? list.value.byId.get(open.matchId);
    useEffect(() => {
        document.title = match ? `${nameOf(match)} · FaceMatch` : "FaceMatch";
        return () => {
            document.title = "FaceMatch";
        };
    }, [match && nameOf(match)]);
    const link = open.stream.link.value;
    const failure = link.phase === "refused" ? link.failure : undefined;
    return (
        <section class="match" aria-label="Match">
            <header>
                <h2 ref={heading} tabIndex={-1}>
                    {match ? nameOf(match) : open.matchId}
                </h2>
                <button type="button" aria-label="Close the match" onClick={goToList}>
                    ✕
                </button>
            </header>
            {failure?.remedy === "gone" && (
                <p class="trouble">This match doesn't exist, or it was erased.</p>
            )}
            {failure && failure.remedy !== "gone" && (
                <Trouble failure={failure} again={() => open.stream.retryNow()} />
            )}
            {match && failure?.remedy !== "gone" && (
                <Details match={match} timeline={timeline} at={presentOf(open, match)} />
            )}
            {!match && !failure && <p class="loading">Reading the match…</p>}
        </section>
    );
}

/** The time at which a match is shown: that of its last message while the connection is broken. */
function presentOf(open: OpenMatch, match: Match): number {
    if (!isRunning(match)) return now.peek();
    const { phase, asOf } = open.stream.link.value;
    return phase === "live" || asOf === undefined ? now.value : atServer(asOf);
}

/** A match, as it is at a time of the server. */
function Details(props: { match: Match; timeline: Timeline; at: number }) {
    const { match, timeline, at } = props;
    return (
        <>
            <p class="summary">
                <Badge verdict={verdict(match)} />
                <Clock match={match} at={at} />
            </p>
            {match.trouble && isRunning(match) && <PresentTrouble match={match} at={at} />}
            {match.error && (
                <p class="trouble">
                    <strong>{match.error.reason}</strong> {match.error.message}
                    {match.error.retryable && " A new match may succeed without any change."}
                </p>
            )}
            <Result match={match} />
            <Actions match={match} />
            <Steps timeline={timeline} match={match} at={at} />
            <OzWords match={match} />
            <Ids match={match} />
            <Commands match={match} />
            <Json match={match} />
        </>
    );
}

/** How long the match has taken, and until when it may go on. */
function Clock({ match, at }: { match: Match; at: number }) {
    if (!isRunning(match)) return <span>took {duration(lengthMs(match, at))}</span>;
    const deadline = ms(match.deadline);
    return (
        <span>
            running for {wholeSeconds(lengthMs(match, at))}
            {deadline !== undefined &&
                `; deadline ${clock(deadline)}, in ${wholeSeconds(deadline - at)}`}
        </span>
    );
}

function PresentTrouble({ match, at }: { match: Match; at: number }) {
    const { trouble } = match;
    if (!trouble) return null;
    const since = ms(trouble.since);
    return (
        <p class="trouble">
            <strong>{trouble.cause}</strong> {trouble.message}{" "}
            {since !== undefined && `Since ${clock(since)}. `}
            {nextTry(ms(trouble.nextAttemptTime), at)}
        </p>
    );
}

/** The similarity and the liveness, as Oz gave them. */
function Result({ match: { result } }: { match: Match }) {
    if (!result) return null;
    const { liveness } = result;
    return (
        <div class="result">
            <Gauge name="Similarity" value={result.minConfidence}>
                {resolved(result.resolution).word}, decided by Oz
                {result.maxConfidence !== undefined &&
                    result.maxConfidence !== result.minConfidence &&
                    `; the most similar pair has ${result.maxConfidence}`}
            </Gauge>
            {liveness ? (
                <Gauge name="Likelihood of an attack" value={liveness.confidenceSpoofing}>
                    Liveness: {resolved(liveness.resolution).word}, decided by Oz
                </Gauge>
            ) : (
                <p class="gauge">No liveness analysis was reported.</p>
            )}
        </div>
    );
}

/** A number from 0 to 1 and its bar. No threshold is drawn: Oz decides. */
function Gauge(props: { name: string; value: number | undefined; children: ComponentChildren }) {
    const { name, value } = props;
    const width = Math.min(1, Math.max(0, value ?? 0)) * 100;
    return (
        <div class="gauge">
            <p>
                {name} <strong>{value ?? "not given"}</strong>
            </p>
            <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                <rect class="rail" width="100" height="6" />
                <rect class="bar" width={width} height="6" />
            </svg>
            <p class="hint">{props.children}</p>
        </div>
    );
}

function Steps({ timeline, match, at }: { timeline: Timeline; match: Match; at: number }) {
    const rows = steps(timeline);
    const last = rows.at(-1);
    return (
        <>
            <h3>Timeline</h3>
            <ol class="steps">
                {rows.map((step, index) => (
                    <li key={index} class={step.isTrouble ? "attention" : ""}>
                        <span class="title">{step.title}</span>
                        <time dateTime={new Date(step.at).toISOString()}>
                            {preciseClock(step.at)}
                        </time>
                        <span class="gap">
                            {step.gapMs === undefined ? "" : `after ${duration(step.gapMs)}`}
                        </span>
                        {step.detail && <span class="detail">{step.detail}</span>}
                    </li>
                ))}
                {last && !isOver(match) && (
                    <li class="waiting">
                        <span class="title">Waiting</span>
                        <span class="gap">for {wholeSeconds(at - last.at)}</span>
                        <ProgressWords timeline={timeline} />
                    </li>
                )}
            </ol>
        </>
    );
}

function ProgressWords({ timeline: { progress, match } }: { timeline: Timeline }) {
    if (!progress) return null;
    const [sent, total] = [Number(progress.bytesSent), Number(progress.bytesTotal)];
    if (total > 0 && match?.photoMediaId === "") {
        return (
            <span class="detail">
                <progress aria-label="Photo sent to Oz" value={sent} max={total} /> {bytes(sent)} of{" "}
                {bytes(total)} sent to Oz
            </span>
        );
    }
    const failures = Number(progress.failedAttempts);
    return (
        <span class="detail">
            Polled {String(progress.polls)} times
            {failures > 0 && `; the last ${failures} requests to Oz failed`}
        </span>
    );
}

function OzWords({ match: { oz } }: { match: Match }) {
    if (!oz) return null;
    const polled = ms(oz.lastPollTime);
    return (
        <>
            <h3>Oz's own words, as of the last step</h3>
            <dl>
                <Pair name="state">{oz.state || "–"}</Pair>
                <Pair name="resolution">{oz.resolution || "–"}</Pair>
                <Pair name="resolution_status">{oz.resolutionStatus || "–"}</Pair>
                <Pair name="polls">
                    {String(oz.polls)}
                    {polled !== undefined && `, the last at ${clock(polled)}`}
                </Pair>
            </dl>
        </>
    );
}

function Pair({ name, children }: { name: string; children: ComponentChildren }) {
    return (
        <div>
            <dt>{name}</dt>
            <dd>{children}</dd>
        </div>
    );
}

function Ids({ match }: { match: Match }) {
    const ids: readonly [string, string][] = [
        ["match id", match.matchId],
        ["request id", match.requestId],
        ["folder id", match.folderId],
        ["photo media id", match.photoMediaId],
        ["analysis id", match.analysisId],
        ["liveness analysis id", match.livenessAnalysisId],
    ];
    const created = ms(match.createTime) ?? 0;
    const expires = ms(match.expireTime);
    return (
        <>
            <h3>Ids and content</h3>
            <dl>
                {ids
                    .filter(([, id]) => id !== "")
                    .map(([name, id]) => (
                        <Pair key={name} name={name}>
                            <Copied text={id} what={name} />
                        </Pair>
                    ))}
                {match.livenessMediaIds.map((id) => (
                    <Pair key={id} name="liveness media id">
                        <Copied text={id} what="liveness media id" />
                    </Pair>
                ))}
                <Pair name="photo">
                    {match.photoKind === PhotoKind.ID_FRONT ? "identity document" : "selfie"}
                </Pair>
                <Pair name="liveness policy">
                    {(LivenessPolicy[match.livenessPolicy] ?? "unknown").toLowerCase()}
                </Pair>
                {Object.entries(match.labels).map(([key, value]) => (
                    <Pair key={key} name={`label ${key}`}>
                        {value}
                    </Pair>
                ))}
                <Pair name="accepted">{moment(created, now.peek())}</Pair>
                {expires !== undefined && (
                    <Pair name="will be erased">{moment(expires, now.peek())}</Pair>
                )}
            </dl>
        </>
    );
}

function Commands({ match: { matchId } }: { match: Match }) {
    return (
        <>
            <h3>The same in a terminal</h3>
            <p>
                <Copied text={curl(location.origin, matchId)} what="the curl command" />
            </p>
            <p>
                <Copied text={grpcurl(matchId)} what="the grpcurl command" />
                <span class="hint"> ADDRESS is the server's port for gRPC (--listen).</span>
            </p>
        </>
    );
}

function Json({ match }: { match: Match }) {
    const [isOpen, setOpen] = useState(false);
    const text = isOpen ? toJsonString(MatchSchema, match, { prettySpaces: 2 }) : "";
    return (
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
            <summary>JSON</summary>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs focus. */}
            {isOpen && <pre tabIndex={0}>{text}</pre>}
        </details>
    );
}

function Actions({ match }: { match: Match }) {
    const { busy, failure } = action.value;
    const mayCancel = may.value.match && isRunning(match);
    const mayErase = may.value.erase && isOver(match);
    return (
        <div class="actions">
            {mayCancel && (
                <TwoSteps
                    key="cancel"
                    name="Cancel the match"
                    question="Cancel this match? Nothing is undone at Oz."
                    yes="Yes, cancel"
                    isBusy={busy === "cancel"}
                    act={() => void cancel(match.matchId)}
                />
            )}
            {mayErase && (
                <TwoSteps
                    key="erase"
                    name="Delete the match"
                    question="Erase this match here, permanently? Nothing is erased at Oz."
                    yes="Yes, delete"
                    isBusy={busy === "erase"}
                    act={() => void erase(match.matchId)}
                />
            )}
            {failure && <Trouble failure={failure} />}
        </div>
    );
}
