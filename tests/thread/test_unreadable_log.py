"""Log that was damaged on the server before it was archived: a restore says how far it can be read, and never takes the
damage for the end."""

from __future__ import annotations

import re
from datetime import UTC, timedelta

from tests.thread.beside import rows_beside
from tests.thread.world import world


def test_damage_in_the_last_segment_is_not_taken_for_the_end() -> None:
    with world() as made:
        made.ok("apply", "-y")
        made.insert(200, "before the damage")
        rows = made.rows()
        name, offset = made.sql(
            "SELECT file_name, file_offset FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())"
        )[0]
        made.insert(200, "behind the damage")
        moment = made.sql("SELECT clock_timestamp()")[0][0].astimezone(UTC)
        made.server.stop()
        with (made.server.data / "pg_wal" / name).open("r+b") as segment:
            segment.seek(offset + 2000)
            found = segment.read(1)
            segment.seek(offset + 2000)
            segment.write(bytes([found[0] ^ 0x55]))
        made.server.start()
        made.ok("backup", "policy-db", "--log", "-y")
        last = made.sql("SELECT count(*) FROM policies")[0][0]
        assert last == 500
        for number, target in enumerate(((), ("--to", (moment + timedelta(milliseconds=1)).isoformat()))):
            place = made.folder.parent / f"restored {number}"
            refused = made.aegis("restore", "policy-db", "--beside", str(place), "-y", *target)
            assert refused.code == 1, refused.text
            assert "log-unreadable" in refused.text, refused.text
            assert not place.exists()
        way = re.search(r"--to ([0-9A-F/]+) takes", refused.text)
        assert way is not None, refused.text
        back = rows_beside(made, "--to", way.group(1))
        assert back[: len(rows)] == rows
        assert len(back) < last
