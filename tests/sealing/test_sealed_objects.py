"""Sealed objects come back as they were, and nothing that was touched comes back at all."""

from __future__ import annotations

import io
import os

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_plan.errors import DamageError
from aegis_plan.sealing import frames
from aegis_plan.sealing.stream import HEADER, SEGMENT, TAG, StreamReader, StreamWriter

SECRET = bytes(range(32))
HEAD = frames.header("v1/s/stores/x/l/sets/r-F1/base.000")
FIRST = SEGMENT - HEADER - TAG
"""Plain bytes of the first segment."""


def seal(plain: bytes, piece: int = 1 << 20, head: bytes = HEAD) -> tuple[bytes, frames.Sealer]:
    sealer = frames.Sealer(head, SECRET, 1)
    out = [sealer.update(plain[begin : begin + piece]) for begin in range(0, len(plain), piece)]
    return b"".join([*out, sealer.finish()]), sealer


def unseal(sealed: bytes, piece: int = 1 << 20, head: bytes = HEAD, secret: bytes = SECRET) -> bytes:
    opener = frames.Opener(head, secret)
    out = [opener.update(sealed[begin : begin + piece]) for begin in range(0, len(sealed), piece)]
    return b"".join([*out, opener.finish()])


def stream(plain: bytes) -> bytes:
    writer = StreamWriter(SECRET, HEAD)
    return writer.header + writer.update(plain) + writer.finish()


def unstream(sealed: bytes) -> bytes:
    reader = StreamReader(SECRET, HEAD)
    return reader.update(sealed) + reader.finish()


EDGES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + SEGMENT - TAG, FIRST + SEGMENT - TAG + 1, 3 * SEGMENT]


@pytest.mark.parametrize("size", EDGES)
def test_another_implementation_opens_the_stream(size: int) -> None:
    import tink
    from tink import secret_key_access, streaming_aead
    from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

    streaming_aead.register()
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, key_value=SECRET)
    key.params.ciphertext_segment_size = SEGMENT
    key.params.derived_key_size = 32
    key.params.hkdf_hash_type = common_pb2.SHA256
    ring = tink_pb2.Keyset(primary_key_id=7)
    entry = ring.key.add(key_id=7, status=tink_pb2.ENABLED, output_prefix_type=tink_pb2.RAW)
    entry.key_data.type_url = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"
    entry.key_data.value = key.SerializeToString()
    entry.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    handle = tink.proto_keyset_format.parse(ring.SerializeToString(), secret_key_access.TOKEN)
    primitive = handle.primitive(streaming_aead.StreamingAead)
    plain = os.urandom(size)
    with primitive.new_decrypting_stream(io.BytesIO(stream(plain)), HEAD) as opened:
        assert opened.read() == plain
    sink = io.BytesIO()
    sink.close = lambda: None  # type: ignore[method-assign]  # tink closes what it writes to
    with primitive.new_encrypting_stream(sink, HEAD) as sealing:
        sealing.write(plain)
    assert unstream(sink.getvalue()) == plain


@pytest.mark.parametrize(
    "size", [*EDGES, frames.PACK - 1, frames.PACK, frames.PACK + 1, 4 * frames.PACK + 5, 3 * frames.FRAME]
)
def test_every_size_comes_back(size: int) -> None:
    plain = (os.urandom(1 << 16) * (size // (1 << 16) + 1))[:size]
    sealed, sealer = seal(plain, 999_983)
    assert unseal(sealed, 777_777) == plain
    assert (sealer.plain_size, sealer.sealed_size) == (size, len(sealed))
    assert sum(frame.plain_size for frame in sealer.frames) == size
    assert sealed != seal(plain)[0], "the same bytes sealed twice must not look the same"


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=5000), st.integers(1, 700), st.integers(1, 700))
def test_pieces_of_any_length(plain: bytes, given_in: int, read_in: int) -> None:
    assert unseal(seal(plain, given_in)[0], read_in) == plain


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_changed_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(seal(b"some plain bytes, not many")[0])
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamageError):
        unseal(bytes(sealed))


LONG = os.urandom(3 * SEGMENT + 1000)
SEALED = stream(LONG)


@pytest.mark.parametrize("cut", [0, 1, HEADER - 1, HEADER, SEGMENT, 2 * SEGMENT, 3 * SEGMENT, len(SEALED) - 1])
def test_a_cut_stream_is_noticed(cut: int) -> None:
    with pytest.raises(DamageError):
        unstream(SEALED[:cut])


@pytest.mark.parametrize("tail", [b"\0", bytes(SEGMENT), SEALED[SEGMENT : 2 * SEGMENT]])
def test_a_longer_stream_is_noticed(tail: bytes) -> None:
    with pytest.raises(DamageError):
        unstream(SEALED + tail)


def test_swapped_and_left_out_segments_are_noticed() -> None:
    parts = [SEALED[:SEGMENT], SEALED[SEGMENT : 2 * SEGMENT], SEALED[2 * SEGMENT : 3 * SEGMENT], SEALED[3 * SEGMENT :]]
    assert unstream(b"".join(parts)) == LONG
    for order in ([0, 2, 1, 3], [0, 1, 3], [0, 1, 1, 2, 3], [1, 0, 2, 3]):
        with pytest.raises(DamageError):
            unstream(b"".join(parts[number] for number in order))


def test_nothing_of_a_damaged_segment_is_released() -> None:
    damaged = bytearray(SEALED)
    damaged[2 * SEGMENT + 5] ^= 1
    reader = StreamReader(SECRET, HEAD)
    released = b""

    def feed() -> None:
        nonlocal released
        for begin in range(0, len(damaged), 4096):
            released += reader.update(bytes(damaged[begin : begin + 4096]))

    with pytest.raises(DamageError):
        feed()
    assert released == LONG[: len(released)]
    assert len(released) <= FIRST + SEGMENT - TAG


def test_an_object_of_another_key_or_secret_is_refused() -> None:
    sealed, _ = seal(b"plain")
    elsewhere = frames.header("v1/s/stores/x/l/sets/r-F1/base.001")
    with pytest.raises(DamageError) as caught:
        unseal(sealed, head=elsewhere)
    assert caught.value.code == "not-sealed"
    moved = frames.preamble(elsewhere) + sealed[len(frames.preamble(HEAD)) :]
    with pytest.raises(DamageError) as caught:
        unseal(moved, head=elsewhere)
    assert caught.value.code == "seal-broken"
    with pytest.raises(DamageError):
        unseal(sealed, secret=bytes(32))


def bomb(packed: bytes) -> bytes:
    writer = StreamWriter(SECRET, HEAD)
    return frames.preamble(HEAD) + writer.header + writer.update(packed) + writer.finish()


def test_frames_that_would_grow_beyond_what_is_allowed_are_refused() -> None:
    huge = zstandard.ZstdCompressor(level=1).compress(bytes(frames.FRAME + 1))
    unsized = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(1 << 20))
    for packed in (huge, unsized, b"no frame at all, only text of some length", huge[:20], b""):
        with pytest.raises(DamageError):
            unseal(bomb(packed))


def test_the_object_is_zstd_frames_that_any_tool_reads() -> None:
    plain = os.urandom(9 << 20)
    sealed, sealer = seal(plain)
    packed = unstream(sealed[frames.stream_offset(HEAD) :])
    with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
        assert reader.read() == plain
    second = sealer.frames[1]
    alone = packed[second.packed : second.packed + second.packed_size]
    assert zstandard.ZstdDecompressor().decompress(alone) == plain[second.plain : second.plain + second.plain_size]
