"""A function whose every call runs within a section."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

P = ParamSpec("P")
R = TypeVar("R")


def name_of(function: Callable[..., object]) -> str:
    """What a function, a method, a partial or a callable object is known by."""
    whole = getattr(function, "func", function)  # of functools.partial
    return str(getattr(whole, "__qualname__", type(whole).__name__))


def wrapped(
    function: Callable[P, R], section: Callable[[], AbstractContextManager[object]]
) -> Callable[P, R]:
    """*function*, or coroutine function, each call within what *section* makes anew for it.

    The last call's section is the attribute ``measured`` of what is returned, None before the first.

    Raises:
        TypeError: a generator, whose work happens after its call.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name_of(function)} is a generator: measure what consumes it")
    wrapper: Any
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
            with section() as wrapper.measured:
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with section() as wrapper.measured:
                return function(*args, **kwargs)

    wrapper.measured = None
    return wrapper  # type: ignore[no-any-return]
