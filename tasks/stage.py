"""Prefect's tasks, made when they are first called: who only predicts shares their doors and never loads Prefect."""

from collections.abc import Callable
from functools import cached_property, partial, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from prefect import Task

P = ParamSpec("P")
R = TypeVar("R")


class Stage(Generic[P, R]):
    """A function that is a task of Prefect's when it is called.

    Attributes:
        fn: the function itself, as Prefect's tasks have it.
    """

    def __init__(self, function: Callable[P, R], options: dict[str, Any]) -> None:
        self.fn = function
        self._options = options
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task: in a flow as a part of it, as Prefect does."""
        return self.task(*args, **kwargs)

    @cached_property
    def task(self) -> "Task[P, R]":
        """Prefect's task."""
        from prefect import task  # noqa: PLC0415 -- it takes seconds to load

        return task(**self._options)(self.fn)


def stage(**options: Any) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Make a function a task, with the options of Prefect's decorator `task`."""
    return partial(_stage, options)


def _stage(options: dict[str, Any], function: Callable[P, R]) -> Stage[P, R]:
    return Stage(function, options)
