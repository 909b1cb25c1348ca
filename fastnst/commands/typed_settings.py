"""From the configuration that Hydra composed to settings of :mod:`fastnst.settings`, each checked on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fastnst.errors import InputError
from fastnst.places import shipped
from fastnst.settings import OWN, DataSettings, LossSettings, ReconstructionSettings, TrainerSettings
from fastnst.settings.own_classes import is_own

CONFIGS = shipped("configs")
DEFAULTS = {
    DataSettings: "data/coco", LossSettings: "loss/normalized", ReconstructionSettings: "loss/reconstruction",
    TrainerSettings: "trainer/auto",
}  # fmt: skip
"""Groups of which a user's own file may leave settings out, and the file in `configs/` that has them."""
NEEDED = {
    "content": "which picture? Add content=PATH (or a sample photograph: content=chelsea).",
    "style.images": "style=many needs the pictures: add style.images=[A.jpg,B.jpg], or a folder.",
    "network._target_": "network=custom needs a class: add network._target_=my_file.MyNetwork.",
    "data._target_": "data=custom needs a class: add data._target_=my_file.MyData.",
    "style.image": "style=custom needs the style picture: add style.image=PATH.",
}
"""Settings that have no default, and what is said where they are not given."""
EXPECTED: dict[Any, str] = {
    bool: "true or false", float: "a number", int: "a whole number", str: "a text",
    list[float]: "numbers in brackets, such as [1.0, 1.5]", dict[str, float]: "names with numbers, such as {a: 1.0}",
}  # fmt: skip
"""Kinds of settings in words; the others hold settings."""

Settings = TypeVar("Settings")


def typed(config: DictConfig, kind: type[Settings]) -> Settings:
    """Settings of class ``kind``.

    Raises:
        InputError: a setting is unknown, without a value, or has one of another kind.
    """
    known = known_settings(kind)
    settings = OmegaConf.structured(kind)
    for group in (own := [group for group in OWN if group in known and is_own(config.get(group))]):
        settings[group] = OmegaConf.structured(OWN[group])
        known |= known_settings(OWN[group], f"{group}.")
    try:
        require_values(name for name, value in one_by_one(config, known, resolve=False) if value == "???")
        for group, inner in known.items():
            if inner in DEFAULTS and isinstance(config.get(group), DictConfig):
                settings.merge_with({group: OmegaConf.load(CONFIGS / f"{DEFAULTS[inner]}.yaml")})
        for name, value in one_by_one(config, known, resolve=True):
            group, _, last = name.partition(".")
            if name not in known and group in own:  # an argument of the user's class
                settings[group].arguments[last] = value
                continue
            if name not in known:
                raise InputError(unknown(name, kind))
            put(settings, name, value, known[name])
        require_values(OmegaConf.missing_keys(settings))
        made = OmegaConf.to_object(settings)
    except OmegaConfBaseException as error:
        raise InputError(in_a_line(error)) from None
    assert isinstance(made, kind)
    return made


def put(settings: DictConfig, name: str, value: Any, kind: Any) -> None:
    """Set one of the settings, if the value is of its kind."""
    group, _, last = name.rpartition(".")
    if group:
        settings.merge_with({group: {}})
    try:
        # OmegaConf would also take true for 1 or "True", and any number for true.
        if kind is not Any and (isinstance(value, bool) != (kind is bool) or "\0" in str(value)):
            raise ValueError
        (settings[group] if group else settings)[last] = value
    except (OmegaConfBaseException, ValueError):
        raise InputError(f"{name}={value!r}: expected {in_words(kind)}.") from None


def known_settings(kind: type, prefix: str = "") -> dict[str, Any]:
    """The settings of a class and their kinds: ``{"style": StyleSettings, "style.name": str, ...}``."""
    known: dict[str, Any] = {}
    for name, inner in get_type_hints(kind).items():
        known[f"{prefix}{name}"] = inner
        if is_dataclass(inner):
            known |= known_settings(inner, f"{prefix}{name}.")  # type: ignore[arg-type]  # a class
    return known


def one_by_one(config: DictConfig, known: dict[str, Any], resolve: bool) -> Iterator[tuple[str, Any]]:
    """``("style.name", "mosaic"), ..., ("seed", 0)``: layers and a network's arguments are one setting each."""
    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)
    for name, value in values.items():
        if isinstance(value, dict) and is_dataclass(known.get(str(name))):
            yield from ((f"{name!s}.{inner}", one) for inner, one in value.items())
        else:
            yield str(name), value


def require_values(missing: Iterable[str]) -> None:
    for name in sorted(missing):
        raise InputError(NEEDED.get(name, f"{name} has no value: add {name}=VALUE."))


def unknown(name: str, kind: type) -> str:
    (nearest,) = get_close_matches(name, known_settings(kind), n=1, cutoff=0)
    return f"{name}: there is no such setting; the nearest is {nearest}."


def in_words(kind: Any) -> str:
    """``"a text, or null"`` for ``str | None``."""
    first, *others = get_args(kind) if type(None) in get_args(kind) else [kind]
    return EXPECTED.get(first, "settings with names, such as {a: 1}") + (", or null" if others else "")


def in_a_line(error: OmegaConfBaseException) -> str:
    """What OmegaConf says of which setting, without its own names of kinds."""
    name, what = getattr(error, "full_key", None), str(error).partition("\n")[0]
    return f"{name}: {what}" if name else what
