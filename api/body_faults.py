"""All faults of a body: msgspec stops at the first."""

import enum
from collections.abc import Iterator
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from api.complaints import detail_of, placed
from api.prices import read_price
from api.problems import Detail

MOST = 50


def faults_of(body: Any, kind: type[msgspec.Struct]) -> list[Detail]:
    """Return the faults of a body, at most MOST."""
    found = _in_value(body, kind, "")
    return [detail for detail, _ in zip(found, range(MOST), strict=False)]


def _in_value(value: Any, hint: Any, path: str) -> Iterator[Detail]:
    plain = _members(hint)
    structs = [each for each in plain if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    lists = [each for each in plain if get_origin(each) is list]
    if structs and isinstance(value, dict):
        yield from _in_struct(value, structs[0], path)
    elif lists and isinstance(value, list):
        yield from _in_list(value, hint, get_args(lists[0])[0], path)
    else:
        yield from _in_leaf(value, hint, path)


def _in_struct(value: dict[str, Any], kind: type[msgspec.Struct], path: str) -> Iterator[Detail]:
    fields = msgspec.structs.fields(kind)
    names = {field.encode_name for field in fields}
    for name in value:
        if name not in names:
            yield detail_of(f"Object contains unknown field `{name}`", path)
    good: dict[str, Any] = {}
    faulty: set[str] = set()
    for field in fields:
        at = f"{path}.{field.encode_name}" if path else field.encode_name
        if field.encode_name not in value:
            found = [detail_of(f"Object missing required field `{field.encode_name}`", path)]
            found = found if field.required else []
        else:
            found = list(_in_value(value[field.encode_name], field.type, at))
        yield from found
        if found:
            faulty.add(at)
        elif field.encode_name in value:
            good[field.name] = msgspec.convert(value[field.encode_name], field.type, dec_hook=read_price)
    for each in _of_rules(kind, good, path):
        if each.field not in faulty and not (each.code == "required" and _is_given(kind, faulty, path)):
            yield each


def _is_given(kind: type[msgspec.Struct], faulty: set[str], path: str) -> bool:
    """Whether one of the fields of which at least one is required is there, with another fault."""
    needed: tuple[str, ...] = getattr(kind, "at_least_one_of", ())
    return any((f"{path}.{name}" if path else name) in faulty for name in needed)


def _of_rules(kind: type[msgspec.Struct], good: dict[str, Any], path: str) -> Iterator[Detail]:
    """Yield what the rules of the struct refuse, which read its fields only."""
    rules = getattr(kind, "complaints", None)
    if rules is None:
        return
    given = {field.name: good.get(field.name, _default(field)) for field in msgspec.structs.fields(kind)}
    for complaint in rules(SimpleNamespace(**given)):
        text, inner = placed(complaint)
        yield detail_of(text, f"{path}{inner}" if path else inner.lstrip("."))


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return None if field.default is msgspec.NODEFAULT else field.default


def _in_list(value: list[Any], hint: Any, element: Any, path: str) -> Iterator[Detail]:
    metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
    yield from _in_leaf(value, Annotated[list[Any], *metas] if metas else list[Any], path)
    for index, each in enumerate(value):
        yield from _in_value(each, element, f"{path}[{index}]")


def _in_leaf(value: Any, hint: Any, path: str) -> Iterator[Detail]:
    try:
        msgspec.convert(value, hint, dec_hook=read_price)
    except msgspec.ValidationError as error:
        complaint, inner = placed(str(error))
        detail = detail_of(complaint, path + inner)
        choices = _choices(hint)
        if detail.code == "invalid" and choices:
            detail = Detail("invalid", f"This must be one of {', '.join(choices)}.", detail.field)
        yield detail


def _choices(hint: Any) -> list[str]:
    for each in _members(hint):
        if get_origin(each) is Literal:
            return [str(choice) for choice in get_args(each)]
        if isinstance(each, type) and issubclass(each, enum.Enum):
            return [str(choice.value) for choice in each]
    return []


def _members(hint: Any) -> list[Any]:
    """Return the types of a hint, without metadata and unions."""
    if get_origin(hint) is Annotated:
        return _members(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [member for each in get_args(hint) for member in _members(each)]
    return [hint]
