"""Stores of Google's and Azure's clouds, played by their emulators: fake-gcs-server and Azurite.

tests/stores installs them, and names them in the environment.
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import time
import urllib.request
from email.utils import formatdate
from urllib.parse import quote

from support import READY_SECONDS, STOP_SECONDS, free_port

LOOK_SECONDS = 0.05
BUCKET = "photos"

# The account that Azurite has, with its published key.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
AZURE_VERSION = "2021-08-06"

# A service account that needs no sign-in, as the emulator has none.
SERVICE_ACCOUNT = {
    "private_key": "none",
    "private_key_id": "none",
    "client_email": "none",
    "disable_oauth": True,
}


class Store:
    """An emulator's process, with a bucket."""

    def __init__(self, command, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [part.format(port=self.port, folder=folder) for part in command]
        with open(folder / "store.log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        ends = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                running = self._process.poll() is None
                assert running and time.monotonic() < ends, "the store doesn't start"
                time.sleep(LOOK_SECONDS)

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class FakeGcs(Store):
    scheme = "gs"

    def __init__(self, folder):
        where = ["-scheme", "http", "-host", "127.0.0.1", "-port", "{port}"]
        # The host of requests for objects by their paths.
        where += ["-public-host", "127.0.0.1:{port}"]
        super().__init__([os.environ["FACEMATCH_FAKE_GCS"], *where, "-backend", "memory"], folder)
        _send("POST", f"{self.url}/storage/v1/b?project=x", json.dumps({"name": BUCKET}).encode())

    def variables(self):
        account = json.dumps(SERVICE_ACCOUNT)
        return {"GOOGLE_BASE_URL": self.url, "GOOGLE_SERVICE_ACCOUNT_KEY": account}

    def put(self, key, content):
        place = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(key, safe='')}"
        _send("POST", self.url + place, content, {"Content-Type": "image/jpeg"})


class Azurite(Store):
    scheme = "azure"

    def __init__(self, folder):
        where = ["--blobHost", "127.0.0.1", "--blobPort", "{port}", "--location", "{folder}"]
        # The emulator may be older than the version of the protocol that is sent.
        quiet = ["--disableTelemetry", "--skipApiVersionCheck"]
        super().__init__([os.environ["FACEMATCH_AZURITE"], *where, *quiet], folder)
        self.url += f"/{ACCOUNT}"
        self._put(f"/{BUCKET}", b"", {}, "restype:container")

    def variables(self, **changed):
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": self.url,
        } | changed

    def put(self, key, content):
        self._put(f"/{BUCKET}/{quote(key)}", content, {"x-ms-blob-type": "BlockBlob"}, None)

    def _put(self, path, content, headers, query):
        """Sends a request with Azure's Shared Key signature."""
        headers |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": AZURE_VERSION}
        named = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{ACCOUNT}/{ACCOUNT}{path}" + (f"\n{query}" if query else "")
        kind = "application/octet-stream"
        lines = ["PUT", "", "", str(len(content) or ""), "", kind, *[""] * 6]
        text = "\n".join(lines) + "\n" + named + resource
        key = base64.b64decode(ACCOUNT_KEY)
        signature = base64.b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Type": kind}
        url = self.url + path + ("?" + query.replace(":", "=") if query else "")
        _send("PUT", url, content, headers)


def _send(method, url, content, headers=None):
    headers = headers or {"Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, content, headers, method=method)
    opener.open(request, timeout=READY_SECONDS).close()


# The emulators that the environment names.
STORES = [
    store
    for variable, store in (("FACEMATCH_FAKE_GCS", FakeGcs), ("FACEMATCH_AZURITE", Azurite))
    if os.environ.get(variable)
]
