"""What every repository beyond this machine has to outlive: refusals, silence, cuts, changed bytes, lost replies.
Nothing is lost, and nothing counts as stored that is not whole. A new kind takes one class in
`repositories/test_faults.py`.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from aegis_plan.errors import AegisError, DamageError, LockedError, UnavailableError
from aegis_plan.repositories import copies, parted
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.repositories.retry import Retrying
from aegis_plan.repositories.setwriter import SetWriter
from aegis_plan.sealing.keys import new_data_key
from tests.servers.toxiproxy import Toxiproxy
from tests.servers.unruly import Fault, Refusal, Unruly, before

DATA = os.urandom(12 << 20)
DIGEST = hashlib.sha256(DATA).hexdigest()
KINDS: tuple[Fault, ...] = (409, 412, 429, 500, 503, "lose", "cut", "break", "spoil", "stall")
SEEDS = 2


class Server(Protocol):
    """What the suite needs of `tests/servers`."""

    port: int

    def at(self, port: int) -> Any: ...

    def repository(self, prefix: str = "", **more: Any) -> Any: ...


class Pair:
    """A repository seen through a proxy, and the same one seen directly."""

    def __init__(self, server: Server, port: int, read_seconds: float) -> None:
        self.inner = server.at(port).repository(connect_seconds=2.0, read_seconds=read_seconds)
        self.near = Retrying(self.inner, wait=0.01)
        self.far: Repository = server.repository(prefix=self.inner.full_key("").rstrip("/"))

    def close(self) -> None:
        self.near.close()
        self.far.close()


def send(repository: Repository, key: str, data: bytes = DATA) -> None:
    upload = repository.open(key)
    try:
        upload.write(data)
        upload.commit(hashlib.sha256(data).hexdigest())
    finally:
        upload.abort()


def got(repository: Repository, key: str, length: int) -> bytes | str:
    """The bytes, or the code of the refusal."""
    try:
        return b"".join(repository.get(key, 0, length))
    except AegisError as error:
        return error.code


def whole_or_absent(repository: Repository, key: str, data: bytes) -> bool:
    """Whether it is there; fails where it is there with other bytes."""
    if repository.head(key) is None:
        assert key not in [found.key for found in repository.listing(key)]
        return False
    assert read(repository, key) == data
    return True


class FaultSuite:
    """Subclasses give `server`."""

    @pytest.fixture
    def server(self) -> Server:
        raise NotImplementedError

    @pytest.fixture
    def unruly(self, server: Server) -> Iterator[Unruly]:
        with before(server.port) as made:
            yield made

    @pytest.fixture
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waits between tries are short: nothing here has to come back first."""
        monkeypatch.setattr(parted, "FIRST_WAIT", 0.01)

    @pytest.fixture
    def pair(self, server: Server, unruly: Unruly) -> Iterator[Pair]:
        made = Pair(server, unruly.port, 0.7)
        yield made
        made.close()

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("fault", [429, 500, 503, "cut", "stall", Refusal(409, "OperationAborted")])
    def test_a_fault_that_passes_is_outlived(self, pair: Pair, unruly: Unruly, fault: Fault) -> None:
        unruly.faults = [fault]
        send(pair.near, "large")
        unruly.faults = [fault]
        pair.near.put("small", b"small")
        unruly.faults = [fault]
        assert read(pair.near, "large") == DATA
        unruly.faults = [fault]
        assert [found.key for found in pair.near.listing("")] == ["large", "small"]
        unruly.faults = [fault]
        assert pair.near.head("small") is not None
        assert read(pair.far, "large") == DATA
        assert pair.far.sweep("", -5) == []

    def test_a_refusal_that_lasts_is_named(self, pair: Pair, unruly: Unruly) -> None:
        unruly.faults = [503] * 100
        with pytest.raises(UnavailableError) as caught:
            pair.near.put("small", b"small")
        assert caught.value.code == "repository-unavailable"
        assert unruly.seen == 4
        assert pair.far.head("small") is None

    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize("lost", range(6))
    def test_a_lost_reply_does_no_harm(self, pair: Pair, unruly: Unruly, lost: int) -> None:
        unruly.faults = [*[""] * lost, "lose"]
        send(pair.near, "large")
        assert read(pair.far, "large") == DATA
        unruly.faults = ["lose"]
        pair.near.put("small", b"small")
        assert read(pair.far, "small") == b"small"
        # The number of an upload that was begun may itself be lost; it is found by its age.
        assert len(pair.far.sweep("", -5)) <= 1
        assert pair.far.sweep("", -5) == []

    @pytest.mark.usefixtures("quick")
    def test_what_changed_on_the_way_is_refused_and_sent_again(self, pair: Pair, unruly: Unruly) -> None:
        unruly.chosen = lambda request: request.method == "PUT" and len(request.body) > 1000
        unruly.faults = ["spoil", "spoil"]
        send(pair.near, "large")
        assert unruly.faults == []
        assert read(pair.far, "large") == DATA
        unruly.chosen = lambda request: request.method == "PUT"
        unruly.faults = ["spoil"]
        with pytest.raises(DamageError):
            pair.near.put("small", b"small")
        assert pair.far.head("small") is None

    def test_an_answer_that_breaks_off_is_gone_on_with(self, pair: Pair, unruly: Unruly) -> None:
        pair.far.put("small", b"some small bytes")
        send(pair.far, "large")
        unruly.faults = ["break"]
        assert read(pair.near, "large") == DATA
        unruly.faults = ["short"]
        assert got(pair.near, "small", 16) in (b"some small bytes", "short-read")

    def test_a_conflict_that_is_none_is_asked_again(self, pair: Pair, unruly: Unruly) -> None:
        """A service that says of a free name that it is taken, as one does while another upload is completed."""
        unruly.chosen = lambda request: request.method in ("PUT", "POST")
        unruly.faults = [Refusal(412, "ConditionNotMet")]
        pair.near.put("small", b"small")
        assert read(pair.far, "small") == b"small"
        unruly.faults = [Refusal(412, "ConditionNotMet")]
        with pytest.raises(LockedError):
            pair.near.compare_and_set("lease", None, b"1")
        assert pair.far.read_tagged("lease") is None

    def test_whose_bytes_are_under_a_taken_key(self, pair: Pair) -> None:
        pair.far.put("taken", b"theirs")
        with pytest.raises(DamageError) as caught:
            pair.near.put("taken", b"ours!!")
        assert caught.value.code == "object-conflict"
        assert read(pair.far, "taken") == b"theirs"

    def test_stalls_and_cuts_on_the_way_back(self, server: Server, toxiproxy: Toxiproxy) -> None:
        proxy = toxiproxy.to(server.port)
        pair = Pair(server, proxy.port, 0.5)
        send(pair.far, "large")
        with proxy.toxic("limit_data", bytes=5 << 20):
            # Each connection ends after 5 MiB: the reader goes on where it was.
            assert read(pair.near, "large") == DATA
        with proxy.toxic("timeout", timeout=0), pytest.raises(UnavailableError):
            list(pair.near.get("large", 0, 10))
        with proxy.toxic("reset_peer", timeout=0), pytest.raises(UnavailableError):
            pair.near.put("never", b"x")
        assert read(pair.near, "large") == DATA
        pair.close()

    def test_an_upload_outlives_a_cut(self, server: Server, toxiproxy: Toxiproxy) -> None:
        proxy = toxiproxy.to(server.port)
        pair = Pair(server, proxy.port, 2.0)
        healed = threading.Timer(1.5, proxy.clear)
        with proxy.toxic("limit_data", stream="upstream", bytes=1 << 20):
            healed.start()
            send(pair.near, "large")
        healed.join()
        assert read(pair.far, "large") == DATA
        assert pair.far.sweep("", -5) == []
        pair.close()

    def test_one_slow_as_a_snail(self, server: Server, toxiproxy: Toxiproxy, tmp_path: Path) -> None:
        """The others finish in their own time, and the slow one is healed from one of them."""
        proxy = toxiproxy.to(server.port)
        snail = Pair(server, proxy.port, 60.0)
        swift = server.repository()
        safe = LocalRepository("safe", tmp_path / "safe")
        with (
            proxy.toxic("bandwidth", stream="upstream", rate=50),
            SetWriter(
                {"safe": safe, "swift": swift, "snail": snail.near}, system="s", store="x", lineage="l",
                root="sets/set", key=new_data_key("set"), level=1, stop=lambda: None, progress=lambda _done: None,
                volume_size=8 << 20, lag_parts=4, patience=1.0, suffice=lambda names: bool({"swift"} & names),
            ) as writer,
        ):  # fmt: skip
            writer.add("base", [os.urandom(24 << 20)])
            written = writer.finish()
        assert sorted(written.copies) == ["safe", "swift"]
        assert "lagged" in written.dropped["snail"]
        for stored in written.objects:
            assert whole_or_absent(swift, stored.key, read(safe, stored.key))
            if not whole_or_absent(snail.far, stored.key, read(safe, stored.key)):
                copies.transfer(stored, swift, snail.near)
            assert whole_or_absent(snail.far, stored.key, read(safe, stored.key))
        swift.close()
        snail.close()

    @pytest.mark.sweep
    @pytest.mark.usefixtures("quick")
    def test_any_faults(self, server: Server, unruly: Unruly, sweep: bool, tmp_path: Path) -> None:
        good = bad = 0
        for seed in range(200 if sweep else SEEDS):
            pair = Pair(server, unruly.port, 0.5)
            chance = random.Random(seed)
            unruly.faults = [chance.choice(KINDS) if chance.random() < 0.3 else "" for _ in range(60)]
            for number in range(3):
                data = chance.randbytes(chance.choice([10, 100_000, 11 << 20]))
                try:
                    send(pair.near, f"o/{number}", data)
                    good += 1
                except AegisError:
                    bad += 1
                    whole_or_absent(pair.far, f"o/{number}", data)
                else:
                    assert whole_or_absent(pair.far, f"o/{number}", data), f"seed {seed}: it was lost"
            self._a_set(pair, unruly, chance, tmp_path / str(seed))
            unruly.calm()
            pair.far.sweep("", -5)
            assert pair.far.sweep("", -5) == []
            pair.close()
        assert good > bad, (good, bad)

    def _a_set(self, pair: Pair, unruly: Unruly, chance: random.Random, folder: Path) -> None:
        """A set in two repositories, one behind the faults: what counts as a copy is whole; the rest is healed."""
        unruly.faults = [chance.choice(KINDS) if chance.random() < 0.5 else "" for _ in range(40)]
        safe = LocalRepository("safe", folder)
        key = new_data_key("set")
        with SetWriter(
            {"safe": safe, "far": pair.near}, system="s", store="x", lineage="l", root="sets/set", key=key, level=1,
            stop=lambda: None, progress=lambda _done: None, volume_size=2 << 20,
        ) as writer:  # fmt: skip
            writer.add("base", [chance.randbytes(5 << 20)])
            written = writer.finish()
        assert "safe" in written.copies
        unruly.calm()
        for stored in written.objects:
            there = whole_or_absent(pair.far, stored.key, read(safe, stored.key))
            assert there or "far" not in written.copies
            if not there:
                copies.transfer(stored, safe, pair.near)
            assert read(pair.far, stored.key) == read(safe, stored.key)
