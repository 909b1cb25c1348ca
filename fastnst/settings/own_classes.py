"""Objects of a user's own classes, which the settings of a run name by ``_target_``, as Hydra does it.

To import a class is to run its file. Only settings that a person gives to a command come here, never the card of a
model or anything else that a stranger may have written.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastnst.errors import InputError

TARGET = "_target_"


def is_own(settings: Any) -> bool:
    """Whether settings name a class: then all that stands beside ``_target_`` are its arguments."""
    return isinstance(settings, Mapping) and settings.get(TARGET) is not None


def make(name: str, settings: Any, *given: Any, offered: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> Any:
    """Make what settings name; modules are also looked for in the current folder.

    Args:
        name: of the settings, for messages.
        settings: ``_target_``, an import path, and the arguments; nested ones with a ``_target_`` are made, too. With
            ``_partial_: true`` the class or function itself is given back, with its arguments bound.
        given: arguments that come first.
        offered: arguments that are given where the class names them, or takes any.
        more: further arguments.

    Raises:
        InputError: there is no ``_target_``, it cannot be imported, or does not take these arguments. What goes wrong
            inside a class is left as it is: its author wants to see where.
    """
    from hydra.errors import HydraException
    from hydra.utils import instantiate

    if not is_own(settings):
        raise InputError(
            f"{name}={settings!r}: expected settings with a _target_, such as {{_target_: my_file.MyClass}}."
        )
    if os.getcwd() not in sys.path:  # a script's own folder stands there in its place
        sys.path.append(os.getcwd())
    try:
        made = instantiate({**settings, "_partial_": True, "_convert_": "all"})
    except HydraException as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        what = " ".join(str(cause).split()) or type(cause).__name__
        raise InputError(f"{name}.{TARGET}={settings[TARGET]} cannot be imported ({what}).") from None
    if settings.get("_partial_"):
        return made
    arguments = {**made.keywords, **more}
    try:
        signature = inspect.signature(made.func)
        any_name = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
        offers = {key: value for key, value in offered.items() if any_name or key in signature.parameters}
        arguments = {**offers, **arguments}
        signature.bind(*given, *made.args, **arguments)
    except TypeError as error:
        raise InputError(f"{name}.{TARGET}={settings[TARGET]} does not take these arguments ({error}).") from None
    return made.func(*given, *made.args, **arguments)
