"""Schedules as other programs keep them: timers of systemd, a crontab, CronJobs of Kubernetes. Each calls
`aegis backup --due`, which decides from the catalog; so one that comes twice or late does no harm. Pure."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cronsim import CronSim

from aegis_plan.documents.model import Documents
from aegis_plan.schedule.job import Aspect, Job, jobs

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MADE = "Made by 'aegis schedule export'; make it anew when the schedules change."


@dataclass(frozen=True)
class Place:
    """Where the timers run."""

    program: str
    folder: str
    """The folder of the documents."""
    user: str
    image: str = ""
    sites: Mapping[str, str] = field(default_factory=dict)
    """The sites of this host with their site files."""


def systemd(documents: Documents, place: Place) -> dict[str, str]:
    """One timer and one service a store and aspect."""
    files: dict[str, str] = {}
    delay = documents.schedule.jitter
    for (store, aspect), found in _by_unit(documents).items():
        name = f"aegis-{documents.system.name}-{store}-{aspect}"
        calendars = "\n".join(
            f"OnCalendar={one} {documents.system.timezone}" for job in found for one in on_calendar(job.schedule)
        )
        jitter = (
            f"RandomizedDelaySec={int(delay.total_seconds())}\nFixedRandomDelay=true\n" if delay.total_seconds() else ""
        )
        files[f"{name}.timer"] = (
            f"# {_MADE}\n[Unit]\nDescription=When backups of {store} ({aspect}) are due\n\n"
            f"[Timer]\n{calendars}\n{jitter}AccuracySec=1s\n"
            "# What was missed while the host was off is made up, once.\n"
            f"Persistent=true\n\n[Install]\nWantedBy=timers.target\n"
        )
        files[f"{name}.service"] = (
            f"# {_MADE}\n[Unit]\nDescription=Back up {store} ({aspect}) where that is due\n"
            "Wants=network-online.target\nAfter=network-online.target\n\n"
            f"[Service]\nType=oneshot\nUser={place.user}\nWorkingDirectory={_systemd_value(place.folder)}\n"
            f"EnvironmentFile=-/etc/aegis/environment\n"
            f"ExecStart={_systemd_words(_command(place, store, aspect))}\n"
            "# TERM brings what runs to a safe stop; the next start goes on with it.\n"
            "KillMode=mixed\nTimeoutStopSec=10min\n"
        )
    return files


def daemons(documents: Documents, place: Place) -> dict[str, str]:
    """Units of the scheduler, and of the daemon that streams logs, for each site of this host."""
    files: dict[str, str] = {}
    for site, path in place.sites.items():
        for what, words, text in (
            ("schedule", [place.program, "schedule", "run", "--site", site], "Aegis Plan: backups when they are due"),
            ("site", [place.program, "site", "run", "--file", path], "Aegis Plan: log streams of this site"),
        ):
            files[f"aegis-{documents.system.name}-{site}-{what}.service"] = (
                f"# {_MADE}\n[Unit]\nDescription={text}, {site}\n"
                "Wants=network-online.target\nAfter=network-online.target\n\n"
                f"[Service]\nUser={place.user}\nWorkingDirectory={_systemd_value(place.folder)}\n"
                f"EnvironmentFile=-/etc/aegis/environment\nExecStart={_systemd_words(words)}\n"
                "Restart=always\nRestartSec=5\nKillMode=mixed\nTimeoutStopSec=10min\n\n"
                "[Install]\nWantedBy=multi-user.target\n"
            )
    return files


def cron(documents: Documents, place: Place) -> dict[str, str]:
    """One table for /etc/cron.d. Where a cron knows no CRON_TZ, its host has to be in the time zone of the system."""
    lines = [
        f"# {_MADE}",
        "# For /etc/cron.d: the sixth field is the account. Cron gives no environment: name the variables that secret",
        "# references need in lines of their own, or use ${file:...}.",
        "# Times are of the time zone below. cronie keeps CRON_TZ; where yours does not ('man 5 crontab' says), use",
        "# systemd timers, or 'aegis schedule run'. Cron knows no jitter, and what was missed while",
        "# the host was off is made up by the next call.",
        "SHELL=/bin/sh",
        f"CRON_TZ={documents.system.timezone}",
    ]
    for (store, aspect), found in _by_unit(documents).items():
        words = shlex.join(_command(place, store, aspect))
        # A percent sign ends the command for cron.
        call = f"cd {shlex.quote(place.folder)} && {words}".replace("%", r"\%")
        lines += [f"{one} {place.user} {call}" for one in dict.fromkeys(cron_line(job.schedule) for job in found)]
    return {f"aegis-{documents.system.name}": "\n".join(lines) + "\n"}


def kubernetes(documents: Documents, place: Place) -> dict[str, str]:
    """One CronJob a schedule."""
    parts = []
    for (store, aspect), found in _by_unit(documents).items():
        for job in found:
            name = _label(f"aegis-{documents.system.name}-{store}-{job.kind}")
            arguments = ", ".join(_quoted(word) for word in _command(place, store, aspect)[1:])
            parts.append(_cronjob(documents, place, name, cron_line(job.schedule), arguments))
    return {f"aegis-{documents.system.name}.yaml": f"# {_MADE}\n" + "---\n".join(parts)}


def _cronjob(documents: Documents, place: Place, name: str, schedule: str, arguments: str) -> str:
    return f"""\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: aegis-plan}}
spec:
  schedule: {_quoted(schedule)}
  timeZone: {_quoted(documents.system.timezone)}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600 # a later start makes up what was missed, once
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 3
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 600 # TERM brings what runs to a safe stop
          containers:
            - name: aegis
              image: {_quoted(place.image)}
              command: [aegis]
              args: [{arguments}]
              workingDir: /etc/aegis/documents
              envFrom:
                - secretRef: {{name: aegis-environment, optional: true}}
              volumeMounts:
                - {{name: documents, mountPath: /etc/aegis/documents, readOnly: true}}
                - {{name: site, mountPath: /etc/aegis/site, readOnly: true}}
                - {{name: state, mountPath: /var/lib/aegis}} # ledger, journals and what waits to be written
          volumes:
            - {{name: documents, configMap: {{name: aegis-documents}}}}
            - {{name: site, secret: {{secretName: aegis-site, defaultMode: 0400}}}}
            - {{name: state, persistentVolumeClaim: {{claimName: aegis-state}}}}
"""


def on_calendar(schedule: str) -> Iterator[str]:
    """Calendar events of systemd for a cron schedule. Where cron takes either of two days, there are two of them."""
    found = _read(schedule)
    hours, minutes = _listed(found.hours, 24), _listed(found.minutes, 60)
    time, months = f"{hours}:{minutes}:00", _listed(found.months, 12)
    days, week = _listed(found.days, 31), _week(found)
    if _special(found):
        yield f"*-*-* {time}"  # the catalog says whether it is the day
    elif week and days != "*" and not found.day_and:
        yield f"*-{months}-{days} {time}"
        yield f"{week} *-{months}-* {time}"
    else:
        yield f"{week} *-{months}-{days} {time}".strip()


def cron_line(schedule: str) -> str:
    """The schedule as any cron reads it: days that only some of them know become every day, and the catalog says
    whether it is the day."""
    found, parts = _read(schedule), schedule.upper().split()
    if _special(found):
        return f"{parts[0]} {parts[1]} * * *"
    if "7" in parts[4]:  # Kubernetes knows Sunday as 0 alone
        days = sorted({int(day) % 7 for day in found.weekdays if isinstance(day, int)})
        parts[4] = ",".join(map(str, days)) if len(days) < 7 else "*"
    return " ".join(parts)


def _read(schedule: str) -> CronSim:
    return CronSim(schedule, datetime(2026, 1, 1, tzinfo=UTC))


def _special(found: CronSim) -> bool:
    """Whether it names such days as the last of a month."""
    return min(found.days) < 1 or any(not isinstance(day, int) for day in found.weekdays)


def _listed(values: Iterable[int], most: int) -> str:
    ordered = sorted(values)
    return "*" if len(ordered) == most else ",".join(f"{value:02d}" for value in ordered)


def _week(found: CronSim) -> str:
    days = {day % 7 for day in found.weekdays if isinstance(day, int)}
    return "" if len(days) == 7 else ",".join(_DAYS[day] for day in sorted(days))


def _by_unit(documents: Documents) -> dict[tuple[str, Aspect], list[Job]]:
    found: dict[tuple[str, Aspect], list[Job]] = {}
    for job in jobs(documents):
        found.setdefault(job.unit, []).append(job)
    return found


def _command(place: Place, store: str, aspect: str) -> list[str]:
    return [place.program, "backup", store, "--due", "--aspect", aspect, "--by", "timer"]


def _systemd_value(text: str) -> str:
    return text.replace("%", "%%")


def _systemd_words(words: list[str]) -> str:
    def quoted(word: str) -> str:
        word = word.replace("%", "%%").replace("$", "$$")
        return word if re.fullmatch(r"[A-Za-z0-9_./:=@%$+-]+", word) else _quoted(word)

    return " ".join(quoted(word) for word in words)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(text: str) -> str:
    """A name that Kubernetes takes: of a CronJob at most 52 letters."""
    plain = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    if len(plain) <= 50 and plain == text:
        return plain
    return f"{plain[:43].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
