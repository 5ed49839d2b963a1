"""The files of a run: photos with marks, certificates, tokens. Nothing shows a real person."""

import subprocess
from pathlib import Path

from .contract import ROOT

_SAMPLE = ROOT / "src/simulator/sample"
_MIB = 1 << 20
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")

# Marks that must never be printed.
PHOTO_MARK = b"conformance-mark-of-the-photo"
NAME_MARK = "conformance-mark-of-the-name"
LABEL_MARK = "conformance-mark-of-the-label"
TOKEN_MARK = "conformance-mark-of-the-token"


class Files:
    """Made once for all scenarios, in a temporary folder."""

    def __init__(self, folder):
        self._folder = Path(folder)
        portrait = _marked((_SAMPLE / "portrait.jpg").read_bytes())
        self.photo = self._write(f"{NAME_MARK}.jpg", portrait)
        stranger = _marked((_SAMPLE / "stranger.jpg").read_bytes())
        self.stranger = self._write(f"{NAME_MARK}-stranger.jpg", stranger)
        self.photo_10mib = self._padded(portrait, 10 * _MIB)
        self.photo_over_10mib = self._padded(portrait, 10 * _MIB + 1)
        self.photo_13mib = self._padded(portrait, 13 * _MIB)
        self.library = str(self._folder / "library")
        Path(self.library, "customers").mkdir(parents=True)
        self._write("library/customers/portrait.jpg", portrait)
        self.ca, ca_key = self._authority("ca")
        self.other_ca, _ = self._authority("other")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        self.server_cert, self.server_key = self._issue("server", ca_key, names)
        names = "subjectAltName=DNS:caller"
        self.client_cert, self.client_key = self._issue("client", ca_key, names)

    def variables(self):
        return {
            "photo": self.photo,
            "stranger": self.stranger,
            "photo_10mib": self.photo_10mib,
            "photo_over_10mib": self.photo_over_10mib,
            "photo_13mib": self.photo_13mib,
            "ca_file": self.ca,
            "other_ca_file": self.other_ca,
            "cert_file": self.client_cert,
            "key_file": self.client_key,
            "label": LABEL_MARK,
            "library": self.library,
        }

    def _padded(self, jpeg, size):
        """The picture with bytes behind its end, as phones write them."""
        return self._write(f"{NAME_MARK}-{size}.jpg", jpeg + bytes(size - len(jpeg)))

    def _write(self, name, content):
        path = self._folder / name
        path.write_bytes(content)
        return str(path)

    def _authority(self, name):
        key, cert = (str(self._folder / f"{name}.{ending}") for ending in ("key", "pem"))
        _openssl(
            "req", "-x509", *_NEW_KEY, "-nodes", "-days", "2", "-keyout", key,
            "-out", cert, "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
        )  # fmt: skip
        return cert, key

    def _issue(self, name, ca_key, extension):
        key, request, cert = (str(self._folder / f"{name}.{it}") for it in ("key", "csr", "crt"))
        lines = f"{extension}\nbasicConstraints=CA:FALSE\n"
        extensions = self._write(f"{name}.ext", lines.encode())
        _openssl(
            "req", *_NEW_KEY, "-nodes", "-keyout", key, "-out", request,
            "-subj", f"/CN={name}",
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
            "-days", "2", "-out", cert, "-extfile", extensions,
        )  # fmt: skip
        return cert, key


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _marked(jpeg):
    """The picture with a mark in a comment at its beginning."""
    return jpeg[:2] + b"\xff\xfe" + (len(PHOTO_MARK) + 2).to_bytes(2, "big") + PHOTO_MARK + jpeg[2:]
