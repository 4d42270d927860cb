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


def wrapped(
    function: Callable[P, R], section: Callable[[], AbstractContextManager[object]]
) -> Callable[P, R]:
    """*function*, or coroutine function, each call within what *section* makes anew for it.

    The last call's section is the attribute ``measured`` of what is returned, None before the first.

    Raises:
        TypeError: a generator, whose work happens after its call.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__qualname__} is a generator: measure what consumes it")
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
