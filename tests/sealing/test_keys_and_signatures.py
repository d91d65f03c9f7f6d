"""Who can open what, and whose word is believed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aegis_plan.catalog.record import Ending, TombstoneRecord
from aegis_plan.documents.model import Sealing
from aegis_plan.documents.recipients import short_id
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.sealing import keys
from aegis_plan.sealing.canonical import canonical
from aegis_plan.sealing.signatures import digest, sign, sign_bytes, verify

BACKUP, RECOVERY, HOST, STRANGER = (keys.new_identity() for _ in range(4))
SEALING = Sealing(recipients=(BACKUP[1],), recovery_recipient=RECOVERY[1], host_recipients={"seoul": HOST[1]})
SIGNING, PUBLIC = keys.new_signing_key()
SIGNERS = {"seoul": PUBLIC}


def wrapped(key: keys.DataKey, sealing: Sealing = SEALING) -> bytes:
    return keys.wrap(key, sealing, "seoul", SIGNING)


def record() -> TombstoneRecord:
    now = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    return TombstoneRecord(
        id="20261123T010203Z-aaaaaa", system="s", store="x", lineage="l", aspect="log", written=now, site="seoul",
        targets=(Ending(record="20261122T010203Z-bbbbbb", digest="d", reason="ünlücky"),), delete_from=now, run="r",
    )  # fmt: skip


def test_recipients_open_all_and_hosts_only_what_the_next_backup_needs() -> None:
    key = keys.new_data_key("r-F1")
    blob = wrapped(key)
    assert keys.unwrap(blob, [BACKUP[0]], SIGNERS) == key
    assert keys.unwrap(blob, [STRANGER[0], RECOVERY[0]], SIGNERS) == key
    host = keys.unwrap(blob, [HOST[0]], SIGNERS)
    assert (host.data, host.meta) == (None, key.meta)
    with pytest.raises(AegisError) as caught:
        wrapped(host)
    assert caught.value.code == "key-incomplete"


@pytest.mark.parametrize("identities", [[], [STRANGER[0]]])
def test_a_stranger_opens_nothing_and_learns_whose_key_is_needed(identities: list[str]) -> None:
    with pytest.raises(AegisError) as caught:
        keys.unwrap(wrapped(keys.new_data_key("r-F1")), identities, SIGNERS)
    assert caught.value.code == "no-key-opens"
    assert short_id(RECOVERY[1]) in caught.value.detail


def test_an_identity_is_read_as_age_writes_its_files() -> None:
    key = keys.new_data_key("r-F1")
    file = f"# created: 2026-11-23\n# public key: {BACKUP[1]}\n{BACKUP[0]}\n"
    assert keys.unwrap(wrapped(key), [file], SIGNERS) == key


def test_no_error_shows_a_private_key() -> None:
    for wrong in (BACKUP[0][:-1], "rubbish-that-could-be-a-password", ""):
        with pytest.raises(AegisError) as caught:
            keys.unwrap(wrapped(keys.new_data_key("x")), [wrong], SIGNERS)
        assert caught.value.code == "identity-malformed"
        assert not wrong or wrong not in str(caught.value.as_data())
    with pytest.raises(AegisError) as caught:
        wrapped(keys.new_data_key("x"), SEALING.model_copy(update={"recipients": (BACKUP[0],)}))
    assert caught.value.code == "recipient-malformed"
    assert BACKUP[0] not in str(caught.value.as_data())
    assert "secret" not in repr(keys.new_data_key("x")).lower()
    assert "data=" not in repr(keys.new_data_key("x"))


@pytest.mark.parametrize("blob", [b"", b"{}", b"[]", b"null", b"\xff", b'{"oldest_reader":"x"}', b'{"a":1,"a":2}'])
def test_a_damaged_key_object_is_said_to_be_one(blob: bytes) -> None:
    with pytest.raises(DamageError) as caught:
        keys.unwrap(blob, [BACKUP[0]], SIGNERS)
    assert caught.value.code == "key-unreadable"


def test_a_key_that_was_changed_anywhere_is_not_believed() -> None:
    """Recipients are public: who can write to a repository can seal a key of his own to them."""
    blob = wrapped(keys.new_data_key("r-F1"))
    for place in range(0, len(blob), 7):
        changed = bytearray(blob)
        changed[place] ^= 0x10
        with pytest.raises(DamageError):
            keys.unwrap(bytes(changed), [BACKUP[0]], SIGNERS)
    stranger = keys.wrap(keys.new_data_key("r-F1"), SEALING, "seoul", keys.new_signing_key()[0])
    with pytest.raises(DamageError) as caught:
        keys.unwrap(stranger, [BACKUP[0]], SIGNERS)
    assert caught.value.code == "bad-signature"
    with pytest.raises(DamageError) as caught:
        keys.unwrap(keys.wrap(keys.new_data_key("r-F1"), SEALING, "tokyo", SIGNING), [BACKUP[0]], SIGNERS)
    assert caught.value.code == "unknown-signer"


def test_each_object_has_its_own_key() -> None:
    secret = bytes(32)
    assert keys.object_key(secret, "a") != keys.object_key(secret, "b") != keys.object_key(b"\1" * 32, "b")


def test_a_signed_record_is_verified_and_has_one_digest() -> None:
    data, name = sign(record(), "seoul", SIGNING)
    assert verify(data, {"seoul": PUBLIC}) == (record(), name)
    assert name == digest(record())


def resign(change: dict[str, Any], outer: dict[str, Any] | None = None, key: bytes = SIGNING) -> bytes:
    body = {**json.loads(sign(record(), "seoul", SIGNING)[0])["record"], **change}
    made = {"record": body, "signer": "seoul", "signature": sign_bytes(canonical(body), key), **(outer or {})}
    return canonical(made)


def test_whose_word_is_refused() -> None:
    stranger, _ = keys.new_signing_key()
    data, _ = sign(record(), "seoul", SIGNING)
    forged = json.loads(data)
    forged["record"]["reason"] = "something else"
    cases = {
        "bad-signature": [
            canonical(forged),
            sign(record(), "seoul", stranger)[0],
            resign({"site": "busan"}),
            resign({}, {"signature": "???"}),
            resign({}, {"signature": base64.b64encode(bytes(64)).decode()}),
        ],
        "unknown-signer": [sign(record(), "busan", SIGNING)[0]],
        "record-unreadable": [
            b"", b"null", b"[1]", b"\xff\xfe", b"[" * 100_000, data[:-1], data + b" x",
            resign({}, {"more": 1}), resign({"unheard": 1}), resign({"kind": "other"}), resign({"written": "never"}),
        ],
        "format-too-new": [resign({"format": 2, "oldest_reader": 2})],
    }  # fmt: skip
    for code, tries in cases.items():
        for number, tried in enumerate(tries):
            with pytest.raises(AegisError) as caught:
                verify(tried, {"seoul": PUBLIC})
            assert caught.value.code == code, (code, number, str(caught.value))


def test_a_newer_record_that_only_adds_fields_is_read() -> None:
    found, _ = verify(resign({"format": 2, "added": {"later": True}}), {"seoul": PUBLIC})
    assert found == record().model_copy(update={"format": 2})
