"""Images of the repositories: built from their sources on a base, tagged by what they are made of."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from energy_plugin.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from docker import DockerClient
    from docker.models.images import Image as EngineImage

    from energy_plugin.declare.catalog import Catalog, Repository

PREFIX = "wattwhy/"
CUDA_BASE = "pytorch/pytorch:2.9.1-cuda12.8-cudnn9-runtime"
SOURCES, BASE, BASE_IS = "wattwhy.sources", "wattwhy.base", "wattwhy.base.is"
CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of a repository.

    Attributes:
        sources: the full hash of the sources in it. ``base_id``: short name of its base.
        base: what its base is: interpreter and torch where that is known, else the base's name.
        created: when, as the engine writes it; sorts by time.
    """

    tag: str
    id: str
    sources: str
    base_id: str
    base: str
    created: str
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0

    @property
    def repository(self) -> str:
        """Lower-case name of the repository."""
        return self.tag.removeprefix(PREFIX).rpartition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What images are built on: the engine's ``name`` for it, a short ``id``, and what it ``is``."""

    name: str
    id: str
    is_: str


def name_of(repository: str) -> str:
    """The image's name without a tag; engines want lower case."""
    return f"{PREFIX}{repository.lower()}"


def tag_of(repository: Repository, base_id: str) -> str:
    """``wattwhy/<repository>:<sources>-<base>``: another content has another tag."""
    return f"{name_of(repository.name)}:{repository.own_sources[:12]}-{base_id}"


def all_images(client: DockerClient) -> list[Image]:
    """Every tag of ours in the engine, by name and then newest first."""
    found = [
        _image(image, tag)
        for image in client.images.list(filters={"label": SOURCES})
        for tag in image.tags
        if tag.startswith(PREFIX)
    ]
    newest = sorted(found, key=lambda image: image.created, reverse=True)
    return sorted(newest, key=lambda image: image.repository)


def _image(image: EngineImage, tag: str) -> Image:
    config = image.attrs["Config"]
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return Image(
        tag=tag,
        id=str(image.id),
        sources=image.labels.get(SOURCES, ""),
        base_id=image.labels.get(BASE, ""),
        base=image.labels.get(BASE_IS, ""),
        created=str(image.attrs["Created"]),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        environment={key: value for key, _, value in pairs},
        bytes=int(image.attrs.get("Size", 0)),
    )


def find(client: DockerClient, repositories: Sequence[Repository]) -> dict[str, Image]:
    """The image of each repository with its present sources, all on one base: the newest that has all.

    Raises:
        UsageError: with the command that builds what is missing.
    """
    known = all_images(client)
    by_base: dict[str, dict[str, Image]] = {}
    for repository in repositories:
        for image in known:
            fits = image.repository == repository.name.lower() and image.sources == repository.own_sources
            if fits:
                by_base.setdefault(image.base_id, {}).setdefault(repository.name, image)
    best = max(by_base.values(), key=_completeness, default={})
    missing = [repository.name for repository in repositories if repository.name not in best]
    if missing:
        stale = {image.repository for image in known}
        old = [name for name in missing if name.lower() in stale]
        why = f" (of {', '.join(old)} there are only images of other sources or bases)" if old else ""
        raise UsageError(
            f"no image of the present sources for {', '.join(missing)}{why}. "
            f"Build it: wattwhy images build {' '.join(missing)}"
        )
    return best


def _completeness(images: Mapping[str, Image]) -> tuple[int, str]:
    return len(images), max(image.created for image in images.values())


def choose(catalog: Catalog, names: Sequence[str]) -> list[Repository]:
    """The repositories of those names, all of them for none.

    Raises:
        UnknownNameError: a name that is not in the catalogue.
    """
    for name in names:
        if name not in catalog.repositories:
            raise UnknownNameError("repository", name, catalog.repositories)
    return [catalog.repositories[name] for name in names or catalog.repositories]


def resolve_base(client: DockerClient, name: str, say: Callable[[str], None]) -> Base:
    """The base called ``local``, ``plain``, ``cuda`` or any image; pulled or made when it is not there.

    Raises:
        UsageError: it can neither be found nor made.
    """
    from docker.errors import APIError, ImageNotFound

    if name in ("local", "plain"):
        from energy_plugin.run import baseimage

        return baseimage.ensure(client, name, say)
    wanted = CUDA_BASE if name == "cuda" else name
    try:
        image = client.images.get(wanted)
    except ImageNotFound:
        say(f"{wanted}: pulling")
        try:
            image = client.images.pull(*_name_and_tag(wanted))
        except APIError as error:
            said = error.explanation or error
            raise UsageError(
                f"base image {wanted} is not here and cannot be pulled: {said}. Without a registry: "
                "--base local, or wattwhy images load FILE"
            ) from None
    return Base(name=wanted, id=str(image.id).removeprefix("sha256:")[:12], is_=wanted)


def _name_and_tag(name: str) -> tuple[str, str]:
    head, _, tag = name.rpartition(":")
    return (head, tag) if head and "/" not in tag else (name, "latest")


def build(
    client: DockerClient, repository: Repository, base: Base, say: Callable[[str], None]
) -> tuple[str, bool]:
    """Build one image unless it is there already.

    Returns:
        Its tag, and whether it was built now.

    Raises:
        UsageError: the build failed, with its last lines; or the base cannot run these programs.
    """
    if base.id.startswith("plain-") and repository.framework:
        raise UsageError(f"--base plain has no {repository.framework}, which {repository.name} needs")
    tag = tag_of(repository, base.id)
    recipe = Recipe(
        tag=tag,
        sources=repository.own_sources,
        dockerfile=f"{repository.folder.name}/Dockerfile",
        context=lambda: context(repository.folder),
    )
    return tag, make(client, recipe, base, say)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one image is built.

    Attributes:
        context: packs what the Dockerfile may copy.
        network: whether its steps may reach one; programs' images never need to.
    """

    tag: str
    sources: str
    dockerfile: str
    context: Callable[[], io.BytesIO]
    network: bool = False


def make(client: DockerClient, recipe: Recipe, base: Base, say: Callable[[str], None]) -> bool:
    """Build the image unless the engine has it already; whether it was built now.

    Raises:
        UsageError: the build failed, with its last lines.
    """
    from docker.errors import ImageNotFound

    try:
        present = client.images.get(recipe.tag)
    except ImageNotFound:
        present = None
    if present is not None and present.labels.get(SOURCES) == recipe.sources:
        say(f"{recipe.tag}: up to date")
        return False
    say(f"{recipe.tag}: building on {base.name}")
    _run_build(client, recipe, base)
    return True


def _run_build(client: DockerClient, recipe: Recipe, base: Base) -> None:
    from docker.errors import APIError

    import energy_plugin

    lines: list[str] = []
    try:
        for event in client.api.build(
            fileobj=recipe.context(),
            custom_context=True,
            dockerfile=recipe.dockerfile,
            buildargs={"BASE_IMAGE": base.name},
            labels={
                "org.opencontainers.image.version": energy_plugin.__version__,
                SOURCES: recipe.sources,
                BASE: base.id,
                BASE_IS: base.is_,
            },
            tag=recipe.tag,
            network_mode=None if recipe.network else "none",
            rm=True,
            forcerm=True,
            decode=True,
        ):
            lines.append(str(event.get("stream", "")))
            if "error" in event:
                shown = " / ".join("".join(lines).strip().splitlines()[-3:])
                raise UsageError(f"{recipe.tag} could not be built: {event['error']} ({shown})")
    except APIError as error:
        raise UsageError(f"{recipe.tag} could not be built: {error.explanation or error}") from None


def context(folder: Path) -> io.BytesIO:
    """The build context of ``images/`` with only *folder* and the shared modules in it, as a tar.

    Raises:
        UsageError: the folder has no Dockerfile.
    """
    from energy_plugin.declare.catalog import image_files

    if not (folder / "Dockerfile").is_file():
        raise UsageError(f"{folder}: has no Dockerfile; see the other folders of images/")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in image_files(folder):
            tar.add(path, path.relative_to(folder.parent).as_posix(), filter=plain_member)
    packed.seek(0)
    return packed


def plain_member(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Root's, readable by all, whatever the umask of the checkout was; no time, so the same every time."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.mtime = 0
    return member


def save(client: DockerClient, tags: Iterable[str], file: Path) -> int:
    """Write images into one tar, layers they share once; its size in bytes.

    Raises:
        UsageError: there is nothing to save, or the file cannot be written.
    """
    names = list(tags)
    if not names:
        raise UsageError("no image to save: wattwhy images build")
    api: Any = client.api
    # The client's own call saves one image at a time, and with it the base each time anew.
    answer = api.get(
        f"{api.base_url}/v{api.api_version}/images/get", params={"names": names}, stream=True, timeout=None
    )
    answer.raise_for_status()
    try:
        with file.open("wb") as out:
            return sum(out.write(chunk) for chunk in answer.iter_content(CHUNK_BYTES))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    finally:
        answer.close()


def load(client: DockerClient, file: Path) -> list[str]:
    """Load the images of a tar that :func:`save` wrote; their tags.

    Raises:
        UsageError: the file cannot be read or holds no image.
    """
    from docker.errors import DockerException

    try:
        with file.open("rb") as packed:
            loaded = client.images.load(packed)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except DockerException as error:
        raise UsageError(f"{file}: holds no images: {error}") from None
    return sorted(tag for image in loaded for tag in image.tags)
