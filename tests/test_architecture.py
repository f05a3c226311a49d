"""The house rules that a program can check, read from the source text without importing it.

Every rule is a function from a repository folder to the sentences that say what is wrong with it.
The rules are run on this repository, and on small planted ones that break them.
"""

import ast
import configparser
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = "emotionnet_hf"

# From the bottom of the house to its top; a level is a list of rooms, a room a set of names right
# below the package. A room imports itself and the levels below it: no level above, no neighbour.
LEVELS: list[list[set[str]]] = [
    [
        {
            "keywords",
            "emotions",
            "loading",
            "losses",
            "metrics",
            "dedup",
            "phash",
            "files",
            "environment",
            "console",
            "lock",
        }
    ],
    [{"models"}, {"data"}, {"text"}],
    [{"training"}, {"evaluation"}, {"export"}],
    [{"pipelines", "tagging"}, {"hub"}],
    [{"quickstart", "report"}, {"reproduction"}],
    [{"cli", "__main__"}],
]
PLACES = {
    name: (level, room)
    for level, rooms in enumerate(LEVELS)
    for room, names in enumerate(rooms)
    for name in names
}

# These files run where our package is not installed, with what their user has there: the first are
# copied into every checkpoint (numpy, safetensors come with transformers, torchvision with timm),
# the second are the loading scripts of the data sets (numpy and pyarrow come with datasets).
# pillow_heif is asked for where a HEIC is met, and told of where it is not there.
TRAVELLING = {
    re.compile(r"models/(configuration|modeling|image_processing|pipeline)_\w+\.py"): {
        *("torch", "torchvision", "timm", "transformers", "safetensors", "numpy"),
        *("PIL", "pillow_heif"),
        *sys.stdlib_module_names,
    },
    re.compile(r"loading/(?!__)\w+\.py"): {
        *("datasets", "numpy", "pyarrow", "PIL", "imagehash", "pillow_heif"),
        *sys.stdlib_module_names,
    },
}

EVASIVE_NAMES = {"utils", "helpers", "common"}
MODULE_LINES = 400
SCRIPT_LINES = 80

# Where the name one imports is not the name one installs.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "dlib": "dlib-bin",
    "faiss": "faiss-cpu",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}

UNSAFE_LOADS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load"}

# Modules whose test is not tests/<room>/test_<module>.py, and why.
UNMIRRORED: dict[str, str] = {
    # Links to files of loading/, under the names that they travel with a checkpoint by.
    "models/pipeline_images.py": "tests/loading/test_images.py",
    "models/pipeline_urls.py": "tests/loading/test_urls.py",
    # A stroke is right when the picture is: these are tested together, by what they draw.
    **{
        f"data/sample/{name}.py": "tests/data/sample/test_pictures.py"
        for name in ("elements", "faces", "glyphs", "pen", "picture", "scenes", "symbols")
    },
    # Three names for one thing: a metric of scores and labels.
    **{
        f"metrics/modules/{name}.py": "tests/metrics/modules/test_multi_label.py"
        for name in ("hit_at_k", "mean_average_precision", "recall_at_k")
    },
    "data/sample/latent.py": "tests/data/sample/test_generate.py",
    "data/sample/vocabulary.py": "tests/data/sample/test_tags.py",
}

Rule = Callable[[Path], list[str]]


def package_modules(repository: Path) -> list[Path]:
    """Every module of the package."""
    return sorted((repository / PACKAGE).rglob("*.py"))


def inside(repository: Path, module: Path) -> str:
    """The path of a module as seen from the package folder, with forward slashes."""
    return module.relative_to(repository / PACKAGE).as_posix()


def parse(module: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(module.read_text(encoding="utf-8"), filename=str(module))


def imported_names(repository: Path, module: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything a module imports, wherever in it that stands.

    `from a.b import c` is `a.b.c`, whether `c` is a module or a name in one.
    """
    package = module.relative_to(repository).parent.parts
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = [*above, *([node.module] if node.module else [])]
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def backward_imports(repository: Path) -> list[str]:
    """Imports go down the house, or stay in their room."""
    wrong = []
    for module in package_modules(repository):
        path = inside(repository, module)
        here = path.split("/")[0].removesuffix(".py")
        if here == "__init__":  # the front door shows what is in every room
            continue
        if here not in PLACES:
            wrong.append(f"{path}: '{here}' has no place in LEVELS of {Path(__file__).name}")
            continue
        for line, name in imported_names(repository, module):
            parts = name.split(".")
            if parts[0] != PACKAGE or name == f"{PACKAGE}.__version__":
                continue
            there = parts[1] if len(parts) > 1 else "the package itself"
            level, room = PLACES.get(there, (len(LEVELS), 0))
            if level >= PLACES[here][0] and (level, room) != PLACES[here]:
                wrong.append(f"{path}:{line}: {here} must not import {there} ({name})")
    return wrong


def luggage(repository: Path) -> list[str]:
    """Files that travel need only what their user has, and one another."""
    wrong = []
    for module in package_modules(repository):
        path = inside(repository, module)
        pattern = next((pattern for pattern in TRAVELLING if pattern.fullmatch(path)), None)
        if pattern is None:
            continue
        for node in ast.walk(parse(module)):
            if isinstance(node, ast.ImportFrom) and node.level:
                sibling = f"{path.split('/')[0]}/{node.module}.py"
                names = [] if node.level == 1 and pattern.fullmatch(sibling) else [sibling]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                if name.split(".")[0] not in TRAVELLING[pattern]:
                    wrong.append(f"{path}:{node.lineno}: travels with others, imports {name}")
    return wrong


def declared_distributions(repository: Path) -> set[str]:
    """What setup.cfg installs, the extras of users included, in normal form."""
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg", encoding="utf-8")
    wanted = [config.get("options", "install_requires", fallback="")]
    if config.has_section("options.extras_require"):
        wanted += [text for name, text in config["options.extras_require"].items() if name != "dev"]
    lines = "\n".join(wanted).split()
    return {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}


def undeclared_imports(repository: Path) -> list[str]:
    """What the package imports is in setup.cfg, and not there by another package's grace."""
    declared = declared_distributions(repository)
    wrong = []
    for module in package_modules(repository):
        tops = {name.split(".")[0] for _, name in imported_names(repository, module)}
        for top in sorted(tops - sys.stdlib_module_names - {PACKAGE}):
            distribution = DISTRIBUTIONS.get(top, top).lower().replace("_", "-")
            if distribution not in declared:
                wrong.append(f"{inside(repository, module)}: setup.cfg lacks {distribution}")
    return wrong


def evasive_names(repository: Path) -> list[str]:
    """A name says what is inside; these say that nobody decided."""
    return [
        f"{inside(repository, module)}: give it the name of what it does"
        for module in package_modules(repository)
        if EVASIVE_NAMES & set(module.relative_to(repository).with_suffix("").parts)
    ]


def packages_without_init(repository: Path) -> list[str]:
    """`packages = find:` passes over a folder without __init__.py, and the wheel lacks it."""
    folders = {module.parent for module in package_modules(repository)}
    return [
        f"{folder.relative_to(repository).as_posix()}: has no __init__.py"
        for folder in sorted(folders)
        if not (folder / "__init__.py").is_file()
    ]


def long_files(repository: Path) -> list[str]:
    """A module is read at one sitting, a script at one glance."""
    limits = [(module, MODULE_LINES) for module in package_modules(repository)]
    limits += [(script, SCRIPT_LINES) for script in sorted((repository / "scripts").rglob("*.py"))]
    lengths = [(path, len(path.read_text("utf-8").splitlines()), most) for path, most in limits]
    return [
        f"{path.relative_to(repository).as_posix()}: {lines} lines, at most {most}"
        for path, lines, most in lengths
        if lines > most
    ]


def full_names(tree: ast.Module) -> dict[str, str]:
    """What the names that a module imports under stand for: `{"np": "numpy"}`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.update({a.asname or a.name: f"{node.module}.{a.name}" for a in node.names})
    return names


def is_unsafe_load(called: str, call: ast.Call) -> bool:
    """Whether a call can run code that is hidden in the file it reads."""
    given = {word.arg for word in call.keywords if ast.unparse(word.value) == "True"}
    if called == "torch.load":
        return "weights_only" not in given
    return called in UNSAFE_LOADS or called.endswith(".read_pickle") or "allow_pickle" in given


def forbidden_statements(repository: Path) -> list[str]:
    """No assert (python -O drops it), no print (callers own stdout), no unsafe unpickling."""
    wrong = []
    for module in package_modules(repository):
        tree = parse(module)
        names = full_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                wrong.append(f"{inside(repository, module)}:{node.lineno}: assert")
            elif isinstance(node, ast.Call):
                head, *rest = ast.unparse(node.func).split(".")
                called = ".".join([names.get(head, head), *rest])
                if called == "print" or is_unsafe_load(called, node):
                    wrong.append(f"{inside(repository, module)}:{node.lineno}: {called}()")
    return wrong


def has_code(module: Path) -> bool:
    """Whether a module holds more than a docstring, imports and dunder names."""
    for node in parse(module).body:
        dunder = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__")
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (dunder or text or isinstance(node, ast.Import | ast.ImportFrom)):
            return True
    return False


def untested_modules(repository: Path) -> list[str]:
    """tests/ mirrors the package; a configuration may be tested with the model it configures."""
    wrong = []
    for module in package_modules(repository):
        path = inside(repository, module)
        if module.stem.startswith("__") or path in UNMIRRORED or not has_code(module):
            continue
        folder = (repository / "tests" / path).parent
        stems = {module.stem, module.stem.replace("configuration_", "modeling_")}
        if not any((folder / f"test_{stem}.py").is_file() for stem in stems):
            wrong.append(
                f"{path}: no {(folder / f'test_{module.stem}.py').relative_to(repository)}"
            )
    return wrong


RULES: list[Rule] = [
    backward_imports,
    luggage,
    undeclared_imports,
    evasive_names,
    packages_without_init,
    long_files,
    forbidden_statements,
    untested_modules,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_repository_keeps_the_rule(rule: Rule):
    wrong = rule(REPOSITORY)
    assert not wrong, f"{rule.__doc__}\n" + "\n".join(wrong)


def test_there_is_something_to_check():
    assert package_modules(REPOSITORY)
    assert declared_distributions(REPOSITORY) >= {
        "torch",
        "transformers",
        "datasets",
        "tensorboard",
    }
    assert all((REPOSITORY / PACKAGE / path).is_file() for path in UNMIRRORED)


def plant(repository: Path, path: str, source: str) -> None:
    """Write a small repository that keeps every rule, and then one file into it."""
    for folder in ("", "models", "data", "training"):
        (repository / PACKAGE / folder).mkdir(parents=True, exist_ok=True)
        (repository / PACKAGE / folder / "__init__.py").write_text('"""A room."""\n')
    (repository / "setup.cfg").write_text(
        "[options]\ninstall_requires =\n    torch>=2\n    pillow\n"
    )
    target = repository / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source)
    test = repository / "tests" / Path(path).relative_to(path.split("/")[0])
    test.parent.mkdir(parents=True, exist_ok=True)
    test.with_name(f"test_{test.name}").touch()


BAD = [
    (backward_imports, "losses.py", "from emotionnet_hf.models import x", "import models"),
    (backward_imports, "losses.py", "def f():\n    from .data.sources import x", "import data"),
    (backward_imports, "models/heads.py", "from ..data import x", "import data"),
    (backward_imports, "models/heads.py", "from .. import data", "import data"),
    (backward_imports, "data/build.py", "import emotionnet_hf.cli", "import cli"),
    (backward_imports, "data/build.py", "from emotionnet_hf import Model", "import Model"),
    (backward_imports, "data/build.py", "import emotionnet_hf", "the package itself"),
    (backward_imports, "training/loop.py", "from emotionnet_hf import evaluation", "evaluation"),
    (backward_imports, "attic.py", "", "'attic' has no place"),
    (luggage, "models/modeling_a.py", "import scipy", "imports scipy"),
    (
        luggage,
        "models/modeling_a.py",
        "from emotionnet_hf.losses import x",
        "imports emotionnet_hf",
    ),
    (luggage, "models/modeling_a.py", "from ..losses import x", "imports models/losses.py"),
    (luggage, "models/modeling_a.py", "from . import heads", "imports models/None.py"),
    (luggage, "models/configuration_a.py", "from .heads import x", "imports models/heads.py"),
    (luggage, "loading/release.py", "import torch", "imports torch"),
    (
        luggage,
        "loading/release.py",
        "from emotionnet_hf.files import x",
        "imports emotionnet_hf.files",
    ),
    (undeclared_imports, "data/build.py", "import pandas as pd", "lacks pandas"),
    (evasive_names, "data/utils.py", "", "data/utils.py"),
    (evasive_names, "common/records.py", "", "common/records.py"),
    (packages_without_init, "data/benchmarks/emotic.py", "", "data/benchmarks: has no"),
    (long_files, "data/build.py", "#\n" * 401, "401 lines, at most 400"),
    (forbidden_statements, "data/build.py", "assert 1", ":1: assert"),
    (forbidden_statements, "data/build.py", "print(1)", "print()"),
    (forbidden_statements, "data/build.py", "import pickle as p\np.load(f)", "pickle.load()"),
    (forbidden_statements, "data/build.py", "from pickle import loads\nloads(f)", "pickle.loads()"),
    (forbidden_statements, "data/build.py", "import torch\ntorch.load(f)", "torch.load()"),
    (forbidden_statements, "data/build.py", "torch.load(f, weights_only=False)", "torch.load()"),
    (forbidden_statements, "data/build.py", "np.load(f, allow_pickle=True)", "np.load()"),
]


@pytest.mark.parametrize(("rule", "path", "source", "complaint"), BAD)
def test_rule_sees_a_planted_fault(rule: Rule, path, source, complaint, tmp_path):
    plant(tmp_path, f"{PACKAGE}/{path}", source)
    wrong = rule(tmp_path)
    assert len(wrong) == 1
    assert complaint in wrong[0]


def test_rule_sees_a_long_script_and_an_untested_module(tmp_path):
    plant(tmp_path, "scripts/train.py", "#\n" * 81)
    assert long_files(tmp_path) == ["scripts/train.py: 81 lines, at most 80"]
    (tmp_path / PACKAGE / "losses.py").write_text("LIMIT = 1\n")
    assert untested_modules(tmp_path) == ["losses.py: no tests/test_losses.py"]


GOOD = [
    ("losses.py", "import math\nimport torch\nfrom emotionnet_hf.keywords import x"),
    ("models/modeling_a.py", "import torch.nn\nfrom .configuration_a import A"),
    ("data/build.py", "from PIL import Image\nfrom . import schema\nfrom ..dedup import x"),
    ("training/loop.py", "from emotionnet_hf import __version__\nfrom ..models import x"),
    ("training/resume.py", "import torch\ntorch.load(f, weights_only=True)"),
    ("cli.py", '"""Say `print(1)`.\n\n>>> print(1)\n"""\nfrom emotionnet_hf import pipelines'),
]


@pytest.mark.parametrize(("path", "source"), GOOD)
def test_rules_leave_good_code_alone(path, source, tmp_path):
    plant(tmp_path, f"{PACKAGE}/{path}", source)
    assert [wrong for rule in RULES for wrong in rule(tmp_path)] == []
