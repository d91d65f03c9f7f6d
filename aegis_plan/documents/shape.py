"""What the model says of the form of a document: each refusal of the model as an error with place, meaning and hint.

It repeats no value that people wrote, for a value can be a secret at the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aegis_plan.documents.model import Documents
from aegis_plan.documents.nearest import Nearest
from aegis_plan.documents.tree import Node, Path, dotted
from aegis_plan.errors import AegisError

_WANTED = {
    "string_type": "a text belongs here",
    "int_type": "a whole number belongs here",
    "int_parsing": "a whole number belongs here",
    "int_parsing_size": "a whole number belongs here, and a smaller one",
    "int_from_float": "a whole number belongs here",
    "float_type": "a percentage such as 99.9% belongs here",
    "float_parsing": "a percentage such as 99.9% belongs here",
    "bool_type": "true or false belongs here",
    "bool_parsing": "true or false belongs here",
    "time_delta_type": "a duration such as 15m, 4h or 4 weeks belongs here",
    "time_delta_parsing": "a duration such as 15m, 4h or 4 weeks belongs here",
    "model_type": "a map belongs here",
    "model_attributes_type": "a map belongs here",
    "dict_type": "a map of names belongs here",
    "tuple_type": "a list belongs here",
}


def problems(error: ValidationError, root: Node, near: Nearest) -> Iterator[AegisError]:
    """One error for each place that the model refuses."""
    seen: set[Path] = set()
    for refused in error.errors(include_url=False, include_input=False):
        path = _path(refused["loc"])
        if path not in seen:
            seen.add(path)
            yield _problem(refused, path, root, near)


def _path(location: tuple[str | int, ...]) -> Path:
    """The path within the document: the model's own location also names variants of unions."""
    path = list(location)
    if path[:1] == ["repositories"] and len(path) > 2:
        del path[2]
    if path[:1] == ["sites"] and path[2:3] == ["reach"] and len(path) > 3:
        del path[3]
    return tuple(path)


def _problem(refused: ErrorDetails, path: Path, root: Node, near: Nearest) -> AegisError:
    kind, context = refused["type"], refused.get("ctx", {})
    if path[-1:] == ("[key]",):
        path = path[:-1]
        return AegisError(
            "name-invalid", "not a name", dotted(path[:-1]), _message(refused), root.place(path, key=True)
        )
    if kind == "missing" or kind == "union_tag_not_found":
        path = path if kind == "missing" else (*path, "kind")
        return AegisError(
            "field-missing",
            "a key is missing",
            f"'{path[-1]}' is missing" + (f" in {dotted(path[:-1])}" if path[:-1] else ""),
            f"add '{path[-1]}:'" + ("" if kind == "missing" else " with local or s3"),
            root.place(path[:-1]),
        )
    if kind == "extra_forbidden":
        known = allowed(path[:-1], root)
        return AegisError(
            "field-unknown",
            "a key that nothing knows",
            f"'{path[-1]}' is no key" + (f" of {dotted(path[:-1])}" if path[:-1] else " of a document"),
            near.hint(str(path[-1]), known),
            root.place(path, key=True),
        )
    if kind == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in str(context.get("expected_tags", "")).split(",")]
        path = (*path, "kind")
        node = root.at(path)
        word = node.value if node is not None and isinstance(node.value, str) else ""
        return AegisError(
            "kind-unknown",
            "no such kind of repository",
            f"{dotted(path)} is one of: {', '.join(tags)}",
            near.hint(word, tags),
            root.place(path),
        )
    node = root.at(path)
    empty = node is not None and node.value is None
    detail = f"{dotted(path) or 'the document'}: {'it has no value; ' if empty else ''}{_message(refused)}"
    hint = "write it as a list: [...], or one item a line after '- '" if kind == "tuple_type" else ""
    if path[:1] == ("sites",) and path[2:] == ("reach",):
        detail, hint = f"{dotted(path)}: how the site is reached", "write local, or {ssh: user@host}"
    elif kind == "literal_error" and node is not None and isinstance(node.value, str):
        choices = [choice.strip("' ") for choice in str(context.get("expected", "")).replace(" or ", ",").split(",")]
        hint = near.hint(node.value, choices)
    return AegisError("value-invalid", "a value that cannot be", detail, hint, root.place(path))


def _message(refused: ErrorDetails) -> str:
    kind, context = refused["type"], refused.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error", refused["msg"]))
    if kind == "literal_error":
        return f"it is one of: {str(context.get('expected', '')).replace(' or ', ', ')}".replace("'", "")
    return _WANTED.get(kind, refused["msg"][:1].lower() + refused["msg"][1:])


def allowed(path: Path, root: Node) -> list[str]:
    """The keys that the model knows at a path; none where it is no model."""
    kind: Any = Documents
    node: Node | None = root
    for part in path:
        node = node.child(part) if node is not None else None
        kind = _below(_choose(kind, None), part)
        kind = _choose(kind, node)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _below(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return field.annotation if field is not None else None
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    if get_origin(kind) is tuple:
        return arguments[0]
    return None


def _choose(kind: Any, node: Node | None) -> Any:
    """The variant of a union that the node means; what is annotated, bare."""
    if get_origin(kind) is Annotated:
        return _choose(get_args(kind)[0], node)
    if get_origin(kind) not in (Union, UnionType):
        return kind
    variants = [_choose(variant, node) for variant in get_args(kind)]
    models = [variant for variant in variants if isinstance(variant, type) and issubclass(variant, BaseModel)]
    word = node.child("kind") if node is not None else None
    for model in models:
        field = model.model_fields.get("kind")
        if field is not None and word is not None and word.value in get_args(field.annotation):
            return model
    return models[0] if models else next((variant for variant in variants if get_origin(variant)), None)
