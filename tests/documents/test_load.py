"""What is loaded from a folder: files, places, digests, paths, warnings, the excerpt that travels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from document_case import BASE, expected

from aegis_plan.clock import SystemClock
from aegis_plan.documents.digest import canonical, digest
from aegis_plan.documents.excerpt import excerpt
from aegis_plan.documents.load import load
from aegis_plan.documents.model import Documents, LocalRepository
from aegis_plan.errors import AegisError, DocumentsError

PLAN = Path(__file__).parent.parent.parent / "plans" / "aegis"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def test_the_source_plan_loads_whole() -> None:
    loaded = load(PLAN)
    said = loaded.documents
    assert len(said.services) == 9
    assert set(said.scenarios) == {"datacenter-outage", "database-failure", "ransomware"}
    assert {store.engine for store in said.stores.values()} == {"postgresql", "neo4j", "milvus"}
    assert {repository.kind for repository in said.repositories.values()} == {"local", "s3", "azure"}
    assert (len(said.team), len(said.drills), len(said.monitors)) == (6, 3, 4)
    assert "section-experimental" in {finding.code for finding in loaded.warnings(SystemClock().now())}
    assert str(loaded.place("stores/policy-db/backup/log/retain")).endswith("stores.yaml:28:47")
    assert loaded.place("stores/none") is None


def test_the_source_plan_says_when_each_backup_is_taken_and_how_long_it_is_kept() -> None:
    told = {
        (name, kind): (given.schedule, given.retain.days)
        for name, store in load(PLAN).documents.stores.items()
        for kind in ("full", "incremental", "log")
        if store.backup and (given := getattr(store.backup, kind)) and given.retain
    }
    assert told == {
        ("policy-db", "full"): ("0 2 * * 0", 28),
        ("policy-db", "incremental"): ("0 2 * * 1-6", 7),
        ("policy-db", "log"): ("*/15 * * * *", 3),
        ("policy-graph", "full"): ("0 3 * * *", 7),
        ("policy-vectors", "full"): ("0 4 * * *", 7),
    }


def test_the_digest_is_that_of_the_model_and_not_of_the_text(folder: Path) -> None:
    before = load(folder)
    (folder / "base.yaml").write_text("# a remark\n" + BASE.replace("4 weeks", "28d"))
    (folder / "more.yml").write_text("aegis: v1\nservices: {auth: {tier: 1, uses: [main-db]}}\n")
    (folder / ".hidden.yaml").write_text("nothing")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.yaml").write_text("nothing")
    after = load(folder)
    assert before.digest != after.digest
    (folder / "more.yml").unlink()
    assert load(folder).digest == before.digest == digest(before.documents)


def test_documents_survive_the_way_through_json() -> None:
    documents = load(PLAN).documents
    assert Documents.model_validate_json(canonical(documents)) == documents
    assert documents.system.objectives.availability == 99.9


def test_relative_paths_count_from_the_documents(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    (folder / "base.yaml").write_text(
        BASE.replace("path: /var/lib/aegis", "path: ../there").replace("{role: primary}", "{file: ~/seoul.yaml}")
    )
    monkeypatch.chdir(folder)
    documents = load(Path()).documents
    local = documents.repositories["local"]
    assert isinstance(local, LocalRepository)
    assert local.path == str(folder.parent / "there")
    assert documents.sites["seoul"].file == "/home/somebody/seoul.yaml"
    assert load(Path("base.yaml")).documents == documents


def test_a_store_that_nobody_uses_or_backs_up_is_noted(folder: Path) -> None:
    (folder / "more.yaml").write_text(
        "aegis: v1\nservices: {auth: {tier: 1, uses: [main-db]}}\n"
        'stores:\n  spare:\n    engine: postgresql\n    members: {m: {site: seoul, connection: "${env:X}"}}\n'
    )
    found = {finding.code: finding for finding in load(folder).warnings(SystemClock().now())}
    assert {"store-unused", "store-unprotected"} <= set(found)
    assert str(found["store-unused"].position) == f"{folder}/more.yaml:4:3"


def test_the_excerpt_holds_no_more_than_it_names() -> None:
    documents = load(PLAN).documents
    part = excerpt(documents, ["stores/policy-db", "repositories/*", "sites/seoul"])
    assert set(part.repositories) == set(documents.repositories)
    assert set(part.sites) == {"seoul"}
    assert part.system == documents.system
    assert part.sealing == documents.sealing
    assert not part.services
    assert not part.scenarios
    assert part.state is None
    assert excerpt(documents, ["state"]).state == documents.state
    assert Documents.model_validate(part.model_dump(mode="json")) == part
    for unknown in ("stores/none", "nothing/x", "stores", "system/name"):
        with pytest.raises(AegisError) as caught:
            excerpt(documents, [unknown])
        assert caught.value.code == "not-declared"


def test_an_empty_folder_is_a_mistake_of_usage(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(AegisError) as caught:
            load(path)
        assert (caught.value.code, caught.value.exit_code) == ("documents-missing", 64)


def test_what_is_no_readable_file_is_told_and_never_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    (folder / "gone.yaml").symlink_to(folder / "nowhere")
    with pytest.raises(DocumentsError) as caught:
        load(folder)
    assert [problem.code for problem in caught.value.problems] == ["document-unreadable", "document-unreadable"]


def test_a_large_file_is_refused_unread(folder: Path) -> None:
    (folder / "large.yaml").touch()
    os.truncate(folder / "large.yaml", 2**40)
    with pytest.raises(DocumentsError) as caught:
        load(folder)
    assert [problem.code for problem in caught.value.problems] == ["document-too-large"]


def test_aliases_that_expand_to_much_end_soon() -> None:
    laughs = ["aegis: v1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert [problem.split(" ")[0] for problem in expected("\n".join(laughs))] == ["yaml-too-large"]


def test_many_mistakes_are_all_told() -> None:
    count = 2000
    text = "aegis: v1\nservices:\n" + "".join(f"  s{n}: {{tier: 1, uses: [nobody{n}]}}\n" for n in range(count))
    assert len(expected(text)) == count


def test_no_canary_is_told() -> None:
    text = (
        "aegis: v1\nstate: {authority: local}\nrepositories:\n"
        "  r: {kind: s3, bucket: [CANARY], secret_key: CANARY, region: 'x://u:CANARY@h', part_size: CANARY}\n"
        "stores: {db: {engine: postgresql, members: {m: {site: seoul, connection: 'password = CANARY ${env:'}}}}\n"
        "services: {a: {tier: CANARY, start: {command: [psql, 'PGPASSWORD=CANARY'], timeout: CANARY}}}\n"
    )
    found = expected(text)
    assert len(found) == 8
    assert not [problem for problem in found if "CANARY" in problem]


def test_heavy_libraries_are_not_loaded() -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from aegis_plan.documents.load import load; load(Path(sys.argv[1])); "
        "print([name for name in ('networkx', 'boto3', 'psycopg', 'rich', 'pyrage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(PLAN)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\x85"])
def test_lines_are_those_of_an_editor(letter: str, tmp_path: Path) -> None:
    wrong = (
        f'aegis: v1\nsystem: {{name: a}}\nscenarios: {{f: {{disruption: site, description: "x{letter}y"}}}}\n'
        f"# a comment{letter}tiers: no\r\n# more\rsites: {{a: {{role: fulll}}}}\n"
    )
    (tmp_path / "a.yaml").write_bytes(wrong.encode())
    with pytest.raises(DocumentsError) as caught:
        load(tmp_path)
    # The comment is one comment, however it goes on.
    assert [(one.code, one.position.line, one.position.column) for one in caught.value.problems if one.position] == [
        ("value-invalid", 6, 19)
    ]
    (tmp_path / "a.yaml").write_bytes(wrong.replace("fulll", "primary").encode())
    assert load(tmp_path).documents.scenarios["f"].description == f"x{letter}y"
    (tmp_path / "a.yaml").write_bytes(f"aegis: v1\r# {letter}\r\nsystem: [\x01".encode())
    with pytest.raises(DocumentsError) as caught:
        load(tmp_path)
    assert str(caught.value.problems[0].position) == f"{tmp_path}/a.yaml:3:10"
