"""Keys as people read them: who can open what. It is handed plain data and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text


def show_keys(found: Mapping[str, Any], out: Console) -> None:
    """Recipients with what they open, signers, and what is not as the documents say."""
    if not found["sealing"]:
        out.print("The documents have no section 'sealing'. 'aegis keys new SITE' makes keys and prints it.")
        return
    out.print(Text("recipients", style="quiet"))
    total: Mapping[str, int] = found["data_keys"]
    for one in found["recipients"]:
        head = Text(f"  {one['id']}  ", style="name").append(", ".join(one["roles"]), style=_style(one))
        out.print(head.append(f"  {one['holder']}" if one["holder"] else "", style="quiet"), soft_wrap=True)
        out.print(Text(f"    {one['recipient']}", style="quiet"), soft_wrap=True)
        if total:
            out.print(f"    opens {_opened(one, total)}", soft_wrap=True)
        if one["private_half_here"]:
            lost = "recovery" in one["roles"]
            text = "PRIVATE HALF HERE: take it off this host" if lost else "private half here"
            out.print(Text(f"    {text}", style="bad" if lost else "good"))
    out.print(Text("signers", style="quiet"))
    for one in found["signers"]:
        mark = "  private half here" if one["private_half_here"] else ""
        former = " (former)" if one["state"] == "former" else ""
        out.print(f"  {one['site'] + former:<16} {one['key']}{mark}", soft_wrap=True)
    for one in found["apart"]:
        text = f"{one['store']}: {len(one['keys'])} data keys in {', '.join(one['repositories'])}: {one['why']}"
        out.print(Text(text, style="warn"), soft_wrap=True)
    if found["apart"]:
        out.print("'aegis keys rewrap' wraps them to the recipients of today.")
    for text in found["unseen"] or ():
        out.print(Text(f"not seen: {text}", style="warn"), soft_wrap=True)
    if found["unseen"] is None:
        out.print(Text("No repository was asked, so that what each opens is not known.", style="quiet"))
    elif found["spare"] and not found["apart"] and not found["unseen"]:
        opens = "identity of this host opens" if len(found["spare"]) == 1 else "identities of this host open"
        out.print(
            f"{len(found['spare'])} {opens} nothing that was looked at: delete the file and its line in the site file "
            "when no other system needs it.",
            soft_wrap=True,
        )


def _style(one: Mapping[str, Any]) -> str:
    return "bad" if one["roles"] == ["removed"] else "default"


def _opened(one: Mapping[str, Any], total: Mapping[str, int]) -> str:
    parts = [f"{one['opens'].get(store, 0)} of {count} of {store}" for store, count in total.items()]
    return (
        ", ".join(parts)
        if one["opens"]
        else "nothing" + (" but what the next backup needs" if "host" in one["roles"] else "")
    )
