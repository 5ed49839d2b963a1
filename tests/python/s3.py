"""S3 servers for the tests: moto, and versitygw where the environment names it.

Both are used through boto3, as an operator fills a bucket.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request

import boto3
from botocore.config import Config
from support import READY_SECONDS, STOP_SECONDS, free_port

# The program of tests/stores, which checks signatures.
VERSITYGW = os.environ.get("FACEMATCH_VERSITYGW")

SERVERS = ["moto", "versitygw"] if VERSITYGW else ["moto"]

ACCESS_KEY_ID = "facematch"
REGION = "us-east-1"

LOOK_SECONDS = 0.05


class S3:
    """An S3 server of its own, with its files in `folder`."""

    def __init__(self, kind, folder, secret):
        port = free_port()
        self._kind = kind
        self.url = f"http://127.0.0.1:{port}"
        self.secret = secret
        environment = os.environ | {"ROOT_ACCESS_KEY": ACCESS_KEY_ID, "ROOT_SECRET_KEY": secret}
        with open(folder / f"{kind}.log", "wb") as log:
            self._process = subprocess.Popen(
                _command(kind, port, folder), env=environment, stdout=log, stderr=log
            )
        self._wait_for(port)
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=secret,
            region_name=REGION,
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )

    def _wait_for(self, port):
        ends = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                running = self._process.poll() is None
                assert running and time.monotonic() < ends, "the S3 server doesn't start"
                time.sleep(LOOK_SECONDS)

    def variables(self, **changed):
        """The environment by which a service finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": REGION,
        } | changed

    def make_bucket(self, name, versioned):
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )

    def put(self, bucket, key, content):
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, bucket, key):
        self.client.delete_object(Bucket=bucket, Key=key)

    @contextlib.contextmanager
    def refusing(self):
        """Yields the variables of an account that the server refuses."""
        if self._kind == "versitygw":
            yield {"AWS_SECRET_ACCESS_KEY": "another"}
            return
        # moto checks accounts only if it is told to, and then knows none.
        self._check_accounts_after("0")
        yield {}
        self._check_accounts_after("inf")

    def _check_accounts_after(self, requests):
        url, headers = f"{self.url}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(url, requests.encode(), headers)).close()

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _command(kind, port, folder):
    if kind == "moto":
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    for name in ("objects", "versions"):
        (folder / name).mkdir()
    listen = ["--port", f"127.0.0.1:{port}", "--quiet"]
    stored = ["posix", "--versioning-dir", str(folder / "versions"), str(folder / "objects")]
    return [VERSITYGW, *listen, *stored]
