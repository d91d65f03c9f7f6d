"""The recovery sheet: what a person needs who has nothing but an empty machine, a printed page and the recovery key. As
text and as a page to print. It is handed what it shows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH = 92


@dataclass(frozen=True)
class Place:
    """One repository: what it is called, its address, and which secrets its access needs."""

    name: str
    address: str
    access: str


@dataclass(frozen=True)
class Sheet:
    """All that stands on it. `secret` is the recovery key, only where it was asked for."""

    system: str
    made: datetime
    tool: str
    places: tuple[Place, ...]
    recovery: str
    """The recovery recipient and its short id."""
    kept: str
    """Where the private half is; empty where the documents do not say."""
    readers: tuple[str, ...]
    """Others who can open backups."""
    signers: tuple[str, ...]
    url: str
    """The address that a bare machine begins with."""
    stores: tuple[str, ...]
    secret: str = ""

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """What to type, and what it does."""
        store = self.stores[0] if self.stores else "STORE"
        given = '--from "$FROM" --key recovery.age'
        return (
            ("pip install aegis-plan", "the tool; a copy of it lies in the repositories too"),
            ("umask 077; cat > recovery.age", "type the recovery key, end with Ctrl-D"),
            (f"FROM='{self.url}'", "or the address of another repository above; first set what it takes for access"),
            (f"aegis status {given}", "what there is and how old; changes nothing"),
            (f"aegis catalog {given}", "every backup, and the moments to go back to"),
            (f"aegis restore {store} {given} --beside /srv/restored", "one store into a folder, touching no server"),
            (f"aegis plan {given} --scenario NAME", "the whole recovery as it is declared"),
            (
                f"aegis status {given} --trust ed25519:...",
                "only where it says that it believes no signer: one named above",
            ),
        )


ALONE = (
    "Without the tool: 'unseal.py' beside the publications in each repository opens a set with the standard tools of a "
    "Python, given the recovery key; the runbook beside it says how to do it by hand. The wrapped data keys are age "
    "files: 'age -d -i recovery.age' opens them."
)
SECRETS = (
    "Passwords of databases and buckets are not here; keep the access to one bucket with the recovery key. 'aegis keys "
    "escrow' puts them into the repositories, sealed to the recovery key alone; a recovery with --from finds them, and "
    "'aegis keys escrow --open FILE --identity recovery.age --out secrets.sh' gives them back."
)


def as_text(sheet: Sheet) -> str:
    """For a terminal or a printer without more."""
    lines = [f"RECOVERY SHEET   {sheet.system}", f"made {sheet.made:%Y-%m-%d %H:%M %Z} by {sheet.tool}", ""]
    lines += ["1. Repositories"]
    for place in sheet.places:
        lines += [f"   {place.name}: {place.address}", *_folded(place.access, "      ")]
    lines += ["", "2. The recovery key", f"   {sheet.recovery}"]
    lines += _folded(f"kept: {sheet.kept or _blank(52)}", "   ")
    if sheet.secret:
        lines += ["   SECRET, whoever reads this opens every backup:", f"   {sheet.secret}"]
    if sheet.readers:
        lines += ["   backups open with these as well:", *(f"   - {one}" for one in sheet.readers)]
    lines += ["   signed by:", *(f"   - {one}" for one in sheet.signers)]
    lines += ["", "3. On an empty machine"]
    for command, why in sheet.commands:
        lines += [f"   $ {command}", f"       {why}"]
    lines += ["", "4. Beside it", *_folded(ALONE, "   "), *_folded(SECRETS, "   ")]
    lines += ["", f"tried on {_blank(20)}  by {_blank(20)}  it worked: yes / no"]
    return "\n".join(lines) + "\n"


def _blank(width: int) -> str:
    return "_" * width


def _folded(text: str, indent: str) -> Sequence[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def as_html(sheet: Sheet) -> str:
    """One page to print, in black and white, that needs nothing from anywhere else."""
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    return page.render(sheet=sheet, alone=ALONE, secrets=SECRETS)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Recovery sheet: {{ sheet.system }}</title>
<style>
@page { size: A4; margin: 14mm }
body { font: 10pt/1.35 system-ui, sans-serif; color: #000; max-width: 178mm; margin: 1em auto }
h1 { font-size: 17pt; margin: 0 } h2 { font-size: 11.5pt; margin: 1.1em 0 .3em; border-bottom: 1px solid #000 }
p, ul, ol { margin: .3em 0 } small { color: #444 } li { break-inside: avoid }
code { font: 9.5pt/1.35 ui-monospace, monospace; overflow-wrap: anywhere }
.secret { border: 2px solid #000; padding: .5em; break-inside: avoid }
.line { display: inline-block; border-bottom: 1px solid #000; min-width: 45mm }
.wide { min-width: 110mm }
dt { margin-top: .4em } dd { margin: 0 0 0 5mm }
</style></head><body>
<h1>Recovery sheet: {{ sheet.system }}</h1>
<small>made {{ sheet.made.strftime("%Y-%m-%d %H:%M %Z") }} by {{ sheet.tool }}</small>
<h2>1. Repositories</h2>
<dl>{% for place in sheet.places %}
<dt><b>{{ place.name }}</b> <code>{{ place.address }}</code></dt><dd>{{ place.access }}</dd>
{% endfor %}</dl>
<h2>2. The recovery key</h2>
<p><code>{{ sheet.recovery }}</code></p>
<p>kept: {% if sheet.kept %}{{ sheet.kept }}{% else %}<span class="line wide">&nbsp;</span>{% endif %}</p>
{% if sheet.secret %}
<p class="secret"><b>SECRET: whoever reads this opens every backup</b><br><code>{{ sheet.secret }}</code></p>
{% endif %}
{% if sheet.readers %}
<p>Backups open with these as well:</p>
<ul>{% for one in sheet.readers %}<li><code>{{ one }}</code></li>{% endfor %}</ul>
{% endif %}
<p>Signed by:</p>
<ul>{% for one in sheet.signers %}<li><code>{{ one }}</code></li>{% endfor %}</ul>
<h2>3. On an empty machine</h2>
<ol>{% for command, why in sheet.commands %}
<li><code>{{ command }}</code><br><small>{{ why }}</small></li>
{% endfor %}</ol>
<h2>4. Beside it</h2>
<p>{{ alone }}</p><p>{{ secrets }}</p>
<p style="margin-top: 2em">tried on <span class="line">&nbsp;</span> by <span class="line">&nbsp;</span>
it worked: yes / no</p>
</body></html>
"""
