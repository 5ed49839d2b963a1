"""The reference photo: bytes, a file, the operator's library, or a medium of the folder."""

from __future__ import annotations

import os
from typing import BinaryIO, Literal

from facematch.errors import PhotoTooLargeError, UsageError
from facematch.v1 import face_match_pb2 as pb

__all__ = ["PHOTO_BYTES_MAX", "Photo", "PhotoKind", "PhotoLike"]

#: The size of a photo, in bytes, above which the server refuses it.
PHOTO_BYTES_MAX = 10 * (1 << 20)

PhotoKind = Literal["selfie", "id_front"]

_KINDS = {
    None: pb.PHOTO_KIND_UNSPECIFIED,
    "selfie": pb.PHOTO_KIND_SELFIE,
    "id_front": pb.PHOTO_KIND_ID_FRONT,
}


class Photo:
    """A reference photo.

    Verbs also take bytes, a path or an open binary file in its place. A photo is read when it is
    made, and its ``repr`` shows neither its content nor its name.
    """

    __slots__ = ("_wire",)

    def __init__(
        self,
        content: bytes | bytearray | memoryview | None = None,
        *,
        reference_key: str | None = None,
        folder_media_id: str | None = None,
        kind: PhotoKind | None = None,
    ) -> None:
        sources = [it for it in (content, reference_key, folder_media_id) if it is not None]
        if len(sources) != 1:
            raise UsageError("a photo has one source: content, reference_key or folder_media_id")
        if kind not in _KINDS:
            raise UsageError("the kind of a photo is selfie or id_front")
        self._wire = pb.ReferencePhoto(kind=_KINDS[kind])
        if content is not None:
            _check_size(len(content))
            self._wire.content = bytes(content)
        elif reference_key is not None:
            self._wire.reference_key = reference_key
        elif folder_media_id is not None:
            self._wire.folder_media_id = folder_media_id

    @classmethod
    def read(
        cls, source: str | os.PathLike[str] | BinaryIO, *, kind: PhotoKind | None = None
    ) -> Photo:
        """Reads a photo from a path or from an open binary file."""
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as file:
                return cls._of(file, kind)
        return cls._of(source, kind)

    @classmethod
    def library(cls, reference_key: str, *, kind: PhotoKind | None = None) -> Photo:
        """A photo of the operator's library, by its key."""
        return cls(reference_key=reference_key, kind=kind)

    @classmethod
    def in_folder(cls, folder_media_id: str, *, kind: PhotoKind | None = None) -> Photo:
        """A photo that the folder at Oz already holds, by Oz's id."""
        return cls(folder_media_id=folder_media_id, kind=kind)

    @classmethod
    def of(cls, photo: PhotoLike) -> Photo:
        """The photo that an argument of a verb stands for."""
        if isinstance(photo, Photo):
            return photo
        if isinstance(photo, (bytes, bytearray, memoryview)):
            return cls(photo)
        if isinstance(photo, (str, os.PathLike)) or hasattr(photo, "read"):
            return cls.read(photo)
        raise UsageError("a photo is bytes, a path, an open binary file or a Photo")

    @classmethod
    def _of(cls, file: BinaryIO, kind: PhotoKind | None) -> Photo:
        # One byte more than allowed: the rest of a larger file isn't read. A raw file or a pipe may
        # return less than it was asked for.
        content = bytearray()
        while len(content) <= PHOTO_BYTES_MAX:
            part = file.read(PHOTO_BYTES_MAX + 1 - len(content))
            if not isinstance(part, bytes):
                raise UsageError("the file of a photo must be opened in binary mode")
            if not part:
                break
            content += part
        return cls(content, kind=kind)

    def __repr__(self) -> str:
        source = self._wire.WhichOneof("source")
        size = f", {len(self._wire.content)} bytes" if source == "content" else ""
        return f"<facematch.Photo: {source}{size}>"

    def to_wire(self) -> pb.ReferencePhoto:
        """The photo as a message of the contract."""
        return self._wire


PhotoLike = Photo | bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO


def _check_size(size: int) -> None:
    if size > PHOTO_BYTES_MAX:
        raise PhotoTooLargeError(
            "the photo is over 10 MiB",
            code="INVALID_ARGUMENT",
            reason="PHOTO_TOO_LARGE",
            match_continues=False,
        )
