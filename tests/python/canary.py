"""Data that must not leak, and a search for it in everything that the server writes and answers.

Photos and file names carry a canary; the password is the simulator's, and its tokens are recognised
by their length. API keys, tokens of callers and private keys are recognised by their form, and the
tests' own ones also by their secret parts. A finding is reported by its place, and never quoted.
"""

import base64
import copy
import re

import grpc
from cryptography.hazmat.primitives import serialization
from grpc_status import rpc_status

PHOTO = b"canary-of-the-photo-8f14e45f"
FILE_NAME = "canary-of-the-file-name-c9f0f895.jpg"

# A token of the simulator has 128 hexadecimal digits; a photo's digest in the journal has only 64.
TOKEN = re.compile(rb"[0-9a-f]{96,}", re.IGNORECASE)

# Credentials of callers: an API key with more of its secret than its beginning, a JWT with its
# claims, and a private key in PEM.
FORMS = {
    re.compile(rb"fm_[0-9A-Za-z]{1,32}_[0-9a-f]{12}"): "an API key",
    re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"): "a token",
    re.compile(rb"BEGIN ([A-Z]+ )?PRIVATE KEY"): "a private key",
}

# A secret is also found if it was cut off after this many bytes.
SECRET_BYTES = 32

# A stretch of a picture that is long enough to be unique, and the number of stretches to look for.
STRETCH_BYTES = 24
STRETCHES = 8


def marked(jpeg):
    """The picture with a canary in a comment at its beginning."""
    comment = b"\xff\xfe" + (len(PHOTO) + 2).to_bytes(2, "big") + PHOTO
    return jpeg[:2] + comment + jpeg[2:]


class Search:
    """Looks for canaries in the forms in which logs and files could contain them."""

    def __init__(self, pictures, password):
        words = {PHOTO: "a photo", FILE_NAME.encode(): "a file's name", password: "a password"}
        for picture in pictures:
            step = len(picture) // (STRETCHES + 1)
            starts = [number * step for number in range(1, STRETCHES + 1)]
            words |= {picture[at : at + STRETCH_BYTES]: "a photo" for at in starts}
        self._needles = {form: what for word, what in words.items() for form in forms(word)}

    def and_for(self, secrets):
        """A search for more secrets, each with its kind."""
        more = {form: what for secret, what in secrets.items() for form in forms(secret)}
        other = copy.copy(self)
        other._needles = self._needles | more
        return other

    def found(self, text):
        """The kind of data that a text leaks, or None."""
        for needle, what in self._needles.items():
            if needle in text:
                return what
        for form, what in FORMS.items():
            if form.search(text):
                return what
        # Few different digits, such as a test's aaaaa…, are not a token.
        is_token = any(len(set(run.lower())) > 7 for run in TOKEN.findall(text))
        return "a token" if is_token else None

    def check(self, place, text):
        found = self.found(text)
        assert found is None, f"{place}: there is {found}"


def secrets_of(keys=(), tokens=(), private_keys=()):
    """The parts of credentials that must not leak, each with its kind."""
    found = {key.rpartition("_")[2].encode()[:SECRET_BYTES]: "an API key" for key in keys}
    signatures = [token.rpartition(".")[2].encode() for token in tokens]
    found |= {signature[:SECRET_BYTES]: "a token" for signature in signatures if signature}
    for pem in private_keys:
        key = serialization.load_pem_private_key(pem, password=None)
        secret = key.private_numbers().private_value
        found[secret.to_bytes((secret.bit_length() + 7) // 8, "big")] = "a private key"
    return found


def forms(word):
    """A word as it is, in hexadecimal, as a list of numbers, and in base64 at all three offsets."""
    tails = [word[skipped:] for skipped in range(3)]
    shifted = [base64.b64encode(tail[: len(tail) // 3 * 3]) for tail in tails]
    numbers = ", ".join(map(str, word)).encode()
    return [word, word.hex().encode(), word.hex().upper().encode(), numbers, *shifted]


class Written:
    """Everything that a server has written: its log, each part read once, its journal and its audit
    file."""

    def __init__(self, server, search):
        self._server = server
        self._search = search
        self._read = 0

    def check(self):
        with open(self._server.log, "rb") as log:
            # Overlaps with the last read: a canary may have been cut in two there.
            log.seek(max(0, self._read - 1024))
            self._search.check("the log", log.read())
            self._read = log.tell()
        files = list(self._server.folder.glob("facematch.db*"))
        assert files, "there is no journal"
        files += self._server.folder.glob("audit*")
        for file in files:
            self._search.check(file.name, file.read_bytes())


class Answers:
    """A stub that searches all its answers: messages, statuses and their details."""

    def __init__(self, stub, search):
        self._stub = stub
        self._search = search

    def __getattr__(self, rpc):
        call = getattr(self._stub, rpc)

        def searched(*arguments, **options):
            answer = self.see(rpc, lambda: call(*arguments, **options))
            return Stream(self, rpc, answer) if hasattr(answer, "__next__") else answer

        return searched

    def see(self, rpc, answering):
        try:
            answer = answering()
        except grpc.RpcError as error:
            self._see_status(rpc, error)
            raise
        if hasattr(answer, "SerializeToString"):
            self._search.check(f"an answer of {rpc}", answer.SerializeToString())
        return answer

    def _see_status(self, rpc, error):
        self._search.check(f"a status of {rpc}", (error.details() or "").encode())
        status = rpc_status.from_call(error)
        if status is not None:
            self._search.check(f"the details of a status of {rpc}", status.SerializeToString())


class Stream:
    """A stream that searches each of its answers."""

    def __init__(self, answers, rpc, stream):
        self._answers = answers
        self._rpc = rpc
        self._stream = stream

    def __iter__(self):
        return self

    def __next__(self):
        return self._answers.see(self._rpc, lambda: next(self._stream))

    def cancel(self):
        return self._stream.cancel()
