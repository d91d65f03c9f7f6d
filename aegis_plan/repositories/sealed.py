"""Whether an object really is sealed: its magic, the header that is bound to its key, and, where a key is at hand, its
first and last segment. It reads by range, writes nothing and shows nothing of what it opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.catalog.record import StoredObject
from aegis_plan.errors import DamageError
from aegis_plan.repositories.contract import Repository
from aegis_plan.sealing.frames import MAGIC, header, preamble
from aegis_plan.sealing.keys import object_key
from aegis_plan.sealing.stream import HEADER, SEGMENT, SegmentReader, segments_of


def inspect(repository: Repository, stored: StoredObject, secrets: Sequence[bytes] = ()) -> str:
    """What is wrong with an object, or nothing. `secrets` are halves of its set's data key, of which one has to open
    its first and last segment; without any only what can be read without a key is looked at.

    Raises what the repository raises that does not answer."""
    head = header(stored.key)
    front = preamble(head)
    size = min(stored.sealed_size, len(front) + SEGMENT) if secrets else len(front)
    begin = b"".join(repository.get(stored.key, 0, size))
    if not begin.startswith(MAGIC):
        return "it is not sealed: the seal's mark is not at its beginning"
    if not begin.startswith(front):
        return "it is sealed for another place, or its header was changed"
    if not secrets:
        return ""
    stream = stored.sealed_size - len(front)
    last = segments_of(stream) - 1
    end = b""
    if last:
        place = len(front) + last * SEGMENT
        end = b"".join(repository.get(stored.key, place, stored.sealed_size - place))
    reason = ""
    for secret in secrets:
        try:
            reader = SegmentReader(object_key(secret, stored.key), head, begin[len(front) : len(front) + HEADER])
            reader.open(0, begin[len(front) + HEADER :], last == 0)
            if last:
                reader.open(last, end, True)
        except DamageError as error:
            reason = error.detail
        else:
            return ""
    return f"it does not open with the key of its set: {reason}"


def hold(repository: Repository, objects: Sequence[StoredObject], secrets: Sequence[bytes]) -> None:
    """Holds that everything that was just written there is sealed. Raises DamageError `written-not-sealed`, and what
    the repository raises that does not answer."""
    for stored in objects:
        why = inspect(repository, stored, secrets)
        if why:
            raise DamageError(
                "written-not-sealed",
                "what was just written is not sealed as it has to be",
                f"{repository.name}: {stored.key}: {why}",
                "do not rely on that storage, and look at what lies between; the backup does not count",
            )
