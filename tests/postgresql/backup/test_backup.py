"""Backups of a real server: what is stored starts again, builds on its parent, and is the server's own log."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.actions.backup import ACTION as BACKUP
from aegis_plan.actions.contract import StopAsked
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.datakeys import load_key
from aegis_plan.repositories.reader import read_object
from aegis_plan.stores.postgresql.log import ACTION as LOG
from aegis_plan.stores.postgresql.look import look
from aegis_plan.stores.postgresql.model import StreamParams
from aegis_plan.stores.postgresql.positions import parse
from aegis_plan.stores.postgresql.slot import ACTION as SLOT
from aegis_plan.stores.postgresql.stream import stream
from tests.postgresql.restore.rig import World, binaries, run, user


def shelf(here: World) -> Any:
    return records.shelf("aegis", "db", {"here": here.public}, here.repositories, cache=None)


def newest(here: World, kind: type) -> Any:
    return max((record for record in shelf(here).records if isinstance(record, kind)), key=lambda record: record.id)


def step(here: World, action: Any, name: str, **params: Any) -> tuple[dict[str, Any], Any]:
    site = here.site(name, {"store": "db", "member": "a", **params})
    site.kept = []
    return action.act(site).outputs, site


def backup(here: World, parent: SetRecord | None = None, **more: Any) -> tuple[SetRecord, Any]:
    here.run = f"20261123T000000Z-{here.count:06x}"
    params = {"lineage": here.lineage, "method": "incremental" if parent else "full", **more}
    outputs, site = step(here, BACKUP, "backup", parent=parent.id if parent else None, **params)
    return next(record for record in shelf(here).records if record.id == outputs["record"]), site


def plain(here: World, record: Any, name: str, *, meta: bool = False) -> bytes:
    prefix = keys.data_key_prefix("aegis", "db", here.lineage, record.key)
    key = load_key(here.repositories, prefix, (here.secret,), here.declared().sealing.believed)
    parts = [stored for stored in record.objects if stored.name.split(".")[0] == name]

    def damage(repository: str, what: str) -> None:
        raise AssertionError(f"{repository}: {what}")

    secret = key.meta if meta else key.data
    assert secret is not None
    return b"".join(read_object(here.repositories, stored, secret, damage=damage) for stored in parts)


def unpack(here: World, record: SetRecord, name: str) -> Path:
    folder = here.base / "pg" / name
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=plain(here, record, "base"), check=True)
    (folder / "backup_manifest").write_bytes(plain(here, record, "manifest", meta=True))
    subprocess.run(["chown", "-R", user() or str(folder.stat().st_uid), str(folder)], check=True)
    folder.chmod(0o700)
    return folder


def test_full_and_incremental_are_accepted_by_the_servers_own_tools_and_start(here: World) -> None:
    here.cluster.sql("create table t as select g as id, 0 as v from generate_series(1, 20000) g")
    full, _ = backup(here)
    here.cluster.sql("update t set v = 1 where id <= 300")
    later, _ = backup(here, full)
    assert (full.method, later.method, later.parent) == ("full", "incremental", full.set)
    assert sum(o.plain_size for o in later.objects) < sum(o.plain_size for o in full.objects) * 2 / 3
    first, second = unpack(here, full, "f"), unpack(here, later, "i")
    run(binaries() / "pg_verifybackup", first)
    run(binaries() / "pg_verifybackup", second)
    here.cluster.stop()
    whole = here.cluster.base / "whole"
    run(binaries() / "pg_combinebackup", first, second, "-o", whole)
    here.cluster.data.rename(here.cluster.base / "old")
    whole.rename(here.cluster.data)
    here.cluster.start()
    assert here.cluster.sql("select count(*), sum(v) from t") == [(20000, 300)]


def test_the_index_says_where_each_file_lies(here: World) -> None:
    full, _ = backup(here)
    archive = plain(here, full, "base")
    found = {name: (at, size) for name, at, size in json.loads(plain(here, full, "index"))["members"]["base"]}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        wanted = {member.name: (member.offset_data, member.size) for member in tar if member.isfile()}
    assert found == wanted
    assert "PG_VERSION" in found


def test_a_run_that_has_its_set_takes_no_second_one(here: World) -> None:
    full, _ = backup(here)
    site = here.site("backup", {"store": "db", "member": "a", "lineage": here.lineage, "method": "full"})
    assert BACKUP.probe(site).answer == "satisfied"
    assert BACKUP.act(site).outputs["record"] == full.id


def test_what_a_killed_attempt_left_is_removed_by_the_next(here: World) -> None:
    site = here.site("backup", {"store": "db", "member": "a", "lineage": here.lineage, "method": "full"})
    begun = time.monotonic()

    def stop() -> None:
        if any(phase == "copy" and done > 1 << 20 for phase, done, _ in site.said):
            raise StopAsked

    site.check = stop  # type: ignore[method-assign]
    with pytest.raises(StopAsked):
        BACKUP.act(site)
    assert time.monotonic() - begun < 10
    assert not shelf(here).records
    left = site.kept[0].data["set"]
    again = here.site("backup", dict(site.attempt.params))
    again.kept = site.kept
    BACKUP.act(again)
    listed = [found.key for name in here.repositories for found in here.repositories[name].listing("v1/")]
    assert listed
    assert not [key for key in listed if left in key]


def test_log_is_the_servers_own_bytes_and_an_idle_server_adds_nothing(here: World) -> None:
    step(here, SLOT, "create-slot", slot="aegis_db")
    here.cluster.sql("create table t as select generate_series(1, 50000)")
    outputs, _ = step(here, LOG, "archive-log", lineage=here.lineage, slot="aegis_db")
    record = newest(here, LogRecord)
    low, high = parse(record.begin), parse(record.end)
    assert plain(here, record, record.objects[0].name.split(".")[0]) == here.read(1, low.lsn, high.lsn)
    here.cluster.sql("insert into t select generate_series(1, 1000)")
    more, _ = step(here, LOG, "archive-log", lineage=here.lineage, slot="aegis_db", begin=outputs["end"])
    assert more["begin"] == outputs["end"]
    idle, _ = step(here, LOG, "archive-log", lineage=here.lineage, slot="aegis_db", begin=more["end"])
    assert not idle["idle"] or idle["bytes"] == 0


def test_a_new_timeline_is_followed_and_an_incremental_across_it_becomes_a_full(here: World) -> None:
    step(here, SLOT, "create-slot", slot="aegis_db")
    full, _ = backup(here)
    outputs, _ = step(here, LOG, "archive-log", lineage=here.lineage, slot="aegis_db")
    here.cluster.sql("create table t as select generate_series(1, 1000)")
    here.cluster.stop()
    (here.cluster.data / "standby.signal").touch()
    here.cluster.start()
    run(binaries() / "pg_ctl", "promote", "-w", "-D", here.cluster.data)
    here.cluster.sql("checkpoint")
    here.cluster.sql("create table u as select generate_series(1, 1000)")
    more, _ = step(here, LOG, "archive-log", lineage=here.lineage, slot="aegis_db", begin=outputs["end"])
    assert parse(more["end"]).timeline == 2
    ranges = [record for record in shelf(here).records if isinstance(record, LogRecord)]
    history = [record for record in ranges if record.details.get("history")]
    assert len(history) == 1
    assert parse(history[0].end).timeline == 2
    for record in ranges:
        low, high = parse(record.begin), parse(record.end)
        if not record.details.get("history") and low.timeline == 2:
            assert plain(here, record, record.objects[0].name) == here.read(2, low.lsn, high.lsn)
    instead, site = backup(here, full, timeline=2)
    assert instead.method == "full"
    assert "timeline" in instead.details["why_full"]
    assert [note.code for note in site.findings] == ["full-instead"]


def test_log_that_the_server_no_longer_has_is_named(here: World) -> None:
    here.cluster.sql("select pg_switch_wal()")
    step(here, SLOT, "create-slot", slot="aegis_db")
    with pytest.raises(AegisError) as caught:
        step(here, LOG, "archive-log", lineage=here.lineage, slot="aegis_db", begin="1/0/28")
    assert caught.value.code == "log-hole"
    assert "1/0/28" in caught.value.detail


def test_no_slot_without_a_limit(here: World) -> None:
    here.cluster.sql("alter system set max_slot_wal_keep_size = -1")
    here.cluster.sql("select pg_reload_conf()")
    with pytest.raises(AegisError) as caught:
        step(here, SLOT, "create-slot", slot="aegis_db")
    assert caught.value.code == "slot-without-limit"
    assert "ALTER SYSTEM" in caught.value.hint
    assert step(here, SLOT, "create-slot", slot="aegis_db", accept_unlimited=True)[0]["restart_lsn"]


def test_a_stream_archives_within_its_interval_and_ends_when_asked(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_STREAM_SECONDS", "0.2")
    step(here, SLOT, "create-slot", slot="aegis_db")
    site = here.site("stream", {})
    over = threading.Event()

    def check() -> None:
        if over.is_set():
            raise StopAsked

    site.check = check  # type: ignore[method-assign]
    ended: list[BaseException] = []

    def work() -> None:
        try:
            stream(site, StreamParams(store="db", member="a", slot="aegis_db", lineage=here.lineage))
        except BaseException as error:  # noqa: BLE001 # shown by the test that waits
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    here.cluster.sql("create table t as select generate_series(1, 1000)")
    goal, moment = here.cluster.flushed(), here.cluster.now()
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        logs = [record for record in shelf(here).records if isinstance(record, LogRecord)]
        if logs and parse(logs[-1].end).lsn >= goal and logs[-1].covers_until >= moment:
            break
        here.cluster.sql("select pg_logical_emit_message(false, 'x', 'x')")
        time.sleep(0.1)
    else:
        over.set()
        thread.join()
        pytest.fail(f"not archived in time: {ended}")
    over.set()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(ended[0], StopAsked)


def test_look_tells_primary_stopped_and_no_secret(here: World) -> None:
    found = look(here.site("look", {}), "db", "a")
    assert (found.state, found.lineage) == ("primary", here.lineage)
    assert found.details["can_replicate"]
    assert found.details["timeline"] == 1
    here.cluster.stop()
    found = look(here.site("look", {}), "db", "a")
    assert (found.state, found.details["data_directory"]) == ("stopped", "readable")
    assert found.lineage == here.lineage
    assert found.details["log_readable_to"]


def test_a_slow_server_leaves_other_threads_alive_and_a_stop_is_obeyed_within_a_second(here: World) -> None:
    import aegis_plan.stores.postgresql.connection as connection

    slow = connection.connection_string
    port = throttled(here.cluster.port, 2 << 20)
    ticks = 0
    over = threading.Event()
    asked = 0.0

    def tick() -> None:
        nonlocal ticks
        while not over.is_set():
            ticks += 1
            time.sleep(0.005)

    site = here.site("backup", {"store": "db", "member": "a", "lineage": here.lineage, "method": "full"})
    site.kept = []
    site.secrets.text = lambda value: value.replace(f"port={here.cluster.port}", f"port={port}")
    assert f"port={port}" in slow(site, "db", "a")

    def check() -> None:
        nonlocal asked
        done = max((done for phase, done, _ in site.said if phase == "copy"), default=0)
        if done > 3 << 20:
            asked = asked or time.monotonic()
            raise StopAsked

    site.check = check  # type: ignore[method-assign]
    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    with pytest.raises(StopAsked):
        BACKUP.act(site)
    ended = time.monotonic()
    over.set()
    thread.join()
    # A blocked interpreter was measured at 8 ticks a second, a free one at some 180 of these.
    assert ticks > (ended - begun) * 40
    assert ended - asked < 1.0


def throttled(port: int, rate: int) -> int:
    """A proxy to a local port that lets `rate` bytes a second back; gives its own port. Lives as long as the tests."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket, limit: int | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                target.sendall(data)
                if limit:
                    time.sleep(len(data) / limit)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for ends in ((client, server, None), (server, client, rate)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])
