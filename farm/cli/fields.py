"""Options of the command line made from the fields of a spec, so that help and defaults stand in the model alone.

    option(RenderSpec, "encode.crf", "--crf")      # help and default of EncodeSettings.crf

No default is handed to the command: an option that is not written is None, and so does not override a spec file.
The help shows the default all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel


@dataclass(frozen=True)
class SpecField:
    """A field of a spec, as its option needs it."""

    annotation: Any
    """Type of the values, as the model declares it."""
    default: Any
    """Value where none is given; None where one has to be given, or where the description says what becomes of it."""
    description: str


def spec_field(model: type[BaseModel], path: str) -> SpecField:
    """The field at `path`, in which dots lead into sections: `weights.style`. Raises KeyError."""
    *sections, name = path.split(".")
    fields = model.model_fields
    defaults: dict[str, Any] = {name: None if field.is_required() else field.default for name, field in fields.items()}
    for section in sections:
        fields, defaults = type(defaults[section]).model_fields, dict(defaults[section])
    return SpecField(fields[name].annotation, defaults[name], fields[name].description or "")


def default_text(value: Any) -> str:
    """A default as it is written on the command line; empty where there is none to show.

    >>> default_text({"relu1_1": 1.0, "relu2_1": 0.5})
    'relu1_1, relu2_1:0.5'
    >>> [default_text(value) for value in (100.0, 0.003, (10, 20, 40), "dis", False, None)]
    ['100', '0.003', '10,20,40', 'dis', '', '']
    """
    if value is None or value is False or value == ():
        return ""
    if isinstance(value, BaseModel):
        value = tuple(value.model_dump().values())
    if isinstance(value, dict):
        return ", ".join(name if weight == 1 else f"{name}:{weight:g}" for name, weight in value.items())
    if isinstance(value, tuple):
        return ",".join(default_text(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def option(model: type[BaseModel], path: str, *flags: str, metavar: str = "") -> Any:
    """The option of a field: `flags` are its names, `metavar` the form of a text that the model itself reads."""
    field = spec_field(model, path)
    kind = _kind(field.annotation, metavar)
    if not metavar and kind is int and get_origin(field.annotation) is Literal:
        metavar = "|".join(map(str, get_args(field.annotation)))
    shown_default: Any = default_text(field.default) or True
    return Annotated[
        kind | None, typer.Option(*flags, help=field.description, metavar=metavar or None, show_default=shown_default)
    ]


def argument(model: type[BaseModel], path: str, metavar: str) -> Any:
    """The argument of a field that is a text. It can be left out, because a spec file may have it."""
    return Annotated[str | None, typer.Argument(metavar=metavar, help=spec_field(model, path).description)]


def bare_type(annotation: Any) -> Any:
    """A type without its `| None` and without what `Annotated` adds.

    >>> bare_type(Annotated[int | None, "pixels"])
    <class 'int'>
    """
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not NoneType)
    return annotation


def _kind(annotation: Any, metavar: str) -> Any:
    """What the command line reads: text in the model's own form, a list of it, a word of several, or a plain value.

    Words that are numbers are read as any number, and refused by the model. Raises TypeError for a field that is
    none of these and has no form.
    """
    annotation = bare_type(annotation)
    values = get_args(annotation)
    if get_origin(annotation) is tuple and issubclass(values[0], BaseModel):
        return list[str]
    if metavar:
        return str
    if get_origin(annotation) is Literal:
        return annotation if isinstance(values[0], str) else type(values[0])
    if annotation in (str, int, float, bool):
        return annotation
    raise TypeError(f"{annotation} needs a form in which it is written")
