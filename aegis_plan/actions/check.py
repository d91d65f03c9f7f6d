"""Looks at what a site, a member of a store or a repository lacks for all that is declared. It changes nothing; only
`try-repository`, which is asked for by name, writes one small object and removes it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.documents.secrets import references
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.requirement import Requirement, unverified


class _Check:
    def probe(self, context: Context) -> Probed:
        return Probed("needed")

    def undo(self, context: Context) -> Done:
        return Done()


class CheckStore(_Check):
    """One member of a store, through its driver. Params: store, member."""

    kind = "look-needs-store"

    def act(self, context: Context) -> Done:
        from aegis_plan.stores.drivers import driver

        name, member = str(context.attempt.params["store"]), str(context.attempt.params["member"])
        declared = context.declared.stores[name]
        found = driver(declared.engine).check(context, name, member)
        requirements = [*_backed_up(name, declared.backup is not None), *found.requirements]
        return _done(requirements, read=found.read, size=found.size)


class CheckRepository(_Check):
    """What this site may do in a repository. Params: repository."""

    kind = "look-needs-repository"
    write = False

    def act(self, context: Context) -> Done:
        from aegis_plan.repositories.permissions import free, permissions

        name = str(context.attempt.params["repository"])
        declared, site = context.declared.repositories[name], context.attempt.site
        subject, title = f"repositories/{name}", f"{site}: the repository can be used"
        try:
            repository = context.repositories[name]
        except UnavailableError as error:
            return _done([unverified(error.code, title, error, subject)])
        except AegisError as error:
            return _done([_missing(error, title, subject)])
        found = permissions(repository, declared, context.declared.system.name, site, write=self.write)
        room = free(declared.path) if declared.kind == "local" else None
        return _done(found, free=room)


class TryRepository(CheckRepository):
    """The same, with one object written, read and removed again."""

    kind = "try-repository"
    write = True


class CheckSite(_Check):
    """Keys, secret references and programs of a site. Params: `references` (what names it to the text that holds it)
    and `programs` (what names it to words and account); values of secrets go nowhere."""

    kind = "look-needs-site"

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        found = [*_keys(context), *_references(context, params.get("references") or {})]
        found += [_program(context, name, *one) for name, one in (params.get("programs") or {}).items()]
        return _done(found)


def _backed_up(store: str, declared: bool) -> Iterable[Requirement]:
    if not declared:
        yield Requirement(
            code="store-not-backed-up", state="missing", severity="warning", summary="the store has a backup",
            subject=f"stores/{store}", detail="the documents declare none", hint="add 'backup:' to the store",
        )  # fmt: skip


def _missing(error: AegisError, summary: str, subject: str) -> Requirement:
    return Requirement(
        code=error.code, state="missing", summary=summary, subject=subject, detail=error.detail, hint=error.hint
    )


def _done(found: Iterable[Requirement], **more: Any) -> Done:
    return Done({"requirements": [one.model_dump(mode="json") for one in found], **more})


def _keys(context: Context) -> Iterable[Requirement]:
    site, sealing = context.attempt.site, context.declared.sealing
    subject = f"sites/{site}"
    if sealing is None:
        yield Requirement(
            code="sealing-undeclared", state="missing", summary="the documents say to whom backups are sealed",
            subject=subject, detail="there is no section 'sealing'",
            hint=f"aegis keys new {site} --documents plans/sealing.yaml",
        )  # fmt: skip
        return
    try:
        keys = context.keys
    except AegisError as error:
        yield Requirement(
            code=error.code, state="missing", summary="the site can use its private keys", subject=subject,
            detail=error.detail, hint=error.hint,
        )  # fmt: skip
        return
    import pyrage

    from aegis_plan.sealing.keys import public_signer

    signer = public_signer(keys.signing) if keys.signing else ""
    declared = sealing.signers.get(site, "")
    yield Requirement(
        code="signing-key-missing", state="ok" if signer and signer == declared else "missing",
        summary="the site has the signing key that the documents name", subject=subject,
        needed_for=("full", "incremental", "log", "stream"),
        detail="" if signer and signer == declared
        else "the site file names none" if not signer
        else "its public half is another than sealing.signers says" if declared
        else "sealing.signers does not name this site",
        hint="" if signer and signer == declared else f"aegis keys list compares them; aegis keys new {site} makes one",
    )  # fmt: skip
    public = {str(pyrage.x25519.Identity.from_str(text.strip()).to_public()) for text in keys.identities}
    opens = bool(public & {*sealing.recipients, sealing.recovery_recipient})
    yield Requirement(
        code="identity-missing", state="ok" if opens else "missing",
        summary="the site has a private key that opens backups", subject=subject, needed_for=("restore",),
        detail="" if opens else "none of its identities belongs to sealing.recipients",
        hint="" if opens else "put the identity of a recipient, or the recovery key, into its site file",
    )  # fmt: skip
    host = sealing.host_recipients.get(site)
    if host is not None:
        yield Requirement(
            code="host-identity-missing", state="ok" if host in public else "missing",
            summary="the site reads what its next incremental builds on", subject=subject,
            needed_for=("incremental",),
            detail="" if host in public else "its identities do not hold the one of sealing.host_recipients",
            hint="" if host in public else "without it each incremental becomes a full: correct the site file",
        )  # fmt: skip


def _references(context: Context, texts: dict[str, str]) -> Iterable[Requirement]:
    for name, text in texts.items():
        for reference in references(text):
            summary = f"{name}: {reference} resolves"
            try:
                # Resolved alone: that one is missing says nothing of its neighbour.
                context.secrets.text(str(reference))
            except AegisError as error:
                yield Requirement(
                    code="secret-unresolved", state="missing", summary=summary, subject=f"sites/{context.attempt.site}",
                    detail=error.detail, hint=error.hint,
                )  # fmt: skip
            else:
                yield Requirement(
                    code="secret-unresolved", state="ok", summary=summary, subject=f"sites/{context.attempt.site}"
                )


def _program(context: Context, name: str, words: list[str], run_as: str | None) -> Requirement:
    subject = f"sites/{context.attempt.site}"
    try:
        program = context.secrets.text(words[0])
    except AegisError as error:
        return unverified("program-missing", f"{name}: the program can be run", error, subject)
    summary = f"{name}: {program} can be run" + (f" as {run_as}" if run_as else "")
    entry: pwd.struct_passwd | None = None
    if run_as is not None:
        try:
            entry = pwd.getpwnam(run_as)
        except KeyError:
            return Requirement(
                code="program-user", state="missing", summary=summary, subject=subject,
                detail=f"there is no user '{run_as}' at this site", hint="correct run_as, or make the user",
            )  # fmt: skip
        if os.geteuid() not in (0, entry.pw_uid):
            return Requirement(
                code="program-user", state="missing", summary=summary, subject=subject,
                detail=f"the site runs as user id {os.geteuid()} and cannot become '{run_as}'",
                hint="run the site's programs as that user or as root",
            )  # fmt: skip
    there = shutil.which(program)
    if there and entry is not None and os.geteuid() == 0 and entry.pw_uid != 0:
        # What root may run, another account may not.
        may = subprocess.run(
            ["test", "-x", there], user=entry.pw_uid, group=entry.pw_gid,
            extra_groups=os.getgrouplist(entry.pw_name, entry.pw_gid), stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        there = there if may.returncode == 0 else None
    where = "in the PATH of the site" if "/" not in program else "at the site"
    return Requirement(
        code="program-missing",
        state="ok" if there else "missing",
        summary=summary,
        subject=subject,
        detail=""
        if there
        else f"there is no such program {where}, or it is not executable" + (f" for {run_as}" if run_as else ""),
        hint="" if there else "install it, or correct the command",
    )
