"""The habits of the code base, as tests."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "diffusers", "transformers", "peft", "dadaptation", "safetensors"}
HEAVY_BEFORE_A_RUN = HEAVY | {"PIL", "numpy"}

# From the ground up: a module may import at its top only what stands on a lower line, or its own package.
LAYERS = [
    {"codes", "collector", "errors", "escape", "randomness", "textfile"},
    {"components", "hub", "imagefile", "memory", "places"},
    {"stages", "values"},
    {"sweetspot"},
    {"contracts", "metrics"},
    {"hookspecs"},
    {"distributions", "buckets", "captions", "download", "images", "weights"},
    {"drafts", "fetching", "ledger", "localpage"},
    {"surroundings"},
    {"plugins"},
    {"catalog"},
    {"spec"},
    {"stream"},
    {"recipes"},
    {"cachefolder"},
    {"known"},
    {"digests", "duplicates"},
    {"dataplan", "choices", "header"},
    {"judgedprompts"},
    {"gridplan"},
    {"scan", "pixels"},
    {"plan"},
    {"captionlint", "changes", "explain", "forecast", "summary"},
    {"lock"},
    {"captioning"},
    {"locking"},
    {"finished"},
    {"picking", "usage", "ownpictures"},
    {"blind"},
    {"comparing"},
    {"engine", "modelcard", "testing"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def sources(*folders):
    """Return the Python files under folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def top_imports(path):
    """Yield the dotted modules that a file imports when it is imported: not in functions, not for type checkers."""

    def walk(nodes):
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.If):
                if "TYPE_CHECKING" not in ast.dump(node.test):
                    yield from walk(node.body)
                yield from walk(node.orelse)
            elif isinstance(node, (ast.Try, ast.With, ast.ClassDef)):
                yield from walk(node.body)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")).body)


def part_of(module):
    """Return the core part that a dotted module belongs to, or None."""
    names = module.split(".")
    return names[1] if names[0] == "loraspec" and len(names) > 1 and names[1] in LEVEL else None


@pytest.mark.parametrize("path", sources("loraspec"), ids=lambda path: str(path.relative_to(ROOT)))
def test_layers_point_downwards(path):
    """A core module imports lower layers only, never a plugin, and the engine only inside functions."""
    inside = path.relative_to(ROOT / "loraspec").with_suffix("").parts
    part = inside[0]
    assert part in LEVEL, f"{part} has no layer: give it one in LAYERS"

    for module in top_imports(path):
        assert not module.startswith(("loraspec_guide", "loraspec_picturebook")), f"{path}: the core imports a plugin: {module}"
        other = part_of(module)
        if other is None or other == part or (part == "__init__" and other in ("components", "errors", "hookspecs")):
            continue
        assert LEVEL[other] < LEVEL[part], f"{path}: {part} may not import {other}"
        assert not (part == "cli" and other == "engine"), f"{path}: the engine is imported inside functions only"


@pytest.mark.parametrize("path", sources("loraspec"), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_nothing_heavy(path):
    """Outside engine and testing, nothing heavy is imported when a module is."""
    if path.relative_to(ROOT / "loraspec").parts[0] in ("engine", "testing"):
        return
    plain = {"numpy"} if "sweetspot" in path.parts else set()  # it is arithmetic; the commands import it where they need it
    heavy = {module.split(".")[0] for module in top_imports(path)} & (HEAVY_BEFORE_A_RUN - plain)

    assert not heavy, f"{path} imports {heavy} at its top"


def test_hooks_modules_import_nothing_heavy():
    """What a plugin's entry point imports, followed through the plugin, stays light."""
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["loraspec.v1"]
    seen, todo = set(), list(entry_points.values())
    while todo:
        module = todo.pop()
        if module in seen or not module.startswith(("loraspec_guide", "loraspec_picturebook")):
            assert module.split(".")[0] not in HEAVY_BEFORE_A_RUN, f"a hooks module imports {module}"
            continue
        seen.add(module)
        base = ROOT / "plugins" / Path(*module.split("."))
        path = base.with_suffix(".py") if base.with_suffix(".py").exists() else base / "__init__.py"
        if path.exists():
            todo += top_imports(path)

    assert len(seen) > len(entry_points)


@pytest.mark.parametrize("path", sources("loraspec", "plugins"), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small(path):
    """No module is longer than 300 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", sources("loraspec", "plugins", "tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle_and_no_global_random_state(path):
    """Nothing is pickled, torch.load is not called, and no global generator is seeded or used."""
    text = path.read_text(encoding="utf-8")
    if path == Path(__file__):
        return
    banned = r"^\s*(?:import|from) pickle\b|\bpickle\.\w|\btorch\.load\(|np\.random\.seed|torch\.manual_seed|^import random$|torch\.seed\("
    # module constructors and dropout take no generator: there it is a forked one that is put back
    allowed = path.name in ("models.py", "probe.py") and path.parent.name == "loraspec_picturebook"
    allowed |= path.parent.name in ("hostile", "corpus") or path.name == "test_bans.py"  # they name, patch and lay them
    found = [] if allowed else re.findall(banned, text, re.MULTILINE)

    assert not found, f"{path}: {found}"


@pytest.mark.parametrize("path", sources("tests", "plugins"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_says_what_it_shows(path):
    """Each test function has a docstring."""
    if not path.name.startswith("test_"):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name}"


def test_hooks_are_documented_with_their_arguments():
    """Every hook stands in docs/plugins.md with its exact arguments."""
    from loraspec import hookspecs

    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    tree = ast.parse(Path(hookspecs.__file__).read_text(encoding="utf-8"))
    hooks = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("loraspec_")]
    assert len(hooks) >= 29

    for hook in hooks:
        arguments = ", ".join(argument.arg for argument in hook.args.args if argument.arg != "self")
        assert f"{hook.name}({arguments})" in text, f"docs/plugins.md lacks {hook.name}({arguments})"


def test_stages_hooks_and_suites_agree():
    """Each stage has one registration hook, and each stage with a built-in has a conformance suite."""
    import loraspec.testing as testing
    from loraspec.catalog import discover
    from loraspec.hookspecs import RegistrationHooks
    from loraspec.stages import STAGES

    hooks = {name for name in vars(RegistrationHooks) if name.startswith("loraspec_register_")} - {"loraspec_register_hookspecs"}
    assert {stage.hook for stage in STAGES} == hooks

    for stage in STAGES:
        if discover().entries(stage.name):
            suite = "".join(word.capitalize() for word in stage.name.split("_")).replace("Lr", "LR") + "Suite"
            assert hasattr(testing, suite), f"loraspec.testing lacks {suite}"


def test_every_option_of_a_built_in_has_help():
    """Nobody has to read the code to know what an option does."""
    import attrs

    from loraspec.catalog import discover

    entries = discover().entries()
    assert len(entries) > 20

    for entry in entries:
        for field in attrs.fields(entry.component.options):
            assert field.metadata.get("help"), f"{entry.qualified}.{field.name}"


def test_specs_resolve():
    """Every shipped spec and each of its profiles is right, and their number is known."""
    from loraspec.plan import resolve

    specs = sorted((ROOT / "specs").glob("*.toml"))
    assert [path.name for path in specs] == ["daumier.toml", "openmoji.toml"]

    for path in specs:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for profile in [None, *tables.get("profiles", {})]:
            plan = resolve(path, profiles=[profile] if profile else [], sets=[])
            assert plan.spec.train.epochs == (2 if profile == "twin" else 20)


def test_files_speak_of_the_project_only():
    """No absolute path of a machine stands in a tracked text file."""
    texts = [path for pattern in ("*.py", "*.md", "*.toml", "*.html", "*.css", "Makefile") for path in ROOT.rglob(pattern)]
    skipped = ("runs", "dist", "build")
    mine = [path for path in texts if not any(part.startswith(".") or part in skipped for part in path.relative_to(ROOT).parts)]
    bad = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm|root|home/[a-z]+)/")

    for path in mine:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not bad.search(line) or path == Path(__file__), f"{path}:{number}: {line.strip()}"
