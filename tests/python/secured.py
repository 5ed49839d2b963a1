"""A service over TLS that authenticates its callers, and channels to it."""

import json
import os
import socket
import ssl
import subprocess
from contextlib import contextmanager

import canary
import grpc
import support
from authority import Authority

# What the log tells when files were read again.
CALLERS_READ, TLS_READ = "callers file read again", "TLS files changed"

# The certificate of the caller kyc has this name; no caller has the other one.
KNOWN, UNKNOWN = "kyc.internal", "other.internal"

CALLERS = """
[tenant.retail]
[tenant.lending]

[caller.kyc]
tenant = "retail"
allow = ["match", "read", "erase"]
keys = [{kyc}]
certificates = ["dns:{known}"]

[caller.reports]
tenant = "retail"
allow = ["read"]
keys = [{reports}]

[caller.loans]
tenant = "lending"
allow = ["match", "read", "erase"]
keys = [{loans}]
"""


class Key:
    """An API key, as `facematch key new` makes it."""

    def __init__(self, caller, expires=None):
        command = [os.environ["FACEMATCH_BIN"], "key", "new", caller, "--output", "json"]
        made = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        self.text, self.line = made["key"], made["line"]
        if expires:
            self.line = self.line.replace(" }", f", expires = {expires} }}")


class Secured:
    """A service with its files in a folder: certificates, the callers file and the audit file."""

    def __init__(self, simulator, folder, search, client_auth="required", more="", log="trace"):
        self.folder = folder
        self.servers, self.clients = Authority("servers"), Authority("clients")
        self.certificate = self.clients.client(KNOWN)
        self.unknown = self.clients.client(UNKNOWN)
        self.keys = {caller: Key(caller) for caller in ("kyc", "reports", "loans")}
        self.expired = Key("kyc", expires="2024-02-29")
        self._search, self._keys, self._tokens, self._private = search, [], [], []
        self._more = more
        self.write_pair(self.servers.server())
        self.write("client-ca.pem", self.clients.pem)
        self.write_callers([self.keys["kyc"], self.expired])
        files = {
            "--tls-cert-file": "cert.pem",
            "--tls-key-file": "key.pem",
            "--tls-client-ca-file": "client-ca.pem",
            "--callers-file": "callers.toml",
            "--audit-file": "audit.log",
        }
        settings = [part for flag, name in files.items() for part in (flag, folder / name)]
        settings += ["--tls-client-auth", client_auth]
        program = os.environ["FACEMATCH_BIN"]
        self.server = support.Server(program, simulator, folder, log, settings)
        self.port = int(self.server.address.rpartition(":")[2])
        self.target = f"localhost:{self.port}"

    def write(self, name, content):
        """Replaces a file as a whole."""
        (self.folder / f"{name}.new").write_bytes(content)
        (self.folder / f"{name}.new").rename(self.folder / name)

    def write_pair(self, pair):
        """Replaces the pair of the server, one file after the other."""
        self._private.append(pair.key)
        self.write("cert.pem", pair.cert)
        self.write("key.pem", pair.key)

    def write_callers(self, keys):
        """Replaces the callers file. The caller kyc has these keys."""
        lines = {caller: key.line for caller, key in self.keys.items()}
        lines["kyc"] = ", ".join(key.line for key in keys)
        self._keys += [key.text for key in (*keys, *self.keys.values())]
        text = CALLERS.format(known=KNOWN, **lines) + self._more
        self.write("callers.toml", text.encode())

    def shown(self, token):
        """Notes a token that is shown to the service: it must not leak either."""
        self._tokens.append(token)
        return token

    def search(self):
        """A search for all credentials so far."""
        private = [self.certificate.key, self.unknown.key, *self._private]
        secrets = canary.secrets_of(self._keys, self._tokens, private)
        return self._search.and_for(secrets)

    def credentials(self, certificate, key=None, roots=None):
        """The credentials of a channel: with a key, each of its calls shows that key."""
        roots = roots or self.servers.pem
        chain = (certificate.key, certificate.cert) if certificate else (None, None)
        tls = grpc.ssl_channel_credentials(roots, *chain)
        if key is None:
            return tls
        return grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(key))

    def channel(self, *credentials, **named):
        # A channel of its own, with its own connection. A proxy in the environment is ignored.
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(self.target, self.credentials(*credentials, **named), options)

    @contextmanager
    def stub(self, stubs, *credentials, **named):
        """A stub whose answers are searched."""
        with self.channel(*credentials, **named) as channel:
            yield canary.Answers(stubs.rpc.FaceMatchStub(channel), self.search())

    def certificate_in_use(self, certificate):
        """The certificate that the service presents to a new connection, in PEM."""
        context = ssl.create_default_context(cadata=self.servers.pem.decode())
        cert, key = self.folder / "probe.pem", self.folder / "probe-key.pem"
        cert.write_bytes(certificate.cert)
        key.write_bytes(certificate.key)
        context.load_cert_chain(cert, key)
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, timeout=support.CALL_SECONDS) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True)).encode()

    def stop(self):
        """Stops the service, and searches everything that it has written."""
        code = self.server.stop()
        canary.Written(self.server, self.search()).check()
        assert code == 0, f"exit code {code}"
