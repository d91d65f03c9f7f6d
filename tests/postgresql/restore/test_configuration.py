"""Configuration that lay outside the data directory comes back where it is missing, and replaces nothing."""

from __future__ import annotations

import io
import shutil
import tarfile

from rig import binaries, run, user, world
from test_restore import ROWS, recover, staging

from aegis_plan.stores.postgresql import stage


def test_outside_configuration_is_written_where_it_is_missing_and_taken_back() -> None:
    with world() as w:
        etc = w.cluster.base / ("etc-" + "x" * 120)
        etc.mkdir()
        w.cluster.stop()
        for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
            shutil.move(w.cluster.data / name, etc / name)
        with (etc / "postgresql.conf").open("a") as conf:
            conf.write(f"data_directory='{w.cluster.data}'\nhba_file='{etc}/pg_hba.conf'\n")
            conf.write(f"ident_file='{etc}/pg_ident.conf'\n")
        if name := user():
            for path in [etc, *etc.iterdir()]:
                shutil.chown(path, name)
        options = f"-c config_file={etc}/postgresql.conf"
        starting = [binaries() / "pg_ctl", "start", "-w", "-D", w.cluster.data, "-o", options]
        run(*starting, "-l", w.cluster.base / "server.log")
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        body = io.BytesIO()
        with tarfile.open(fileobj=body, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(etc.iterdir()):
                archive.add(path, arcname=str(path).lstrip("/"))
        w.config = body.getvalue()
        w.backup()
        w.log()
        rows = w.cluster.sql(ROWS)
        w.cluster.kill()
        (etc / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n# mine\n")
        (etc / "postgresql.conf").unlink()
        declared = w.declared().model_dump(mode="json")
        declared["stores"]["db"]["members"]["a"]["server"]["options"] = options
        found = type(w.declared()).model_validate(declared)
        w.declared = lambda: found  # type: ignore[method-assign]
        params = staging(w)
        w.act(stage.ACTION, "stage", params)
        assert (etc / "postgresql.conf").exists()
        stage.ACTION.undo(w.site("stage", params.model_dump(mode="json")))
        assert not (etc / "postgresql.conf").exists()
        assert "# mine" in (etc / "pg_hba.conf").read_text()
        w.run, w.outputs, w.marks = "20261123T000001Z-abcdef", {}, {}
        recover(w, params)
        assert w.cluster.sql(ROWS) == rows
        assert "# mine" in (etc / "pg_hba.conf").read_text()
