"""Facts of installed distributions: where they came from, what their files hash to, what a spec still misses."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable
from importlib import metadata


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
