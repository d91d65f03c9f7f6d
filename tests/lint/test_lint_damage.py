"""Documents broken in any way give findings or clean errors through `validate`, soon, and never a traceback.

Half of them stay valid and say something odd, so that lint has to make sense of it."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from aegis_plan.cli.main import main

PLAN = Path(__file__).parent.parent.parent / "plans" / "aegis"
TEXT = "\n".join(
    line for path in sorted(PLAN.glob("*.yaml")) for line in path.read_text().splitlines() if line != "aegis: v1"
)
LINES = TEXT.split("\n")
DURATIONS = ["0s", "1ms", "1m", "15m", "24h", "99h", "52 weeks", "300000d", "9999999999d", "1h1h1h", "-1h"]
SCHEDULES = ["* * * * *", "0 0 29 2 *", "30 2 * * *", "59 23 31 12 *", "*/7 */5 * * 1#2", "0 0 L * *", "0 0 31 2 *"]
ZONES = ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Nuuk", "UTC", "Mars/X"]
ODD = ["[", "{", "&a ", "*a", "<<: *a", "\t", "'", '"', "|", "9" * 5000, "1e999", "~", "[]", "{}", "\x00", "\u2028"]
ODD += ["[" * 500, "{a: " * 500, '"\\ud800"', "${file:/x}", "${command:[[}", "password=x", "TODO", "yes", "0x10", "é"]
LAUGHS = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}' if n else 'ha'] * 9)}]\n" for n in range(12))


def broken(chance: random.Random) -> bytes:
    """The source plan with something done to it."""
    lines = list(LINES)
    kinds = ["cut", "drop", "twice", "swap", "put", "indent", "type", "key", *["odd value"] * 8]
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        column = chance.randint(0, len(lines[at]))
        match chance.choice(kinds):
            case "cut":
                lines[at] = lines[at][:column]
            case "drop":
                del lines[at]
            case "twice":
                lines.insert(at, lines[at])
            case "swap":
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case "put":
                lines[at] = lines[at][:column] + chance.choice(ODD) + lines[at][column:]
            case "indent":
                lines[at] = " " * chance.randint(1, 5) + lines[at]
            case "type" | "key":
                name, colon, _value = lines[at].partition(":")
                lines[at] = f"{name}{colon} {chance.choice([*ODD, '[a, b]', '{a: b}', '5', 'seoul'])}"
            case "odd value":
                _odd_value(lines, chance)
    text = "aegis: v1\n" + "\n".join(lines) + "\n"
    match chance.randrange(40):
        case 0:
            return text.encode()[: chance.randrange(len(text))]
        case 1:
            data = bytearray(text.encode())
            for _ in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            return bytes(data)
        case 2:
            return (text + "laughs:\n" + LAUGHS).encode()
        case 3:
            return (
                text + "services:\n" + "".join(f"  s{n}: {{tier: 1, uses: [s{n + 1}]}}\n" for n in range(500))
            ).encode()
    return text.encode()


def _odd_value(lines: list[str], chance: random.Random) -> None:
    """Another value of the right kind: the text stays valid more often than not."""
    keys = {
        "rto: ": DURATIONS, "rpo: ": DURATIONS, "retain: ": DURATIONS, "decide: ": DURATIONS, "dwell: ": DURATIONS,
        "estimate: ": DURATIONS, "duration: ": DURATIONS, "schedule: ": SCHEDULES, "timezone: ": ZONES,
        "site: ": ["seoul", "busan"], "strategy: ": ["restore", "failover", "auto"], "tier: ": ["1", "2", "3"],
        "deputy: ": ["incident-commander", "security-lead"], "disruption: ": ["site", "logical", "host"],
    }  # fmt: skip
    key = chance.choice(list(keys))
    places = [index for index, line in enumerate(lines) if key in line]
    if not places:
        return
    at = chance.choice(places)
    before, _, rest = lines[at].partition(key)
    end = (
        rest.find('"', 1) + 1
        if rest.startswith('"')
        else next((i for i, c in enumerate(rest) if c in ",}#"), len(rest))
    )
    lines[at] = before + key + json.dumps(chance.choice(keys[key])) + " " + rest[end:]


def test_broken_documents_give_findings_or_clean_errors(
    tmp_path: Path, sweep: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AEGIS_TRACEBACK", raising=False)
    chance = random.Random(2000)
    codes = {0: 0, 1: 0, 3: 0}
    slowest, which = 0.0, 0
    for number in range(2000 if sweep else 200):
        file = tmp_path / "broken.yaml"
        file.write_bytes(broken(chance))
        as_json = number % 3 == 0
        begin = time.monotonic()
        code = main(["validate", str(file), *(["--json"] if as_json else [])])
        took = time.monotonic() - begin
        if took > slowest:
            slowest, which = took, number
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err, number
        assert "internal-error" not in shown.out + shown.err, (number, shown.out + shown.err)
        codes[code] += 1
        if as_json:
            told = json.loads(shown.out)["findings"]
            severities = {finding["severity"] for finding in told}
            assert code == (1 if "error" in severities else 3 if "breach" in severities else 0), number
            assert all("position" in finding for finding in told), number
        else:
            assert shown.err if code == 1 else shown.out, number
        # A bound against what grows without end, on the slowest machine; the usual is a hundredth of it.
        assert took < 10, number
    with capsys.disabled():
        print(f"\nbroken documents: {codes}, the slowest is number {which} with {slowest:.2f} s")
    assert min(codes[1], codes[3]) > 20
