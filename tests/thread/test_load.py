"""A backup of a server that people write to all the while brings back every commit that was acknowledged."""

from __future__ import annotations

import threading

from tests.thread.world import World

WRITERS = 4


def test_a_backup_under_load_brings_everything_back(protected: World) -> None:
    made = protected
    made.sql("CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL)")
    made.sql("INSERT INTO accounts SELECT g, 1000 FROM generate_series(1, 200) g")
    made.sql("CREATE TABLE moves (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer int, number int)")
    over = threading.Event()
    acknowledged: list[list[int]] = [[] for _ in range(WRITERS)]
    failed: list[BaseException] = []

    def write(writer: int) -> None:
        number = 0
        try:
            with made.server.connect(autocommit=False) as connection:
                while not over.is_set():
                    number += 1
                    one, other = sorted(((number * 7 + writer) % 200 + 1, (number * 13 + writer * 3) % 200 + 1))
                    connection.execute("UPDATE accounts SET balance = balance - 5 WHERE id = %s", (one,))
                    connection.execute("UPDATE accounts SET balance = balance + 5 WHERE id = %s", (other,))
                    connection.execute("INSERT INTO moves (writer, number) VALUES (%s, %s)", (writer, number))
                    connection.commit()
                    acknowledged[writer].append(number)
        except BaseException as error:  # noqa: BLE001 - told by the test itself
            failed.append(error)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        made.ok("backup", "policy-db", "-y")
        middle = sum(map(len, acknowledged))
        made.ok("backup", "policy-db", "--incremental", "-y")
        made.ok("backup", "policy-db", "--log", "-y")
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert not failed, failed
    assert sum(map(len, acknowledged)) > middle > 100
    made.ok("backup", "policy-db", "--log", "-y")
    accounts = made.sql("SELECT * FROM accounts ORDER BY id")
    moves = made.sql("SELECT * FROM moves ORDER BY id")
    made.destroy()
    made.ok("apply", "-y", "--scenario", "database-failure", "--to", "latest")
    assert made.sql("SELECT * FROM accounts ORDER BY id") == accounts
    assert made.sql("SELECT * FROM moves ORDER BY id") == moves
    assert made.sql("SELECT sum(balance) FROM accounts") == [(200_000,)]
    for writer in range(WRITERS):
        numbers = [number for _, who, number in moves if who == writer]
        assert numbers == acknowledged[writer]
    print(f"{len(moves)} commits of {WRITERS} writers came back")
