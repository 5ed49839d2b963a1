"""Breaks the Python library in one place at a time: scenarios must fail for each.

A mutant replaces a text that stands exactly once in a file of the library. The scenarios that its
row names must fail; the whole suite fails with them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
_LIBRARY = ROOT / "clients/python/src"
_AT_ONCE = 6
# A mutant that waits in vain fails after so many seconds.
_PATIENCE = "10"
_LIMIT_SECONDS = 300


class Mutant(NamedTuple):
    """What is broken, where, and the scenarios that notice."""

    what: str
    file: str
    before: str
    after: str
    noticed_by: tuple[str, ...]


MUTANTS = [
    Mutant(
        "updates that were seen are handed out again",
        "_resume.py",
        "        if update.sequence <= self._seen:\n            return False, False\n",
        "        if update.sequence <= self._seen:\n            return False, True\n",
        ("messages/duplicates", "cut/close-after-1"),
    ),
    Mutant(
        "a gap is skipped",
        "_resume.py",
        "if update.sequence != self._seen + 1:",
        "if False:",
        ("messages/gap",),
    ),
    Mutant(
        "the photo is sent again although Oz has it",
        "_resume.py",
        "        if match.photo_media_id:\n            self._photo_there = True\n",
        "",
        ("cut/close-after-2", "messages/photo-there-by-the-match"),
    ),
    Mutant(
        "the photo isn't sent again although Oz lacks it",
        "_resume.py",
        "        if match.photo_media_id:\n            self._photo_there = True\n",
        "        self._photo_there = True\n",
        ("cut/close-after-1", "restart/killed-with-the-photo"),
    ),
    Mutant(
        "the photo counts as sent by the kind of the event",
        "_resume.py",
        "        if match.photo_media_id:\n",
        "        if match.state == pb.MATCH_STATE_PROCESSING:\n",
        ("messages/photo-there-by-the-match",),
    ),
    Mutant(
        "the token moves when a message arrives",
        "_resume.py",
        "            self._pending = token\n",
        "            self.token = token\n",
        ("watch-all/token-of-an-unfinished-message",),
    ),
    Mutant(
        "tokens of heartbeats are lost",
        "_resume.py",
        "        elif token:\n            self.token = token\n",
        "",
        ("watch-all/resumes",),
    ),
    Mutant(
        "a silent stream is waited for",
        "_streams.py",
        "            with watch.limit(limit):\n",
        "            with watch.limit(3600):\n",
        ("blackhole/after-3",),
    ),
    Mutant(
        "a silent stream is opened again over the same connection",
        "_streams.py",
        "        self._open_call.close(failure)\n",
        "        self._open_call.close()\n",
        ("blackhole/after-3", "blackhole/short-deadlines"),
    ),
    Mutant(
        "callers with short deadlines keep a dead connection",
        "_connections.py",
        "        return is_own_limit or self.was_silent()\n",
        "        return is_own_limit\n",
        ("blackhole/short-deadlines",),
    ),
    Mutant(
        "the interval of heartbeats isn't learned",
        "_resume.py",
        "            self._interval = interval.seconds + interval.nanos / 1e9\n",
        "            pass\n",
        ("blackhole/interval-is-kept",),
    ),
    Mutant(
        "the caller's own time counts as silence",
        "_streams.py",
        "            with watch.limit(limit):\n",
        "            watch.limit(limit).__enter__()\n            if True:\n",
        ("blackhole/slow-caller",),
    ),
    Mutant(
        "an unknown resolution is a success",
        "_verdict.py",
        "for wire, word in known.items()}.get(number)",
        "for wire, word in known.items()}.get(number, Resolution.SUCCESS)",
        ("verdict/unknown-resolution",),
    ),
    Mutant(
        "OPERATOR_REQUIRED is the same person",
        "_verdict.py",
        '        """True only for SUCCESS. It says nothing of liveness."""\n'
        "        return self.resolution is Resolution.SUCCESS\n",
        "        return self.resolution is not Resolution.DECLINED\n",
        ("verdict/operator-required",),
    ),
    Mutant(
        "FAILED is a value",
        "_verdict.py",
        "    if match.state == pb.MATCH_STATE_FAILED:\n        raise _failed(match)\n",
        "    if match.state == pb.MATCH_STATE_FAILED:\n"
        "        return Verdict(\n"
        "            Resolution.DECLINED, 0, None, None, match.match_id, match.request_id, match\n"
        "        )\n",
        ("verdict/failed",),
    ),
    Mutant(
        "retries are counted over the life of a stream",
        "_resume.py",
        '        """Notes something new."""\n        self.tries = 0\n',
        '        """Notes something new."""\n',
        ("budget/resets-with-progress",),
    ),
    Mutant(
        "every message counts as progress",
        "_streams.py",
        "            self._attempts.outage.message(self._attempts.now())\n",
        "            self._attempts.outage.progress()\n",
        ("budget/not-without-progress",),
    ),
    Mutant(
        "repeated tokens count as progress",
        "_resume.py",
        "is_new = bool(token) and token != self._known",
        "is_new = bool(token)",
        ("budget/watch-all",),
    ),
    Mutant(
        "a proxy that ends calls after a while counts as an outage",
        "_resume.py",
        "if first is not None and now - first >= self._retry.longest:",
        "if False:",
        ("budget/quiet-stream",),
    ),
    Mutant(
        "terminal reasons are retried",
        "_failure.py",
        "        return self.retry_after is not None or self.code is grpc.StatusCode.UNAVAILABLE\n",
        "        return True\n",
        ("errors/not-found", "run/request-id-reused"),
    ),
    Mutant(
        "RESOURCE_EXHAUSTED without a reason is retried",
        "_failure.py",
        "        grpc.StatusCode.ABORTED,\n",
        "        grpc.StatusCode.ABORTED,\n        grpc.StatusCode.RESOURCE_EXHAUSTED,\n",
        ("errors/exhausted-without-reason",),
    ),
    Mutant(
        "CANCELLED by a proxy ends the call",
        "_failure.py",
        "        grpc.StatusCode.CANCELLED,\n",
        "",
        ("errors/transport-cancelled", "cut/rst-stream-cancel"),
    ),
    Mutant(
        "another service's reasons count",
        "_failure.py",
        "if info.domain == _DOMAIN:",
        "if True:",
        ("errors/foreign-domain",),
    ),
    Mutant(
        "RetryInfo is ignored",
        "_resume.py",
        "        if asked is not None:\n",
        "        if False:\n",
        ("drain/retry-info-is-obeyed", "errors/overloaded"),
    ),
    Mutant(
        "the asked delay is jittered downwards",
        "_resume.py",
        "* (1 + self._jitter() / 2)",
        "* (0.2 + self._jitter() / 2)",
        ("drain/retry-info-is-obeyed",),
    ),
    Mutant(
        "pushback is ignored",
        "_failure.py",
        "        if delay is None:\n            delay, is_final = _pushback(trailers)\n",
        "",
        ("drain/pushback", "drain/pushback-forbids"),
    ),
    Mutant(
        "no request_id is made",
        "_requests.py",
        "request_id=new_request_id() if request_id is None else request_id,",
        'request_id=request_id or "",',
        ("verdict/success", "cut/before-the-answer"),
    ),
    Mutant(
        "each retry has a new request_id",
        "_resume.py",
        "            self.acceptance.sending()\n",
        "            self.acceptance.sending()\n"
        "            self._run.request_id += '1'\n",
        ("cut/before-the-answer",),
    ),
    Mutant(
        "the credential is lost on resuming",
        "_streams.py",
        "self._token = self._core.token.read()\n",
        "self._token = None if self._rpc else self._core.token.read()\n",
        ("credentials/token",),
    ),
    Mutant(
        "further metadata is lost",
        "_client.py",
        "return [*self._headers, *bearer]",
        "return bearer",
        ("credentials/token",),
    ),
    Mutant(
        "the token file is read once",
        "_tokens.py",
        "            return self._from_file(self._file)\n",
        "            self._token = self._token or self._from_file(self._file)\n"
        "            return self._token\n",
        ("credentials/token-file",),
    ),
    Mutant(
        "a token crosses a network in plaintext",
        "_settings.py",
        "if endpoint.plaintext and not endpoint.is_loopback and not allow_plaintext_token:",
        "if False:",
        ("credentials/plaintext-token",),
    ),
    Mutant(
        "the resume token is lost",
        "_resume.py",
        "        request.resume_token = self.token\n",
        "",
        ("watch-all/resumes",),
    ),
    Mutant(
        "the policy for expired tokens is ignored",
        "_resume.py",
        'if failure.reason != "TOKEN_EXPIRED" or self._on_expired == "raise":',
        'if failure.reason != "TOKEN_EXPIRED":',
        ("watch-all/expired-raise",),
    ),
    Mutant(
        "the caller's deadline is swallowed",
        "_call.py",
        "        return None if self._deadline is None else self._deadline - self._clock()\n",
        "        return None\n",
        ("deadline/run", "deadline/over-retries"),
    ),
    Mutant(
        "a deadline is reported as the match's end",
        "_call.py",
        "            **self._ids(self._subject.match_continues),\n        )\n\n"
        "    def cancelled_error",
        "            **self._ids(False),\n        )\n\n    def cancelled_error",
        ("deadline/match",),
    ),
    Mutant(
        "a stream that ends with OK has ended its match",
        "_resume.py",
        "        if not self._is_end(match):\n            return False\n",
        "",
        ("messages/ok-too-early",),
    ),
    Mutant(
        "an event of a later version is dropped",
        "_resume.py",
        "        if event in _FLEETING:\n            return False, event",
        "        if event is None:\n            return False, False\n"
        "        if event in _FLEETING:\n            return False, event",
        ("messages/unknown-event",),
    ),
    Mutant(
        "heartbeats are always handed out",
        "_resume.py",
        'return False, event == "progress" or self._heartbeats',
        "return False, True",
        ("run/progress",),
    ),
    Mutant(
        "a call that was refused never had its effect",
        "_failure.py",
        "return self.code in _UNSETTLED and self.reason not in _WITHOUT_EFFECT",
        "return self.code in _UNSETTLED and self.reason is None",
        (
            "run/accepted-or-not",
            "unary/create-accepted-or-not",
            "unary/delete-store-unavailable",
        ),
    ),
    Mutant(
        "a draining server may have acted",
        "_failure.py",
        "return self.code in _UNSETTLED and self.reason not in _WITHOUT_EFFECT",
        "return self.code in _UNSETTLED",
        ("run/accepted-or-not", "unary/delete-refused-then-gone"),
    ),
    Mutant(
        "a delete of an unknown match succeeds",
        "_client.py",
        'if error.reason == "MATCH_NOT_FOUND" and calls.may_have_acted:',
        'if error.reason == "MATCH_NOT_FOUND":',
        ("errors/not-found", "unary/delete-refused-then-gone"),
    ),
    Mutant(
        "a repeated delete fails",
        "_client.py",
        'if error.reason == "MATCH_NOT_FOUND" and calls.may_have_acted:',
        "if False:",
        ("unary/delete-lost-answer",),
    ),
    Mutant(
        "only the first page is listed",
        "_client.py",
        "            if not page.next_page_token:\n                return\n",
        "            return\n",
        ("unary/list-pages",),
    ),
    Mutant(
        "wait returns a match that hasn't ended",
        "_client.py",
        "if match.state in ENDS or match.state not in pb.MatchState.values():",
        "if True:",
        ("unary/wait-loops",),
    ),
    Mutant(
        "a unary call that isn't answered keeps its connection",
        "_client.py",
        "            if connection.seems_dead(Failure.of(error), is_own_limit=is_own_limit):\n"
        "                self.connections.renew(connection)\n",
        "",
        ("blackhole/unary", "unary/create-black-hole"),
    ),
    Mutant(
        "the request is sent before the stream is read",
        "_client.py",
        "        following = Following(run=request, heartbeats=include_heartbeats)\n"
        "        return MatchStream(self._core, following, timeout)\n",
        "        following = Following(run=request, heartbeats=include_heartbeats)\n"
        "        stream = MatchStream(self._core, following, timeout)\n"
        "        stream._open_call.open(self._core, following.next_call(), None, None)\n"
        "        return stream\n",
        ("run/nothing-before-the-first-pull",),
    ),
    Mutant(
        "the client shows its token",
        "_client.py",
        "return f\"<facematch.Client {self._target!r}>\"",
        "return f\"<facematch.Client {self._target!r} {self._core.token._token}>\"",
        ("credentials/token",),
    ),
    Mutant(
        "errors show the request",
        "_streams.py",
        "        except FaceMatchError as error:\n            self.close()\n",
        "        except FaceMatchError as error:\n            self.close()\n"
        "            error.args = (str(following.next_call().request),)\n",
        ("run/request-id-reused",),
    ),
    Mutant(
        "field violations are lost",
        "_failure.py",
        "            field_violations=self.violations,\n",
        "",
        ("errors/all-violations",),
    ),
    Mutant(
        "errors have no class of their own",
        "_failure.py",
        'by_reason = CALL_REASONS.get(self.reason or "", CallRefusedError)',
        "by_reason = CallRefusedError",
        ("run/request-id-reused",),
    ),
]  # fmt: skip


def main():
    missing = [it.what for it in MUTANTS if not _can_be_made(it)]
    for what in missing:
        print(f"FAILED {what}: its text isn't in the library exactly once")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        survivors = [it for it in pool.map(_survivor, MUTANTS) if it]
    failed = len(missing) + len(survivors)
    print(f"{len(MUTANTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _can_be_made(mutant):
    return (_LIBRARY / "facematch" / mutant.file).read_text().count(mutant.before) == 1


def _survivor(mutant):
    """Plays the scenarios that should notice a mutant. Returns it if one of them passes."""
    if not _can_be_made(mutant):
        return None
    passed = [name for name in mutant.noticed_by if not _is_noticed(mutant, name)]
    for name in passed:
        print(f"FAILED {mutant.what}: {name} doesn't notice", flush=True)
    return mutant if passed else None


def _is_noticed(mutant, scenario):
    with tempfile.TemporaryDirectory(prefix="facematch-mutant-") as folder:
        library = Path(folder, "src")
        shutil.copytree(_LIBRARY, library)
        broken = library / "facematch" / mutant.file
        broken.write_text(broken.read_text().replace(mutant.before, mutant.after))
        run = subprocess.run(
            [sys.executable, "-m", "runner", "--driver", "python", "--only", scenario, "--jobs=1"],
            env={
                **os.environ,
                "FACEMATCH_PYTHON_LIBRARY": str(library),
                "CONFORMANCE_PATIENCE": _PATIENCE,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
        )
    last = run.stdout.strip().rpartition("\n")[2]
    if "passed," not in last:
        raise RuntimeError(f"{scenario} wasn't played with {mutant.what}: {run.stdout}{run.stderr}")
    return run.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
