"""A caller that opens streams over HTTP/2 and never lets the service send anything."""

import socket

import h2.config
import h2.connection
import h2.settings
from support import CALL_SECONDS


class UnreadStreams:
    """A connection with calls of one method whose flow-control windows stay closed."""

    def __init__(self, address, method, message, count):
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=CALL_SECONDS)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0}
        )
        self._http.initiate_connection()
        for _ in range(count):
            self._open(address, method, message)
        self._socket.sendall(self._http.data_to_send())

    def _open(self, address, method, message):
        stream = self._http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/{method}"),
            (":authority", address),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        self._http.send_headers(stream, headers)
        frame = b"\0" + len(message).to_bytes(4, "big") + message
        self._http.send_data(stream, frame, end_stream=True)

    def close(self):
        self._socket.close()
