"""Random databases: schemas and rows of many types, and people who write to them all the while."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.servers.postgresql import PASSWORD, Server

TYPES = {
    "int": "(g * 7919) % 100003",
    "bigint": "g::bigint * 4294967311",
    "numeric": "g / 7.0",
    "text": "repeat(chr(97 + g % 26), (g * 37) % 3000)",
    "varchar(40)": "'ü' || g",
    "bytea": "decode(repeat(md5(g::text), 1 + g % 90), 'hex')",
    "jsonb": "jsonb_build_object('g', g, 'list', jsonb_build_array(g, NULL, md5(g::text)))",
    "timestamptz": "timestamptz 'epoch' + g * interval '1 hour 7 minutes'",
    "date": "CASE WHEN g % 50 = 0 THEN date 'infinity' ELSE date '0044-03-15 BC' + g END",
    "uuid": "md5(g::text)::uuid",
    "int[]": "ARRAY[g, NULL, -g]",
    "int4range": "int4range(g, g + 9)",
    "point": "point(g, -g)",
    "inet": "inet '10.0.0.0' + g",
    "interval": "g * interval '1 day 2 seconds'",
    "boolean": "g % 3 = 0",
    "float8": "CASE g % 9 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN '-Infinity' ELSE sqrt(g) END",
    "bit varying": "(g::bit(16))::bit varying",
    "tsvector": "to_tsvector('simple', md5(g::text) || ' word')",
    "money": "g::money",
    '"odd schema".mood': "(ARRAY['sad', 'so so', 'glad'])[1 + g % 3]::\"odd schema\".mood",
    '"odd schema".pair': "ROW(g, 'x' || g)::\"odd schema\".pair",
    '"odd schema".positive': "g + 1",
}
INDEXED = {"btree": ["int", "bigint", "text", "uuid", "timestamptz"], "hash": ["text", "uuid", "inet"],
           "gin": ["jsonb", "int[]", "tsvector"], "gist": ["int4range", "point"],
           "brin": ["int", "timestamptz"]}  # fmt: skip
SECOND = "second db"


@dataclass
class Databases:
    """What one case has on a server; all of it goes at the end."""

    server: Server
    dice: random.Random
    spaces: list[str]
    tables: list[tuple[str, str]] = field(default_factory=list)
    """Database and name as SQL has it."""
    number: int = 0
    holding: threading.Lock = field(default_factory=threading.Lock)
    """Whoever has it stands alone: nobody writes."""

    def make(self) -> None:
        """Everything from nothing."""
        dice, sql = self.dice, self.server.sql
        strategy = f"STRATEGY {dice.choice(['wal_log', 'file_copy'])}"
        sql(f'CREATE DATABASE "{SECOND}" {strategy}')
        for database in ("postgres", SECOND):
            for statement in (
                'CREATE SCHEMA "odd schema"',
                "CREATE TYPE \"odd schema\".mood AS ENUM ('sad', 'so so', 'glad')",
                'CREATE TYPE "odd schema".pair AS (a int, b text)',
                'CREATE DOMAIN "odd schema".positive AS int CHECK (VALUE > 0)',
            ):
                sql(statement, database=database)
            for _ in range(dice.randrange(1, 6)):
                self.table(database)
        with self.server.connect() as connection:
            for _ in range(dice.choice([0, 5, 60])):
                self.number += 1
                connection.execute(f"CREATE TABLE small_{self.number} (a int PRIMARY KEY, b text)".encode())
                connection.execute(f"INSERT INTO small_{self.number} VALUES (1, 'one')".encode())
            for _ in range(dice.randrange(4)):
                connection.execute(b"SELECT lo_from_bytea(0, decode(repeat(md5(random()::text), 3000), 'hex'))")
            connection.execute(
                b"CREATE TABLE parts (k int, v text) PARTITION BY RANGE (k);"
                b"CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (500);"
                b"CREATE TABLE parts_rest PARTITION OF parts DEFAULT;"
                b"INSERT INTO parts SELECT g, 'p' || g FROM generate_series(1, 900) g;"
                b"CREATE MATERIALIZED VIEW seen AS SELECT k % 10 AS digit, count(*) FROM parts GROUP BY 1;"
                b"CREATE VIEW looked AS SELECT * FROM parts WHERE k > 5;"
                b"CREATE SEQUENCE counter; SELECT nextval('counter') FROM generate_series(1, 40);"
                b"COMMENT ON TABLE parts IS 'it''s \\ a comment'"
            )

    def table(self, database: str) -> None:
        """One more table with rows and indexes, perhaps unlogged, perhaps in a tablespace."""
        dice = self.dice
        self.number += 1
        name = dice.choice([f"t{self.number}", f'"odd schema"."täble {self.number}"'])
        kinds = dice.sample(sorted(TYPES), dice.randrange(1, 9))
        columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(kinds))
        values = ", ".join(TYPES[kind] for kind in kinds)
        space = f" TABLESPACE {dice.choice(self.spaces)}" if self.spaces and dice.random() < 0.4 else ""
        unlogged = dice.random() < 0.2
        statements = [
            f"CREATE {'UNLOGGED ' if unlogged else ''}TABLE {name} (id int, {columns}){space}",
            f"INSERT INTO {name} SELECT g, {values} FROM generate_series(1, {dice.choice([0, 1, 50, 800, 4000])}) g",
        ]
        if unlogged or dice.random() < 0.5:
            statements.append(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        for method, able in INDEXED.items():
            for at, kind in enumerate(kinds):
                if kind in able and dice.random() < 0.4 and not (method == "btree" and kind == "text"):
                    statements.append(f"CREATE INDEX ON {name} USING {method} (c{at}){space}")
        for statement in statements:
            self.server.sql(statement, database=database)
        self.tables.append((database, name))

    def change(self) -> None:
        """Something that people do to a database; what does not go at the moment does not matter."""
        dice = self.dice
        database, name = dice.choice(self.tables)
        step, kind = dice.randrange(2, 40), dice.randrange(13)
        if kind == 12:
            self.table(database)
            return
        statements = {
            0: f"INSERT INTO {name} SELECT * FROM {name} LIMIT 300",
            1: f"INSERT INTO {name} (id) SELECT g FROM generate_series(10000, 10000 + {step}) g",
            2: f"UPDATE {name} SET id = -id WHERE id % {step} = 0",
            3: f"DELETE FROM {name} WHERE id % {step} = 1",
            4: f"DELETE FROM {name} WHERE id > 700",
            5: f"VACUUM {name}",
            6: f"TRUNCATE {name}",
            7: f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS more_{step} text DEFAULT 'added'",
            8: f"VACUUM FULL {name}",
            9: f"ALTER TABLE {name} SET {dice.choice(['LOGGED', 'UNLOGGED'])}",
            10: "CHECKPOINT",
            11: f"ALTER TABLE {name} SET TABLESPACE {dice.choice([*self.spaces, 'pg_default'])}",
        }
        with contextlib.suppress(psycopg.Error):
            self.server.sql(statements[kind], database=database)

    @contextmanager
    def written_to(self, count: int = 2) -> Iterator[None]:
        """Writers at work on tables of their own and on everybody's."""
        over = threading.Event()
        failed: list[BaseException] = []

        def write(writer: int) -> None:
            dice = random.Random(self.dice.random() + writer)
            database = ("postgres", SECOND)[writer % 2]
            try:
                with self.server.connect(database) as connection:
                    connection.execute(f"CREATE TABLE IF NOT EXISTS w{writer} (id int PRIMARY KEY, v text)".encode())
                    number = 0
                    while not over.wait(0.003):
                        number += 1
                        with self.holding, connection.transaction():
                            for _ in range(dice.randrange(1, 4)):
                                one = dice.randrange(3000)
                                connection.execute(
                                    f"INSERT INTO w{writer} VALUES (%s, %s) ON CONFLICT (id)"
                                    " DO UPDATE SET v = excluded.v".encode(),
                                    (one, f"{number} " * dice.randrange(200)),
                                )
                            if dice.random() < 0.2:
                                connection.execute(
                                    f"DELETE FROM w{writer} WHERE id % 97 = {dice.randrange(97)}".encode()
                                )
            except BaseException as error:  # noqa: BLE001 - told by whoever started them
                failed.append(error)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not failed, failed

    def remove(self) -> None:
        sql = self.server.sql
        sql(f'DROP DATABASE IF EXISTS "{SECOND}" WITH (FORCE)')
        sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
        schemas = sql("SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
        for (schema,) in schemas:
            sql(f"DROP SCHEMA {schema} CASCADE")
        sql("CREATE SCHEMA public")


_IGNORED = re.compile(r"^(\\(un)?restrict |--|SELECT pg_catalog\.setval|CREATE TABLESPACE |CREATE ROLE|ALTER ROLE)")


def everything(server: Server) -> list[str]:
    """All that a server holds, as its own tool writes it. Left out: rows of unlogged tables, which no recovery has;
    where tablespaces lie; sequences, which may leap ahead."""
    done = subprocess.run(
        [str(server.binaries / "pg_dumpall"), "-d", server.dsn(), "--no-unlogged-table-data"],
        env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return [line for line in done.stdout.decode().splitlines() if line and not _IGNORED.match(line)]


def sound(server: Server) -> str:
    """What the server's own checker finds wrong with heaps and indexes, or nothing."""
    if not server.sql("SELECT FROM pg_available_extensions WHERE name = 'amcheck'"):
        return ""  # some builds lack it
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "aegis"]
    done = subprocess.run(
        [str(server.binaries / "pg_amcheck"), "--all", "--install-missing", "--heapallindexed", *where],
        env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"}, capture_output=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else (done.stdout + done.stderr).decode(errors="replace")


def sequences(server: Server) -> dict[str, int]:
    rows: list[tuple[Any, ...]] = server.sql("SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences")
    return {name: value or 0 for name, value in rows}
