"""Plugins are found in order, checked against the rules, and set aside when they break one."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from loraspec.catalog import Catalog, ComponentError, discover
from loraspec.distributions import missing_requirements
from loraspec.errors import PluginError, Problem
from loraspec.plugins import DISABLED_VARIABLE

HEAD = """
from attrs import frozen
from loraspec import Component, Problem, hookimpl, hookspec, option

@frozen
class Options:
    strength: float = option(default=0.5, help="How much.")

def build(options):
    '''Do it.'''
"""


def offering(*names: str, stage: str = "optimizer", head: str = HEAD) -> str:
    """A plugin's source that offers components of one stage."""
    parts = ", ".join(f"Component({name!r}, Options, build)" for name in names)
    return f"{dedent(head)}\n@hookimpl\ndef loraspec_register_{stage}():\n    return [{parts}]\n"


def hooked(body: str) -> str:
    """A plugin's source with the usual head."""
    return dedent(HEAD) + dedent(body)


def broken(catalog: Catalog, name: str) -> str:
    """Why a plugin is set aside."""
    [found] = [plugin for plugin in catalog.broken if plugin.name == name]
    assert name not in [plugin.name for plugin in catalog.plugins]
    return found.error


def test_discover_finds_an_installed_plugin(install_plugin):
    """A component knows its plugin, distribution, version, origin and the hash of RECORD."""
    install_plugin("halftone", offering("dots"), version="2.1")

    entry = discover().find("optimizer", "dots")

    assert (entry.qualified, entry.distribution, entry.version, entry.origin) == ("halftone:dots", "loraspec-halftone", "2.1", "index")
    assert len(entry.record_sha256) == 64
    assert entry.component.summary == "Do it."


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        ({"url": "file:///somewhere", "dir_info": {"editable": True}}, "editable"),
        ({"url": "file:///somewhere", "dir_info": {}}, "path"),
        ({"url": "file:///a.whl", "archive_info": {}}, "path"),
        ({"url": "https://example.org/a.whl", "archive_info": {}}, "url"),
        ({"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}, "vcs:c0ffee"),
    ],
)
def test_origin_follows_pep_610(install_plugin, direct_url, origin):
    """``direct_url.json`` tells where a distribution came from."""
    install_plugin("halftone", offering("dots"), direct_url=direct_url)

    assert discover().find("optimizer", "dots").origin == origin


def test_plugins_are_sorted_by_distribution_then_name(install_plugin):
    """The order of installation and of the path decides nothing."""
    install_plugin("a", offering("one"), distribution="loraspec-zebra")
    install_plugin("b", offering("two"), distribution="loraspec-ant")

    names = [plugin.name for plugin in discover().plugins if plugin.name in "ab"]

    assert names == ["b", "a"]


def test_disabled_plugins_are_not_imported(install_plugin, monkeypatch):
    """The variable takes plugin and distribution names; what it names is listed and not imported."""
    install_plugin("one", "raise SystemExit('imported')")
    install_plugin("two", "raise SystemExit('imported')", distribution="Loraspec_Two")
    monkeypatch.setenv(DISABLED_VARIABLE, "one, loraspec-two")

    catalog = discover()

    assert {plugin.name for plugin in catalog.disabled} == {"one", "two"}
    assert not {"one", "two"} & {plugin.name for plugin in catalog.broken + catalog.plugins}
    with pytest.raises(ComponentError, match="is disabled"):
        catalog.find("optimizer", "one:dots")


def test_two_distributions_of_one_plugin_name_are_an_error(install_plugin, monkeypatch):
    """Both are named, and disabling one by its distribution mends it."""
    install_plugin("halftone", offering("dots"), distribution="loraspec-first")
    install_plugin("halftone", offering("dots"), distribution="loraspec-second")

    with pytest.raises(PluginError, match=r"'halftone' is claimed by loraspec-first 1\.0 and loraspec-second 1\.0"):
        discover()
    monkeypatch.setenv(DISABLED_VARIABLE, "loraspec-first")
    assert discover().find("optimizer", "dots").distribution == "loraspec-second"


def test_a_name_offered_twice_is_an_error(install_plugin):
    """One plugin may offer a name once in a stage."""
    install_plugin("halftone", offering("dots", "dots"))

    with pytest.raises(PluginError, match="offers the optimizer 'dots' twice"):
        discover()


def test_a_name_of_two_plugins_must_be_qualified(install_plugin):
    """The bare name is refused with both qualified names; each of those works."""
    install_plugin("left", offering("dots"))
    install_plugin("right", offering("dots"))

    catalog = discover()

    with pytest.raises(ComponentError, match="offered by 2 plugins") as caught:
        catalog.find("optimizer", "dots")
    assert caught.value.hint == "write 'left:dots' or 'right:dots'"
    assert catalog.find("optimizer", "right:dots").plugin == "right"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (hooked("@hookimpl\ndef loraspec_register_optimiser(): return []"), "did you mean 'loraspec_register_optimizer'?"),
        (hooked("@hookimpl\ndef loraspec_register_optimizer(plan): return []"), "plan"),
        (hooked("@hookimpl(wrapper=True)\ndef loraspec_register_optimizer():\n    return (yield)"), "hook wrapper"),
        (hooked("@hookimpl\ndef loraspec_after_step(step): pass"), "is an event of a run"),
        (hooked("@hookimpl\ndef loraspec_register_optimizer(): return None"), "returned None, not a list"),
        (hooked("@hookimpl\ndef loraspec_register_optimizer(): return ['dots']"), "offers 'dots', which is not a Component"),
        (hooked("@hookimpl\ndef loraspec_register_optimizer(): raise KeyError('x')"), "KeyError: 'x'"),
        (hooked("@hookimpl\ndef loraspec_register_optimizer(): return [Component('Big Dots', Options, build)]"), "'Big Dots'"),
        (offering("dots", stage="adapter"), "has no facts"),
    ],
)
def test_a_plugin_that_breaks_a_rule_is_set_aside(install_plugin, source, reason):
    """The reason is kept, the other plugins work, and a lookup that fails names the plugin."""
    install_plugin("bad", source)
    install_plugin("good", offering("lines"))

    catalog = discover()

    assert reason in broken(catalog, "bad")
    assert catalog.find("optimizer", "lines").plugin == "good"
    with pytest.raises(ComponentError) as caught:
        catalog.find("optimizer", "dots")
    assert "'bad' (loraspec-bad 1.0) cannot be used" in caught.value.hint
    with pytest.raises(ComponentError, match=r"plugin 'bad' \(loraspec-bad 1.0\) cannot be used"):
        catalog.find("optimizer", "bad:dots")


@pytest.mark.parametrize("group", ["loraspec.v0", "loraspec.v2"])
def test_other_api_versions_are_listed_and_not_imported(install_plugin, group):
    """A plugin of another API version never runs here."""
    install_plugin("future", "raise SystemExit('imported')", group=group)

    [plugin] = discover().outdated

    assert plugin.name == "future"
    assert plugin.error == f"written for plugin API {group[-2:]}; this loraspec offers v1"
    assert "loraspec_future" not in sys.modules


def test_find_says_what_would_be_right(install_plugin):
    """A misspelt name gets the closest one, a name of another stage its table."""
    install_plugin("halftone", offering("dotted-lines") + offering("swirl", stage="caption_transform", head=""))
    catalog = discover()

    with pytest.raises(ComponentError, match="no optimizer is named 'doted-lines'") as caught:
        catalog.find("optimizer", "doted-lines")
    assert "did you mean 'dotted-lines'?" in caught.value.hint
    with pytest.raises(ComponentError) as caught:
        catalog.find("optimizer", "swirl")
    assert caught.value.hint.startswith("'swirl' is a caption transform: [captions.transforms]")
    with pytest.raises(ComponentError, match="no plugin is named 'halfton'") as caught:
        catalog.find("optimizer", "halfton:dots")
    assert caught.value.hint == "did you mean 'halftone'?"


# -- plugin files ------------------------------------------------------------------------------------------------------


def test_a_plugin_file_is_loaded_and_hashed(tmp_path):
    """Its name is the stem; the hash is of its bytes; sys.path and the folder stay as they were."""
    file = tmp_path / "halftone.py"
    file.write_text(offering("dots"))
    path = list(sys.path)

    entry = discover([file]).find("optimizer", "halftone:dots")

    assert (entry.plugin, entry.distribution, entry.origin) == ("halftone", "", "file")
    assert entry.record_sha256 == __import__("hashlib").sha256(file.read_bytes()).hexdigest()
    assert sys.path == path
    assert list(tmp_path.iterdir()) == [file]


def test_an_edited_plugin_file_is_loaded_anew(tmp_path):
    """What is hashed is what runs."""
    file = tmp_path / "halftone.py"
    file.write_text(offering("dots"))
    first = discover([file])
    file.write_text(offering("lines"))

    second = discover([file])

    assert [e.component.name for e in first.entries() if e.plugin == "halftone"] == ["dots"]
    assert [e.component.name for e in second.entries() if e.plugin == "halftone"] == ["lines"]


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("absent.py", None, "no such file"),
        ("half.tone.py", "", "name it like halftone.py"),
        ("halftone.txt", "", "name it like halftone.py"),
        ("halftone.py", "x = (\n", "SyntaxError"),
        ("halftone.py", "x = 1\n1 / 0\n", "ZeroDivisionError: division by zero (line 2)"),
        ("taken.py", "", "the name 'taken' is taken by plugin 'taken' (loraspec-taken 1.0)"),
    ],
)
def test_a_bad_plugin_file_says_why(install_plugin, tmp_path, name, source, reason):
    """A file that cannot be a plugin is broken with a reason, never a crash."""
    install_plugin("taken", offering("dots"))
    file = tmp_path / name
    if source is not None:
        file.write_text(source)

    [plugin] = [plugin for plugin in discover([file]).broken if plugin.file == file]

    assert reason in plugin.error


# -- hooks between plugins ---------------------------------------------------------------------------------------------

HOST = hooked(
    """
    class Hooks:
        @hookspec
        def loraspec_host_register_style(self):
            '''Offer styles.'''

    @hookimpl
    def loraspec_register_hookspecs():
        return [Hooks]
    """
)


def test_a_plugin_may_define_hooks_for_others(install_plugin):
    """Hookspecs are known before other plugins are checked, whatever their order, and answers keep their plugin's name."""
    install_plugin("host", HOST, distribution="zzz")
    install_plugin("guest", hooked("@hookimpl\ndef loraspec_host_register_style(): return ['engraving']"), distribution="aaa")

    catalog = discover()

    assert catalog.extensions("loraspec_host_register_style") == (("guest", ["engraving"]),)
    with pytest.raises(PluginError, match="no plugin defines"):
        catalog.extensions("loraspec_host_register_colour")


def test_a_hook_of_an_absent_plugin_is_a_misspelt_hook(install_plugin):
    """Unless it is marked optional."""
    install_plugin("guest", hooked("@hookimpl\ndef loraspec_host_register_style(): return []"))
    install_plugin("polite", hooked("@hookimpl(optionalhook=True)\ndef loraspec_host_register_style(): return []"))

    catalog = discover()

    assert "no hook is named 'loraspec_host_register_style'" in broken(catalog, "guest")
    assert "polite" in [plugin.name for plugin in catalog.plugins]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("def loraspec_register_style(self): ...", "start with 'loraspec_host_register_'"),
        ("def loraspec_host_register_style(self, plan): ...", "take no arguments, this takes plan"),
    ],
)
def test_defined_hooks_keep_the_rules(install_plugin, spec, reason):
    """The name starts with the plugin's own prefix, and there are no arguments."""
    source = hooked(f"class Hooks:\n    @hookspec\n    {spec}\n\n@hookimpl\ndef loraspec_register_hookspecs():\n    return [Hooks]\n")
    install_plugin("host", source)

    assert reason in broken(discover(), "host")


def test_check_plan_is_asked_only_of_owners(install_plugin):
    """A plugin that owns no chosen component has no say; a crash in a check is a problem, not a traceback."""
    install_plugin("strict", hooked("@hookimpl\ndef loraspec_check_plan(plan): return [Problem('run', f'no {plan}')]"))
    install_plugin("silent", hooked("@hookimpl\ndef loraspec_check_plan(): return None"))
    install_plugin("crash", hooked("@hookimpl\ndef loraspec_check_plan(plan): raise KeyError('x')"))
    catalog = discover()

    assert catalog.check_plan("way", ["silent"]) == []
    assert catalog.check_plan("way", ["strict", "silent"]) == [Problem("run", "no way")]
    [problem] = catalog.check_plan("way", ["crash"])
    assert problem.message == "plugin 'crash' failed to check the plan: KeyError: 'x'"


# -- requirements ------------------------------------------------------------------------------------------------------


def test_missing_requirements_give_the_install_line(install_plugin):
    """Absent, too old and unreadable requirements are told apart; what is met is silent."""
    install_plugin("halftone", "", version="1.4")

    assert missing_requirements(["loraspec-halftone>=1.4", "loraspec-never; python_version < '3'"]) == []
    assert missing_requirements(["loraspec-never>=2"]) == [
        ("loraspec-never>=2", "'loraspec-never' is not installed", "pip install 'loraspec-never>=2'")
    ]
    [(_, message, hint)] = missing_requirements(["loraspec-halftone>=2"])
    assert message == "loraspec-halftone 1.4 is installed, 'loraspec-halftone>=2' is needed"
    assert hint == "pip install 'loraspec-halftone>=2'"
    [(_, message, hint)] = missing_requirements(["two words"])
    assert "is not a requirement" in message
    assert hint == ""


def test_installed_distribution_has_the_built_ins():
    """The built-ins come through the entry-point group that strangers use."""
    catalog = discover()

    assert {plugin.name for plugin in catalog.plugins} >= {"guide", "picturebook"}, [p.error for p in catalog.broken]
    assert {entry.distribution for entry in catalog.entries() if entry.plugin == "guide"} == {"loraspec"}
    assert Path(sys.modules["loraspec_guide.hooks"].__file__).name == "hooks.py"
