"""Whom a machine believes that has nothing: a key that opens nothing, signers that nobody vouches for, publications
that were forged, changed, or taken away. No server is needed: a system without stores is published as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_plan.repositories.publications import digest, sign
from aegis_plan.repositories.publications import peek as read_publication
from aegis_plan.sealing.keys import new_identity, new_signing_key
from aegis_plan.sealing.vouchers import vouch, vouched
from tests.thread.world import Ran

DOCUMENTS = """\
aegis: v1
system: {name: tiny}
sites:
  seoul: {reach: local, file: ../site/seoul.yaml}
state: {authority: one}
repositories:
  one: {kind: local, site: seoul, path: ../one}
  two: {kind: local, site: seoul, path: ../two}
"""


class System:
    """A system of documents alone, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plans").mkdir(parents=True)
        (folder / "plans" / "aegis.yaml").write_text(DOCUMENTS)
        self.ok("keys", "new", "seoul", "--documents", "plans/sealing.yaml")

    def aegis(self, *words: str, cwd: Path | None = None, **env: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "aegis_plan", *words], cwd=cwd or self.folder, capture_output=True, text=True,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "300", **env}, stdin=subprocess.DEVNULL, check=False,
            timeout=120,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str, **options: str) -> Ran:
        ran = self.aegis(*words, **options)
        assert ran.code == 0, ran.text
        return ran

    def publish(self, comment: str = "") -> None:
        if comment:
            with (self.folder / "plans" / "aegis.yaml").open("a") as file:
                file.write(f"# {comment}\n")
        self.ok("publish", "--wheels", "none", "-y")

    def bare(self, name: str = "bare", *words: str, key: str = "recovery", command: str = "show") -> Ran:
        """A command of a machine that has nothing, from repository `one`."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        source = ("--from", f"file://{self.folder / 'one'}", "--key", str(self.folder / f"site/keys/{key}.age"))
        return self.aegis(command, *source, *words, cwd=folder)

    def publications(self, repository: str) -> Path:
        return self.folder / repository / "v1/tiny/_system/publications"

    @property
    def signer(self) -> str:
        text = (self.folder / "plans" / "sealing.yaml").read_text()
        return text.partition("signers: {seoul: ")[2].partition("}")[0]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> System:
    """Published twice."""
    made = System(tmp_path_factory.mktemp("trust") / "system")
    made.publish()
    made.publish("second")
    return made


@pytest.fixture
def system(published: System, tmp_path: Path) -> System:
    """A copy to do harm to."""
    shutil.copytree(published.folder, tmp_path / "system", symlinks=True)
    made = object.__new__(System)
    made.folder = tmp_path / "system"
    return made


def test_the_recovery_key_alone_is_enough(system: System) -> None:
    ran = system.bare()
    assert ran.code == 0, ran.text
    assert "# second" in ran.out
    assert "revision 2" in ran.err


def test_another_key_opens_nothing(system: System) -> None:
    secret, _ = new_identity()
    (system.folder / "site/keys/other.age").write_text(secret)
    ran = system.bare(key="other")
    assert ran.code == 64, ran.text
    assert "trust-missing" in ran.text
    assert system.signer in ran.text, "the signers are shown, to be compared"
    ran = system.bare("bare", "--trust", system.signer, key="other")
    assert ran.code == 1, ran.text
    assert "key-opens-not" in ran.text
    assert not (system.folder / "bare" / "recovery-tiny").exists()


def test_no_key_no_documents(system: System) -> None:
    folder = system.folder / "bare"
    folder.mkdir()
    ran = system.aegis("show", "--from", f"file://{system.folder / 'one'}", cwd=folder)
    assert (ran.code, "key-not-given" in ran.text) == (64, True), ran.text
    key = (system.folder / "site/keys/recovery.age").read_text()
    ran = system.aegis("show", "--from", f"file://{system.folder / 'one'}", cwd=folder, AEGIS_KEY=key)
    assert ran.code == 0, ran.text


def forge(system: System, repository: str, number: int, *, key: bytes, vouchers: tuple[str, ...] = ()) -> None:
    """What a rogue writer puts there: his own documents, well formed, sealed to the public recipients."""
    import hashlib

    from aegis_plan.documents.bundle import pack, revision
    from aegis_plan.documents.load import load
    from aegis_plan.repositories import keys
    from aegis_plan.sealing.keys import public_signer
    from aegis_plan.sealing.letters import seal

    before = read_publication((system.publications(repository) / "00000002.json").read_bytes())
    sealing = load(system.folder / "plans").documents.sealing
    assert sealing is not None
    files = {"aegis.yaml": DOCUMENTS.encode(), "sealing.yaml": b"aegis: v1\nsystem: {name: evil}\n"}
    sealed = seal(pack({f"documents/{name}": data for name, data in files.items()}), sealing)
    found = hashlib.sha256(sealed).hexdigest()
    place = keys.publication_documents("tiny", number, found)
    made = before.model_copy(
        update={
            "number": number,
            "id": f"tiny/{number}",
            "previous": digest((system.publications(repository) / "00000002.json").read_bytes()),
            "revision": revision(files, {}),
            "signers": {"seoul": (public_signer(key),)},
            "publishers": (public_signer(key),),
            "vouchers": (*before.vouchers, *vouchers),
            "documents": before.documents.model_copy(update={"key": place, "size": len(sealed), "sha256": found}),
        }
    )
    (system.folder / repository / place).write_bytes(sealed)
    (system.publications(repository) / f"{number:08d}.json").write_bytes(sign(made, key))


def test_a_forged_publication_is_told_and_not_used(system: System) -> None:
    """Also where the forger vouches for himself with a key of his own."""
    key, signer = new_signing_key()
    own, _ = new_identity()
    forge(system, "one", 3, key=key, vouchers=(vouch(own, signer),))
    ran = system.bare()
    assert ran.code == 0, ran.text
    assert "publication 3" in ran.err
    assert "signed by nobody who is trusted" in ran.err
    assert "revision 2" in ran.err
    assert "evil" not in ran.out
    status = system.aegis("status")
    assert "publication 3 is signed by nobody who is trusted" in status.out, status.text
    # And the next real one does not take the forgery for its predecessor.
    refused = system.aegis("publish", "--wheels", "none", "-y")
    assert "No changes" in refused.out


def test_a_bucket_of_forgeries_alone_is_refused(system: System) -> None:
    key, _ = new_signing_key()
    forge(system, "one", 3, key=key)
    for name in ("00000001.json", "00000002.json"):
        (system.publications("one") / name).unlink()
    ran = system.bare()
    assert ran.code == 1, ran.text
    assert "publication-untrusted" in ran.text
    assert not (system.folder / "bare" / "recovery-tiny").exists()


@pytest.mark.parametrize("part", ["manifest", "documents"])
def test_a_changed_byte_is_never_used(system: System, part: str) -> None:
    (path,) = system.publications("one").glob("00000002.json" if part == "manifest" else "00000002.*.age")
    data = bytearray(path.read_bytes())
    where = data.index(b'"revision":"') + 13 if part == "manifest" else len(data) // 2
    data[where] = ord("1") if data[where] != ord("1") else ord("2")
    path.write_bytes(bytes(data))
    ran = system.bare()
    if part == "documents":
        assert (ran.code, "publication-damaged" in ran.text) == (1, True), ran.text
    else:
        assert ran.code == 0, ran.text
        assert "# second" not in ran.out
        assert "publication 2" in ran.err, "it is told that there is one that cannot be believed"


def test_one_taken_away_shows_where_it_was_written(system: System) -> None:
    for path in [*system.publications("one").glob("00000002*"), *system.publications("two").glob("00000002*")]:
        path.unlink()
    status = system.aegis("status")
    assert "does not follow it" in status.out, status.text
    plan = system.aegis("plan")
    assert "publication-doubtful" in plan.text
    assert "publish revision 2" in plan.text, "what is in force comes back"
    system.ok("apply", "-y")
    assert "# second" in system.bare().out


def test_one_taken_away_comes_from_the_sister(system: System) -> None:
    """The repository given holds the first only; the sister's path is absolute, so that this machine reaches it."""
    plans = system.folder / "plans" / "aegis.yaml"
    plans.write_text(plans.read_text().replace("../two", str(system.folder / "two")))
    system.publish()
    system.publish("fourth")
    for path in system.publications("one").glob("00000004*"):
        path.unlink()
    ran = system.bare()
    assert ran.code == 0, ran.text
    assert "somebody took the newer one away" in ran.err
    assert "revision 4" in ran.err
    plan = system.aegis("plan")
    assert "bring revision 4 of the documents to one" in plan.out, plan.text
    system.ok("apply", "-y")
    assert len(list(system.publications("one").glob("00000004*"))) == 2


def test_a_replaced_key_signs_no_more(system: System) -> None:
    """The site got a new key, and the old one is in wrong hands."""
    import base64

    from aegis_plan.documents.load import load

    old = base64.b64decode((system.folder / "site/keys/seoul.sign").read_text())
    old_signer = system.signer
    secret = (system.folder / "site/keys/recovery.age").read_text().strip()
    new, signer = new_signing_key()
    sealing = system.folder / "plans" / "sealing.yaml"
    text = sealing.read_text().replace(f"signers: {{seoul: {old_signer}}}", f"signers: {{seoul: {signer}}}")
    sealing.write_text(text + f"    - {vouch(secret, signer)}\n")
    assert load(system.folder / "plans").documents.sealing is not None
    path = system.folder / "site/keys/seoul.sign"
    path.write_text(base64.b64encode(new).decode())
    system.publish()
    assert "revision 3" in system.bare("first").err
    forged = read_publication((system.publications("one") / "00000003.json").read_bytes())
    after = digest((system.publications("one") / "00000003.json").read_bytes())
    forged = forged.model_copy(update={"number": 4, "id": "tiny/4", "previous": after})
    (system.publications("one") / "00000004.json").write_bytes(sign(forged, old))
    ran = system.bare("second", "--trust", old_signer, "--trust", signer)
    assert ran.code == 0, ran.text
    assert "publication 4" in ran.err
    assert "revision 3" in ran.err
    # The program for who has no other does not believe it either, and takes what lies under the last real number.
    (program, *_) = (system.folder / "one").rglob("unseal.py")
    words = ["list", str(system.folder / "one"), "--key", str(system.folder / "site/keys/recovery.age")]
    done = subprocess.run([sys.executable, str(program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "00000004.json is signed by nobody who is trusted" in done.stderr
    assert "revision 3" in done.stdout


def test_the_stand_alone_program_believes_a_new_key_by_the_old_sheet(system: System) -> None:
    old = system.signer
    system.ok("keys", "new", "seoul", "--signing")
    system.publish()
    (program, *_) = (system.folder / "one").rglob("unseal.py")
    words = [sys.executable, str(program), "list", str(system.folder / "one"), "--trust", old]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "documents: revision 3" in told.stdout, told.stderr


def test_a_sheet_names_the_signer(system: System) -> None:
    sheet = system.folder / "sheet.txt"
    sheet.write_text(f"Recovery sheet of tiny\n  signer of seoul: {system.signer}\n")
    assert system.bare("bare", "--trust", str(sheet)).code == 0
    sheet.write_text("nothing")
    assert "trust-invalid" in system.bare("bare", "--trust", str(sheet)).text


def test_options_without_from_are_refused(system: System) -> None:
    ran = system.aegis("status", "--key", "x")
    assert (ran.code, "--from" in ran.text) == (64, True), ran.text


def test_only_who_has_the_key_vouches() -> None:
    mine, _ = new_identity()
    other, _ = new_identity()
    _, signer = new_signing_key()
    _, wrong = new_signing_key()
    good = vouch(mine, signer)
    assert vouched([good, vouch(other, wrong)], [mine]) == (signer,)
    assert vouched([good.replace(signer, wrong, 1)], [mine]) == ()
    assert vouched(["", "nonsense", "a b c", good[:-4]], [mine]) == ()


def test_a_new_signing_key_is_believed_by_the_old_sheet(system: System) -> None:
    old = system.signer
    system.ok("keys", "new", "seoul", "--signing")
    assert system.signer.strip('"') != old
    system.publish()
    ran = system.bare("bare", "--trust", old)
    assert ran.code == 0, ran.text
    assert "revision 3" in ran.err, ran.text


def test_secrets_come_from_the_escrow(system: System) -> None:
    """Those that the documents name, with the recovery key, signed by a listed site; nothing else is ever set."""
    plans = system.folder / "plans" / "aegis.yaml"
    text = plans.read_text() + '  three: {kind: local, site: seoul, path: "${env:THREE}"}\n'
    plans.write_text(text.replace("repositories:\n", "repositories:\n").replace("# second\n", ""))
    environment = {"THREE": str(system.folder / "three")}
    (system.folder / "three").mkdir()
    assert system.aegis("publish", "--wheels", "none", "-y", **environment).code == 0
    assert "Not set here: ${env:THREE}" in system.bare("first").err
    system.ok("keys", "escrow", "-y", **environment)
    ran = system.bare("second")
    assert "1 secrets come from the escrow" in ran.err, ran.text
    assert "Not set here" not in ran.err
    assert environment["THREE"] not in ran.err
    assert "Not set here" in system.bare("third", key="seoul").err, "only the recovery key opens it"
    for path in (system.folder / "one" / "v1/tiny/_system/escrow").glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b'"signer":"seoul"', b'"signer":"busan"'))
    ran = system.bare("fourth")
    assert "an escrow is not used" in ran.err
    assert "Not set here" in ran.err


def test_a_site_that_was_killed_while_it_took_new_documents_works_by_the_old_ones(system: System) -> None:
    """It published nothing itself, no repository answers, and the folder that people edit holds something else."""
    code = "from aegis_plan.cli.published import in_force; print(in_force().number)"

    def number() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=system.folder, capture_output=True, text=True, check=False
        )  # fmt: skip
        return done.stdout.strip() or done.stderr

    (heads,) = (system.folder / "site").rglob("heads")
    shutil.rmtree(heads)
    assert number() == "2"
    (kept,) = (system.folder / "site").rglob("schedule/published")
    kept.rename(kept.with_name(".published.123.old"))
    for name in ("one", "two"):
        shutil.rmtree(system.folder / name)
    with (system.folder / "plans" / "aegis.yaml").open("a") as file:
        file.write("# never published\n")
    assert number() == "2"
