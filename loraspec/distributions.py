"""Facts of installed distributions: where they came from, what their files hash to, what a spec still misses."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import json
import shlex
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

_NO_CODE = (".pyc", ".nbi", ".nbc", ".safetensors")


def normalized(name: str) -> str:
    """Return a distribution's name in the form that compares (PEP 503)."""
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(name))


def origin_of(distribution: metadata.Distribution) -> str:
    """Return where a distribution was installed from, read from its ``direct_url.json`` (PEP 610).

    ``index``, ``vcs:<commit>``, ``path`` (a local folder or archive), ``url`` (a remote archive) or ``editable``.
    """
    try:
        url = json.loads(distribution.read_text("direct_url.json") or "null")
    except ValueError:
        return "index"
    if not isinstance(url, dict):
        return "index"
    if isinstance(url.get("vcs_info"), dict):
        return f"vcs:{url['vcs_info'].get('commit_id', 'unknown')}"
    if isinstance(url.get("dir_info"), dict):
        return "editable" if url["dir_info"].get("editable") else "path"
    return "path" if str(url.get("url", "")).startswith("file:") else "url"


def record_sha256(distribution: metadata.Distribution) -> str:
    """Return the sha256 of a distribution's ``RECORD``, which lists the hash of each of its files; "" without one."""
    record = distribution.read_text("RECORD")
    return hashlib.sha256(record.encode()).hexdigest() if record else ""


def code_sha256(distribution: metadata.Distribution) -> str:
    """Return the sha256 over path and hash of every file that a distribution works with.

    From its ``RECORD``, or for an editable install from the files themselves. What tells where and by what it was installed
    (scripts, byte code, the ``.dist-info`` folder) is left out, so a wheel and a checkout of the same code are equal; weights are
    left out too, since those of a base have their own digest.
    """
    listed = _source_files(distribution) if origin_of(distribution) == "editable" else _recorded_files(distribution)
    lines = sorted(f"{digest} {path}\n" for path, digest in listed if not path.endswith(_NO_CODE))
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


def _recorded_files(distribution: metadata.Distribution) -> Iterator[tuple[str, str]]:
    for path, digest, _ in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        if digest and ".dist-info/" not in path and not path.startswith(".."):
            yield path, digest


def _source_files(distribution: metadata.Distribution) -> Iterator[tuple[str, str]]:
    """Yield the files of the packages that the distribution's entry points name, hashed as ``RECORD`` would have them."""
    for name in sorted({entry.value.split(":")[0].split(".")[0] for entry in distribution.entry_points}):
        spec = importlib.util.find_spec(name)
        roots = [Path(root) for root in spec.submodule_search_locations or ()] if spec else []
        files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and not path.name.endswith(_NO_CODE)]
        if spec and not roots and spec.origin:
            files, roots = [Path(spec.origin)], [Path(spec.origin).parent / name]
        for path in files:
            digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
            yield path.relative_to(roots[0].parent).as_posix(), f"sha256={digest}"


def missing_requirements(requires: Iterable[str]) -> list[tuple[str, str, str]]:
    """Compare PEP 508 requirements with what is installed.

    Returns:
        ``(requirement, message, hint)`` for each that is not met, in the order given; the hint is the ``pip install``
        line, or "" when the text is no requirement at all.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    found: list[tuple[str, str, str]] = []
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            found.append((text, f"{text!r} is not a requirement such as 'loraspec-prodigy>=0.3': {reason}", ""))
            continue
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        install = f"pip install {shlex.quote(text)}"
        try:
            distribution = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            found.append((text, f"{requirement.name!r} is not installed", install))
            continue
        version = distribution.version
        if not requirement.specifier.contains(version, prereleases=True):
            found.append((text, f"{requirement.name} {version} is installed, {text!r} is needed", install))
            continue
        lacking = _extras_missing(distribution, requirement.extras)
        if lacking:
            found.append((text, f"{requirement.name} {version} is installed without {', '.join(lacking)}", install))
    return found


def _extras_missing(distribution: metadata.Distribution, extras: set[str]) -> list[str]:
    """Name what the extras of a distribution ask for and is not installed (one level deep)."""
    from packaging.requirements import Requirement

    lacking = []
    for text in distribution.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or not extras or not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            lacking.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            lacking.append(f"{requirement.name}{requirement.specifier}")
    return sorted(set(lacking))
