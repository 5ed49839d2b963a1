"""A gRPC server that plays a script: what a correct server never sends."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from facematch.testing import script

from .contract import METHODS, SERVICE, request_class

# How long a script waits for a step's word, or for its client's cancellation, in seconds.
_PATIENCE = 60

VERSION = "9.9.9"


class Scripted:
    """Serves one script."""

    def __init__(self, exchanges):
        self._exchanges = exchanges
        self._changed = threading.Condition()
        self._begun = 0
        self._words = set()
        self._ended_at = None
        self._request_id = None
        self._is_over = False
        self._updates = script.Updates()
        self.problems = []
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=16),
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)],
        )
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def say(self, word):
        with self._changed:
            self._words.add(word)
            self._changed.notify_all()

    def wait_begun(self, count, seconds):
        """Waits until so many exchanges have begun."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._begun >= count, seconds):
                self.problems.append(f"only {self._begun} of {count} exchanges have begun")

    def unplayed(self):
        return [it["rpc"] for it in self._exchanges[self._begun :]]

    def close(self):
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._server.stop(0)

    def serve(self, method, request, context):
        """One call, as the next exchange says."""
        exchange = self._begin(method, request, context)
        if exchange is None:
            error = {"code": "INTERNAL", "reason": "INTERNAL", "message": "not in the script"}
            _abort(context, error)
        context.send_initial_metadata((("facematch-version", VERSION),))
        try:
            yield from self._play(method, exchange, context)
        finally:
            with self._changed:
                self._ended_at = time.monotonic()

    def _begin(self, method, request, context):
        now = time.monotonic()
        with self._changed:
            if self._is_over:
                return None
            if self._begun == len(self._exchanges):
                self.problems.append(f"{method} came after the script's end")
                return None
            number, exchange = self._begun, self._exchanges[self._begun]
            self._begun += 1
            self._changed.notify_all()
            if exchange["rpc"] != method:
                self.problems.append(f"exchange {number}: {method} came, not {exchange['rpc']}")
                return None
            problem = self._problem(exchange, method, request, context, now)
            if problem:
                self.problems.append(f"exchange {number}, {method}: {problem}")
        return exchange

    def _problem(self, exchange, method, request, context, now):
        seen = script.seen(request, dict(context.invocation_metadata()))
        problem = self._request_id_problem(method, request)
        expected = exchange.get("expect", {})
        if not problem and not script.holds(expected, seen):
            shown = {key: seen.get(key) for key in expected}
            problem = f"expected {expected}, got {shown}"
        earliest = exchange.get("not_before_ms")
        if earliest is not None and self._ended_at is not None:
            waited = (now - self._ended_at) * 1000
            # The end of the exchange is noted a moment after its error has left.
            if waited < earliest - 20:
                problem = f"it came after {waited:.0f} ms, not after {earliest} ms"
        return problem

    def _request_id_problem(self, method, request):
        if method not in ("RunMatch", "CreateMatch"):
            return None
        if self._request_id is None:
            self._request_id = request.request_id
        if not request.request_id:
            return "it has no request_id"
        if request.request_id != self._request_id:
            return "its request_id differs from the first one"
        return None

    def _play(self, method, exchange, context):
        for short in exchange.get("send", ()):
            if "wait" in short:
                self._wait_for(short["wait"], context)
            elif "wait_ms" in short:
                time.sleep(short["wait_ms"] / 1000)
            else:
                yield self._updates.message(short, self._request_id or "")
        if "answer" in exchange:
            yield script.answer(method, exchange["answer"], self._request_id or "")
        end = exchange.get("end", "OK")
        if end == "hang":
            self._hang(context)
        elif end != "OK":
            _abort(context, end)

    def _wait_for(self, word, context):
        with self._changed:
            come = self._changed.wait_for(
                lambda: word in self._words or self._is_over or not context.is_active(), _PATIENCE
            )
            if not come:
                self.problems.append(f"no step said {word}")

    def _hang(self, context):
        gone = threading.Event()
        if context.add_callback(gone.set):
            gone.wait(_PATIENCE)


def _abort(context, error):
    """Ends a call with an error."""
    context.set_trailing_metadata(script.trailers(error))
    context.abort(script.code(error), script.message(error))


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, scripted):
        self._scripted = scripted

    def service(self, details):
        service, _, method = details.method.lstrip("/").partition("/")
        if service != SERVICE or method not in METHODS:
            return None
        decode = request_class(method).FromString

        def serve(request, context):
            return self._scripted.serve(method, request, context)

        # Unary calls are streams of one answer: on the wire they are the same.
        return grpc.unary_stream_rpc_method_handler(
            serve, request_deserializer=decode, response_serializer=_encode
        )


def _encode(message):
    return message.SerializeToString()
