"""How protected everything is, and what can be restored, as people read it. It is handed figures and judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.text import Text

from aegis_plan.clock import stamp
from aegis_plan.documents.scalars import span
from aegis_plan.report.terminal import amount, indented, letters, moment, since

STATES = {"protected": "good", "degraded": "warn", "unprotected": "bad", "unknown": "bad"}


@dataclass(frozen=True)
class Span:
    """A stretch of time to every moment of which a store can go back."""

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Kept:
    """One backup set, and which repositories hold it whole."""

    set: str
    method: str
    at: datetime
    bytes: int
    parent: str | None
    copies: tuple[str, ...]
    lineage: str
    consistency: str = "exact"
    verified: datetime | None = None
    """When the copy was last verified for which that is the longest ago; None where one never was since it was made."""
    failed: tuple[str, ...] = ()
    """Repositories whose copy failed its last verification."""


@dataclass(frozen=True)
class Expiring:
    """A set that is marked as expired and not deleted yet."""

    set: str
    at: datetime
    delete_from: datetime
    reason: str


@dataclass(frozen=True)
class HeldBack:
    """A hold that is in force."""

    sets: tuple[str, ...]
    """None: everything that the store has."""
    until: datetime | None
    by: str
    reason: str


@dataclass(frozen=True)
class VerifiedIn:
    """How far the copies in one repository are verified."""

    repository: str
    copies: int
    never: int
    """Copies that were not verified since they were made."""
    failed: int
    oldest: datetime | None
    """When the copy was verified, or made, for which that is the longest ago."""


@dataclass(frozen=True)
class StoreAt:
    """Where one store goes together with others."""

    store: str
    at: datetime
    exact: bool


@dataclass(frozen=True)
class Together:
    """To which moment all stores of a service can go back."""

    service: str
    at: datetime | None
    """None: they cannot, as one of them has nothing to go back to."""
    skew: float | None
    """Seconds between the oldest and the youngest of them."""
    stores: tuple[StoreAt, ...]
    missing: tuple[str, ...] = ()
    """Stores without anything to go back to."""


@dataclass(frozen=True)
class StorePosture:
    """One store."""

    store: str
    tier: int
    state: Literal["protected", "degraded", "unprotected", "unknown"]
    """`unknown`: nothing that protects it is seen, and not every repository could be reached."""
    exposure: float | None
    exposure_basis: str
    rpo: float | None
    spans: tuple[Span, ...]
    sets: tuple[Kept, ...]
    servers: tuple[tuple[str, str, str], ...]
    """Member, state, reason."""
    repositories: tuple[tuple[str, bool, str], ...]
    """Name, reachable, reason."""
    reasons: tuple[str, ...] = ()
    damage: tuple[tuple[str, str, str], ...] = ()
    """What in the repositories is not as its signers left it: severity, code, what it is."""
    expiring: tuple[Expiring, ...] = ()
    holds: tuple[HeldBack, ...] = ()
    verified: tuple[VerifiedIn, ...] = ()

    @property
    def unseen(self) -> bool:
        """Whether a repository could not be read, so that there may be more than what is shown."""
        return not all(reachable for _, reachable, _ in self.repositories)


@dataclass(frozen=True)
class Posture:
    """A whole system at one moment."""

    system: str
    at: datetime
    zone: str
    stores: tuple[StorePosture, ...]
    services: tuple[tuple[str, str, str], ...] = ()
    """Name, verdict, reason."""
    sites: tuple[tuple[str, bool, str], ...] = ()
    """Name, reachable, what its daemon does or why it is not reachable."""
    due: int = 0
    """Steps that a plan has now."""
    blocked: bool = False
    """Whether such a plan has errors, so that nothing tells what is due."""
    notes: tuple[str, ...] = field(default=())
    together: tuple[Together, ...] = ()
    """Each service that uses a store."""
    documents: str = ""
    """How the files differ from what is published, or what is wrong with that; empty where nothing is."""
    published: int = 0
    """Number of the newest publication that is believed; 0 for none."""
    orphans: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Stores that the documents do not name, and the repositories that hold something of them."""

    @property
    def breached(self) -> bool:
        """Whether more would be lost now than an objective allows, or nobody knows."""
        return any(
            store.state in ("unprotected", "unknown") or (store.rpo is not None and (store.exposure or 0.0) > store.rpo)
            for store in self.stores
        )

    @property
    def unknown(self) -> bool:
        """Whether a store shows no backup at all though a repository of it could not be read."""
        return any(store.unseen and not store.sets for store in self.stores)


def show_posture(posture: Posture, out: Console) -> None:
    """One block a store, then services and sites, then one line that says what to do."""
    zone = ZoneInfo(posture.zone)
    out.print()
    out.print(Text(posture.system, style="head").append(f"  as of {moment(posture.at, zone)}", style="quiet"))
    for store in posture.stores:
        out.print()
        head = Text(store.store, style="name").append(f"  tier {store.tier}  ", style="quiet")
        out.print(head.append(store.state, style=STATES[store.state]))
        _row(out, "lost if it failed now", *_exposure(store))
        newest = store.spans[-1] if store.spans else None
        if newest:
            _row(out, "can go back to", _stretch(newest, zone, out))
            if len(store.spans) > 1:
                _row(out, "", f"and {len(store.spans) - 1} earlier span{'s' if len(store.spans) > 2 else ''}", "quiet")
        else:
            _row(out, "can go back to", "unknown" if store.unseen else "nothing", "bad")
        for title, method in (("newest full", "full"), ("newest incremental", "incremental")):
            found = [kept for kept in store.sets if kept.method == method]
            if found:
                kept = max(found, key=lambda one: one.at)
                _row(
                    out,
                    title,
                    f"{span(since(kept.at, posture.at))} ago, in {', '.join(kept.copies) or 'no repository'}",
                )
            elif method == "full":
                _row(out, title, "unknown" if store.unseen else "none", "bad")
        for checked in store.verified:
            if checked.copies:
                _row(out, f"copies in {checked.repository}", *_checked(checked, posture.at))
        for name, state, reason in store.servers:
            _row(out, f"server {name}", state + (f": {reason}" if reason else ""), "" if state == "primary" else "warn")
        for name, reachable, reason in store.repositories:
            if not reachable:
                _row(out, f"repository {name}", f"cannot be reached: {reason}", "warn")
        for reason in store.reasons:
            _row(out, "because" if reason == store.reasons[0] else "", letters(out, reason), "warn")
    words = {"pass": ("healthy", "good"), "fail": ("not healthy", "bad"), "could_not_verify": ("not known", "warn")}
    shown = [one for one in posture.services if one[1] != "not_configured"]
    if shown:
        out.print()
        out.print(Text("services", style="quiet"))
        for name, verdict, reason in shown:
            word, style = words[verdict]
            _row(out, name, word + (f": {reason}" if reason and verdict != "pass" else ""), style)
    if posture.sites:
        out.print()
        out.print(Text("sites", style="quiet"))
        for name, reachable, text in posture.sites:
            _row(out, name, text, "" if reachable else "warn")
    _show_orphans(posture, out)
    if posture.documents:
        out.print()
        out.print(Text("documents", style="quiet"))
        _row(out, f"revision {posture.published}" if posture.published else "", posture.documents, "warn")
    out.print()
    if not posture.stores:
        out.print(Text("Nothing is protected: the documents declare no store.", style="warn"))
    elif posture.blocked:
        out.print(Text("Protection stands still: 'aegis plan' shows what is in the way.", style="bad"))
    elif posture.due:
        steps = f"{posture.due} step{'s are' if posture.due > 1 else ' is'}"
        out.print(Text(f"{steps} due: aegis plan shows {'them' if posture.due > 1 else 'it'}.", style="head"))
    else:
        out.print(Text("Nothing is due.", style="good"))


def _show_orphans(posture: Posture, out: Console) -> None:
    if posture.orphans:
        out.print()
        out.print(Text("stores that the documents do not name", style="quiet"))
    for name, places in posture.orphans:
        _row(out, letters(out, name), f"in {', '.join(places)}; nothing of it is ever pruned", "warn")


def _checked(one: VerifiedIn, now: datetime) -> tuple[str, str]:
    if one.failed:
        return f"{one.failed} of {one.copies} FAILED their verification", "bad"
    if one.never == one.copies or one.oldest is None:
        return "never verified since they were made", ""
    text = f"verified, the oldest {span(since(one.oldest, now))} ago"
    return text + (f"; {one.never} new ones not yet" if one.never else ""), ""


def _exposure(store: StorePosture) -> tuple[str, str]:
    target = f", RPO {span(store.rpo)}" if store.rpo is not None else ""
    if store.exposure is None:
        return f"unknown{target}: {store.exposure_basis}", "bad" if store.state in (
            "unprotected",
            "unknown",
        ) else "warn"
    amount_lost = "nothing" if store.exposure == 0 else span(store.exposure)
    late = store.rpo is not None and store.exposure > store.rpo
    return f"{amount_lost}{target}: {store.exposure_basis}", "bad" if late else "good"


def _stretch(one: Span, zone: ZoneInfo, out: Console) -> str:
    """As people copy it into `--to`: rounded inwards to whole seconds, or exact where it holds no whole second."""
    begin, end = one.begin + timedelta(microseconds=-one.begin.microsecond % 1_000_000), one.end.replace(microsecond=0)
    if begin <= end and one.begin != one.end:
        if begin == end:
            return moment(begin, zone)
        return f"{moment(begin, zone)} {letters(out, '…')} {moment(end, zone)}"
    exact = [f"{when.astimezone(zone):%Y-%m-%d %H:%M:%S.%f %Z}" for when in dict.fromkeys((one.begin, one.end))]
    return f" {letters(out, '…')} ".join(exact)


def _row(out: Console, label: str, text: str, style: str = "") -> None:
    indented(out, Text(text, style=style or "default"), 25, Text(f"  {label:<22} ", style="quiet"))


def show_catalog(posture: Posture, out: Console) -> None:
    """Every set and span of the stores, oldest first."""
    zone = ZoneInfo(posture.zone)
    if not posture.stores:
        out.print("Nothing is protected: the documents declare no store.")
    for store in posture.stores:
        out.print()
        out.print(Text(store.store, style="name"))
        away = [(name, reason) for name, reachable, reason in store.repositories if not reachable]
        for name, reason in away:
            said = Text(f"{name} could not be read: {letters(out, reason)}", style="warn")
            indented(out, said, 2, Text("  "))
        if not store.sets and away:
            few = len(away) < len(store.repositories)
            text = "no backup in the others" if few else "no repository could be read"
            out.print(Text(f"  backups UNKNOWN: {text}", style="bad"))
        elif not store.sets:
            asked = ", ".join(name for name, _, _ in store.repositories)
            out.print(f"  no backups{' in ' + asked if asked else ': none is declared'}", soft_wrap=True)
        elif away:
            out.print(Text("  there may be more backups than these", style="warn"))
        if store.sets:
            out.print(Text(f"  {'set':<34}{'kind':<13}{'size':>10}  copies", style="quiet"))
        for kept in sorted(store.sets, key=lambda one: (one.lineage, one.at)):
            copies = ", ".join(kept.copies)
            out.print(
                Text(f"  {kept.set:<34}{kept.method:<13}{amount(kept.bytes):>10}  ").append(
                    copies or "NONE WHOLE", style="" if copies else "bad"
                ),
                soft_wrap=True,
            )
            about = f"as of {moment(kept.at, zone)}, lineage {kept.lineage}, {_verified(kept, posture.at)}"
            about = about if kept.consistency == "exact" else f"{kept.consistency}, {about}"
            out.print(Text(f"    {about}", style="quiet"), soft_wrap=True)
            if kept.failed:
                out.print(Text(f"    FAILED its verification in {', '.join(kept.failed)}", style="bad"), soft_wrap=True)
        for severity, code, text in store.damage:
            said = Text(f"{code}: {letters(out, text)}", style="bad" if severity == "breach" else "warn")
            indented(out, said, 2, Text("  "))
        for one in store.expiring:
            text = f"  {one.set} is expiring ({one.reason}), deleted from {moment(one.delete_from, zone)} on"
            out.print(Text(text, style="quiet"), soft_wrap=True)
        for held in store.holds:
            until = f"until {moment(held.until, zone)}" if held.until else "until it is released"
            text = f"  {', '.join(held.sets) or 'everything'} is held {until} by {held.by}: {held.reason}"
            out.print(Text(letters(out, text)), soft_wrap=True)
        if store.spans:
            alone = all(one.begin == one.end for one in store.spans)
            out.print(Text(f"  can go back to{'' if alone else ' any moment of'}", style="quiet"))
            for span_ in store.spans:
                out.print(f"    {_stretch(span_, zone, out)}", soft_wrap=True)
    _show_orphans(posture, out)
    several = [one for one in posture.together if len(one.stores) + len(one.missing) > 1]
    if several:
        out.print()
        out.print(Text("services with several stores", style="quiet"))
    for common in several:
        _show_together(common, zone, out)


def _show_together(common: Together, zone: ZoneInfo, out: Console) -> None:
    if common.at is None:
        text = f"its stores cannot go back together: nothing of {', '.join(common.missing)}"
        _row(out, common.service, text, "bad")
        return
    apart = f"{span(common.skew)} apart" if common.skew else "all at one moment"
    _row(out, common.service, f"all its stores can go back to {moment(common.at, zone)}, {apart}")
    for one in common.stores:
        _row(out, "", f"{one.store} to {moment(one.at, zone)}" + ("" if one.exact else " (fuzzy)"), "quiet")


def _verified(kept: Kept, now: datetime) -> str:
    return f"verified {span(since(kept.verified, now))} ago" if kept.verified else "not verified since it was made"


def as_data(posture: Posture) -> dict[str, Any]:
    """The same as one JSON document."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return stamp(value)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [plain(one) for one in value]
        if hasattr(value, "__dataclass_fields__"):
            return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return value

    return {"format": 1, **plain(posture)}
