"""What ``wattwhy images build|list|save|load`` print and do."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from energy_plugin.declare.catalog import load_catalog
from energy_plugin.run import driverimage, images
from energy_plugin.run.executors.engine import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from docker import DockerClient


@contextmanager
def _engine() -> Iterator[DockerClient]:
    client = connect()
    try:
        yield client
    finally:
        client.close()


def build(arguments: argparse.Namespace) -> None:
    """Build the named repositories, all if none is named, on the base asked for; ``driver`` when named."""
    names = [name for name in arguments.names if name != driverimage.NAME]
    repositories = (
        [] if arguments.names and not names else images.choose(load_catalog(arguments.images), names)
    )
    with _engine() as client:
        makers = []
        if repositories:
            base = images.resolve_base(client, arguments.base, _say)
            makers = [partial(images.build, client, repository, base, _say) for repository in repositories]
        if driverimage.NAME in arguments.names:
            makers.append(partial(driverimage.build, client, arguments.base, _say))
        for make in makers:
            started = time.monotonic()
            tag, built = make()
            if built:
                _say(f"{tag}: built in {time.monotonic() - started:.1f} s")


def show(arguments: argparse.Namespace) -> None:
    """One line an image: its state against the present sources, size and base."""
    catalog = load_catalog(arguments.images)
    now = {name.lower(): repository.own_sources for name, repository in catalog.repositories.items()}
    with _engine() as client:
        found = images.all_images(client)
    for image in found:
        present = now.get(image.repository)
        state = "unknown" if present is None else "current" if present == image.sources else "old sources"
        _say(f"{image.tag}  {state}  {image.bytes / 1e6:.0f} MB  {image.base}  {image.created[:19]}")
    absent = [name for name in catalog.repositories if name.lower() not in {i.repository for i in found}]
    if absent:
        _say(f"no image of: {', '.join(absent)} (wattwhy images build {' '.join(absent)})")


def save(arguments: argparse.Namespace) -> None:
    """Write the images of the present sources into one file."""
    repositories = images.choose(load_catalog(arguments.images), arguments.names)
    with _engine() as client:
        tags = [image.tag for image in images.find(client, repositories).values()]
        size = images.save(client, tags, arguments.file)
    _say(f"{arguments.file}: {len(tags)} images, {size / 1e6:.0f} MB")


def load(arguments: argparse.Namespace) -> None:
    """Load what :func:`save` wrote."""
    with _engine() as client:
        for tag in images.load(client, arguments.file):
            _say(f"{tag}: loaded")


def _say(line: str) -> None:
    print(line, flush=True)


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "build": build,
    "list": show,
    "save": save,
    "load": load,
}
