"""A TCP proxy that closes, resets and swallows at a given message.

It forwards HTTP/2 frame by frame, and looks into the DATA frames for gRPC messages: updates of the
server, and requests with the photo.
"""

import contextlib
import socket
import struct
import threading

from .contract import pb

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7
_PADDED = 0x8
_ERRORS = {"INTERNAL_ERROR": 2, "REFUSED_STREAM": 7, "CANCEL": 8, "ENHANCE_YOUR_CALM": 11}

# How long a fault waits for the driver's line, in seconds.
_LINE_SECONDS = 30


class Proxy:
    """Stands between a driver and a server, for one scenario."""

    def __init__(self, target, faults=(), photo=None, printed=None):
        self._target = target
        self._faults = list(faults)
        self._photo = photo
        # Waits until the driver has printed an update; returns at once for other verbs.
        self._printed = printed or (lambda sequence: None)
        self._lock = threading.Lock()
        self._links = []
        self._is_held = False
        self.connections = 0
        self.photos_sent = 0
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]
        self._accepting()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def unused_faults(self):
        with self._lock:
            return list(self._faults)

    def act(self, what):
        """A fault at once, on all connections; or how further connections are treated."""
        if what == "refuse":
            self._stop_listening()
            what = "close"
        elif what == "accept":
            self._is_held = False
            if self._listener is None:
                self._listener = self._listen(self.port)
                self._accepting()
            return
        elif what == "hold":
            self._is_held = True
            return
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.act(what)
            if what == "blackhole":
                with self._lock:
                    self._links.append(link)

    def close(self):
        self._stop_listening()
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.act("close")

    @staticmethod
    def _listen(port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        return listener

    def _stop_listening(self):
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            # A connection that was accepted before is one of the links afterwards.
            self._accepter.join()
            listener.close()

    def _accepting(self):
        accept = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._accepter = accept
        accept.start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except ConnectionAbortedError:
                # The client has left already.
                continue
            except OSError:
                if listener is self._listener:
                    raise
                return
            self.connections += 1
            link = Link(self, client)
            with self._lock:
                self._links.append(link)
            if self._is_held:
                continue
            fault = self.take(lambda it: it.get("after", {}).get("connect"))
            if fault is not None:
                link.act(fault["do"])
                continue
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                link.act("reset")
                continue
            server.settimeout(None)
            link.start(server)

    def take(self, condition):
        """The next fault of the list, if its moment has come."""
        with self._lock:
            if self._faults and condition(self._faults[0]):
                return self._faults.pop(0)
        return None

    def has(self, condition):
        with self._lock:
            return bool(self._faults) and bool(condition(self._faults[0]))

    def note_request(self, message):
        if self._photo is not None and self._photo in message:
            with self._lock:
                self.photos_sent += 1

    def wait_printed(self, sequence):
        self._printed(sequence)


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, client):
        self._proxy = proxy
        self._client = client
        self._server = None
        self._to_client = threading.Lock()
        self._to_server = threading.Lock()
        self._is_swallowing = False
        self._reset_streams = set()
        self._state = threading.Lock()
        self._workers = 0
        self._is_ended = False
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self, server):
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        works = (self._requests, self._answers)
        with self._state:
            self._server = server
            if self._is_ended:
                self._close()
                return
            self._workers = len(works)
        for work in works:
            threading.Thread(target=self._guarded, args=(work,), daemon=True).start()

    def act(self, what, stream=None, error=None):
        if what == "blackhole":
            self._is_swallowing = True
        elif what == "goaway":
            payload = struct.pack(">II", 0x7FFFFFFF, 0)
            self._send(self._client, self._to_client, _frame(_GOAWAY, 0, payload))
        elif what == "rst_stream":
            self._reset_streams.add(stream)
            frame = _frame(_RST_STREAM, stream, struct.pack(">I", _ERRORS[error]))
            self._send(self._client, self._to_client, frame)
            cancel = _frame(_RST_STREAM, stream, struct.pack(">I", _ERRORS["CANCEL"]))
            self._send(self._server, self._to_server, cancel)
        else:
            self._end(is_reset=what == "reset")

    def _end(self, *, is_reset):
        """Ends both sides. The threads that still use them end too, and the last one closes them:
        the number of a socket that is closed under a thread may be another connection's by then."""
        with self._state:
            if self._is_ended:
                return
            self._is_ended = True
            for side in (self._client, self._server):
                if side is None:
                    continue
                with contextlib.suppress(OSError):
                    if is_reset:
                        # The reset itself is sent when the socket is closed.
                        side.setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                        )
                    side.shutdown(socket.SHUT_RD if is_reset else socket.SHUT_RDWR)
            if self._workers == 0:
                self._close()

    def _close(self):
        for side in (self._client, self._server):
            if side is not None:
                side.close()

    def _guarded(self, work):
        try:
            work()
        except (OSError, ValueError, EOFError):
            pass
        finally:
            if not self._is_swallowing:
                self._end(is_reset=False)
            with self._state:
                self._workers -= 1
                if self._is_ended and self._workers == 0:
                    self._close()

    def _requests(self):
        """Client to server."""
        messages, count = _Messages(), 0
        preface = _exactly(self._client, len(_PREFACE))
        self._server.sendall(preface)
        while True:
            head, payload = _read_frame(self._client)
            if self._is_swallowing:
                continue
            count += len(head) + len(payload)
            self._send(self._server, self._to_server, head + payload)
            kind, flags, stream = head[3], head[4], _stream(head)
            if kind == _DATA:
                for message in messages.take(stream, _body(flags, payload)):
                    self._proxy.note_request(message)
            self._after_bytes(count, stream)

    def _after_bytes(self, count, stream):
        fault = self._proxy.take(lambda it: 0 < _request_bytes(it) <= count)
        if fault is not None:
            self._fire(fault, stream)

    def _answers(self):
        """Server to client."""
        messages = _Messages()
        while True:
            head, payload = _read_frame(self._server)
            if self._is_swallowing:
                continue
            kind, flags, stream = head[3], head[4], _stream(head)
            if stream in self._reset_streams:
                continue
            if kind == _HEADERS:
                fault = self._proxy.take(lambda it: it.get("before") == "answer")
                if fault is not None:
                    self._fire(fault, stream)
                    continue
            self._send(self._client, self._to_client, head + payload)
            if kind == _DATA:
                for message in messages.take(stream, _body(flags, payload)):
                    self._after_message(stream, message)

    def _after_message(self, stream, message):
        if not self._proxy.has(lambda it: _sequence(it) > 0):
            return
        try:
            update = pb.MatchUpdate.FromString(message)
        except Exception:
            return
        if update.WhichOneof("event") in ("progress", "heartbeat"):
            return
        fault = self._proxy.take(lambda it: _sequence(it) == update.sequence)
        if fault is not None:
            # A reset would throw away what the client has not read yet.
            self._proxy.wait_printed(update.sequence)
            self._fire(fault, stream)

    def _fire(self, fault, stream):
        self.act(fault["do"], stream, fault.get("error"))
        if fault["do"] in ("close", "reset"):
            raise EOFError

    def _send(self, side, lock, data):
        if self._is_ended:
            raise EOFError
        with lock:
            side.sendall(data)


class _Messages:
    """Puts gRPC messages together from the DATA frames of each stream."""

    def __init__(self):
        self._buffers = {}

    def take(self, stream, data):
        buffer = self._buffers.setdefault(stream, bytearray())
        buffer += data
        while len(buffer) >= 5:
            size = int.from_bytes(buffer[1:5], "big")
            if len(buffer) < 5 + size:
                return
            yield bytes(buffer[5 : 5 + size])
            del buffer[: 5 + size]


def _sequence(fault):
    return fault.get("after", {}).get("sequence", 0)


def _request_bytes(fault):
    return fault.get("after", {}).get("request_bytes", 0)


def _exactly(side, size):
    data = bytearray()
    while len(data) < size:
        part = side.recv(min(size - len(data), 1 << 16))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _read_frame(side):
    head = _exactly(side, 9)
    return head, _exactly(side, int.from_bytes(head[:3], "big"))


def _stream(head):
    return int.from_bytes(head[5:9], "big") & 0x7FFFFFFF


def _body(flags, payload):
    """The data of a DATA frame, without its padding."""
    if not flags & _PADDED:
        return payload
    return payload[1 : len(payload) - payload[0]]


def _frame(kind, stream, payload):
    head = len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big")
    return head + payload
