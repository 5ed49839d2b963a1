"""Photos from bytes, files, the library and the folder."""

import io
import os
import threading

import pytest

import facematch
from facematch import Photo

JPEG = b"\xff\xd8 a photo that must not be shown \xff\xd9"


def content(photo):
    return Photo.of(photo).to_wire().content


def test_a_photo_is_bytes_a_path_or_a_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    with open(path, "rb") as file:
        sources = [JPEG, bytearray(JPEG), memoryview(JPEG), path, str(path), file, io.BytesIO(JPEG)]
        assert [content(source) for source in sources] == [JPEG] * len(sources)


def test_a_pipe_is_read_to_its_end():
    out, into = os.pipe()

    def write():
        with open(into, "wb", buffering=0) as pipe:
            for start in range(0, len(JPEG), 7):
                pipe.write(JPEG[start : start + 7])

    writer = threading.Thread(target=write)
    writer.start()
    with open(out, "rb", buffering=0) as pipe:
        assert content(pipe) == JPEG
    writer.join()


def test_a_photo_may_stay_where_it_is():
    assert Photo.library("customers/17.jpg").to_wire().reference_key == "customers/17.jpg"
    wire = Photo.in_folder("medium", kind="id_front").to_wire()
    assert (wire.folder_media_id, wire.kind) == ("medium", facematch.pb.PHOTO_KIND_ID_FRONT)


@pytest.mark.parametrize("source", [b"x" * (10 * (1 << 20) + 1), io.BytesIO(b"x" * 20_000_000)])
def test_a_photo_over_10_mib_is_refused_before_it_is_sent(source):
    with pytest.raises(facematch.PhotoTooLargeError) as raised:
        Photo.of(source)
    assert raised.value.reason == "PHOTO_TOO_LARGE"
    assert raised.value.code == "INVALID_ARGUMENT"


def test_a_file_that_is_too_large_is_not_read_to_its_end():
    file = io.BytesIO(b"x" * 30_000_000)
    with pytest.raises(facematch.PhotoTooLargeError):
        Photo.read(file)
    assert file.tell() <= facematch.PHOTO_BYTES_MAX + 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Photo(),
        lambda: Photo(b"x", reference_key="k"),
        lambda: Photo(b"x", kind="passport"),
        lambda: Photo.of(io.StringIO("text")),
        lambda: Photo.of(None),
    ],
)
def test_what_is_no_photo_is_refused(make):
    with pytest.raises(facematch.UsageError):
        make()


def test_a_missing_file_is_the_systems_error():
    with pytest.raises(FileNotFoundError):
        Photo.of("/nonexistent/a.jpg")


def test_a_photo_shows_neither_content_nor_name(tmp_path):
    path = tmp_path / "jane-doe.jpg"
    path.write_bytes(JPEG)
    shown = repr(Photo.of(path)) + str(Photo.of(path))
    assert "jane" not in shown
    assert "shown" not in shown
    assert f"{len(JPEG)} bytes" in shown
    assert "customers" not in repr(Photo.library("customers/17.jpg"))
