"""Configuration files, overrides, and the registry."""

import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Discriminator, Field

from freegaze.config import StrictConfig, build_config, config_hash, dump_yaml, read_config
from freegaze.errors import ConfigError, RegistryError
from freegaze.registry import Registry
from freegaze.runs.config import RunConfig


class Inner(StrictConfig):
    rate: float = 1.0
    names: tuple[str, ...] = ()


class Outer(StrictConfig):
    inner: Inner = Inner()
    size: int = 3


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


def test_overrides_lie_on_top_of_the_file(tmp_path: Path):
    path = write(tmp_path, "size: 4\ninner:\n  rate: 2\n")
    config = read_config(Outer, path, ["inner.rate=3.5", "inner.names=[a, b]"])
    assert config == Outer(size=4, inner=Inner(rate=3.5, names=("a", "b")))


def test_an_unknown_key_is_named_with_its_line_and_the_nearest(tmp_path: Path):
    path = write(tmp_path, "size: 4\ninner:\n  raet: 2\n")
    with pytest.raises(ConfigError, match=r"line 3: unknown key 'inner.raet' \(nearest: rate"):
        read_config(Outer, path)


def test_a_wrong_value_is_named_with_its_line(tmp_path: Path):
    with pytest.raises(ConfigError, match="line 2: size: .*got 'many'"):
        read_config(Outer, write(tmp_path, "inner: {}\nsize: many\n"))


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\t", "a: !!python/object:os.system x"])
def test_what_is_no_mapping_is_one_error(tmp_path: Path, text: str):
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        read_config(Outer, write(tmp_path, text))


def test_files_that_are_missing_or_empty(tmp_path: Path):
    with pytest.raises(ConfigError, match="no configuration file"):
        read_config(Outer, tmp_path / "none.yaml")
    assert read_config(Outer, write(tmp_path, "")) == Outer()


@pytest.mark.parametrize("override", ["size", "=3", "size.deep=3", "inner..rate=1", "size={"])
def test_malformed_overrides(override: str, tmp_path: Path):
    with pytest.raises(ConfigError):
        read_config(Outer, write(tmp_path, "size: 3\n"), [override])


def test_a_resolved_configuration_reads_back_the_same(tmp_path: Path):
    config = Outer(inner=Inner(rate=0.1, names=("ä", "b")))
    again = read_config(Outer, write(tmp_path, dump_yaml(config)))
    assert again == config
    assert config_hash(again) == config_hash(config) != config_hash(Outer())
    assert build_config(Outer, config.model_dump()) == config


def write_module(folder: Path, name: str, text: str) -> None:
    file = folder / Path(*name.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    (file.parent / "__init__.py").touch()
    file.write_text(text)


NUMBERS = """
from number_registry import NUMBERS, Number
class Basis:
    unit = "apples"
@NUMBERS.register("one")
class One(Basis):
    \"\"\"The first number.

    More about it.\"\"\"
    size = 1
TWO = NUMBERS.register("two")(Number(size=2))
"""


@pytest.fixture
def numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """A registry of a package that registers a class and an object, and has a template."""
    write_module(tmp_path, "number_things.inner.few", NUMBERS)
    write_module(tmp_path, "number_things.inner._template", NUMBERS.replace('"one"', '"template"'))
    write_module(tmp_path, "number_things.broken", 'NUMBERS.register("broken")(1 / 0)')
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[Any] = Registry("number", "number_things")
    module = SimpleNamespace(NUMBERS=registry, Number=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "number_registry", module)
    yield registry
    for name in [name for name in sys.modules if name.startswith("number_things")]:
        del sys.modules[name]


def test_a_registry_names_things_without_importing_them(numbers: Registry[Any]):
    assert numbers.names() == ["broken", "one", "two"]
    assert numbers.entries["one"].summary == "The first number."
    assert numbers.entries["one"].facts == {"": "one", "size": 1, "unit": "apples"}
    assert numbers.entries["two"].facts == {"": "two", "size": 2}
    assert "number_things.inner.few" not in sys.modules


def test_a_registry_imports_what_is_asked_for(numbers: Registry[Any]):
    assert numbers.get("one").size == 1
    assert numbers.get("two").size == 2
    assert "number_things.broken" not in sys.modules
    numbers.register("three")(3)
    assert list(numbers) == ["broken", "one", "three", "two"]
    assert "three" in numbers
    with pytest.raises(RegistryError, match="already taken"):
        numbers.register("one")(7)
    with pytest.raises(RegistryError, match="unknown number 'tow' .*nearest: two"):
        numbers.get("tow")


def install(folder: Path, points: str) -> None:
    """Install a package that declares entry points for numbers."""
    info = folder / "more_numbers-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more-numbers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[freegaze.numbers]\n{points}\n")
    text = 'from number_registry import NUMBERS\nNUMBERS.register("four")(SQUARE := 4)\n'
    write_module(folder, "number_things_of_others.more", text)


def test_an_installed_package_adds_things(numbers: Registry[Any], tmp_path: Path):
    install(tmp_path, "four = number_things_of_others.more:SQUARE")
    assert "four" in numbers.names()
    assert "number_things_of_others.more" not in sys.modules
    assert numbers.get("four") == 4


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("one = number_things_of_others.more:SQUARE", "freegaze has a number of that name"),
        ("five = number_things_of_others.more:SQUARE", "registers no number 'five'"),
        ("six = number_things_of_others.more:NOTHING", "cannot be loaded"),
        ("seven = number_things_of_nobody", "cannot be loaded"),
    ],
)
def test_a_wrong_entry_point_is_one_error(
    numbers: Registry[Any], tmp_path: Path, point: str, message: str
):
    install(tmp_path, point)
    with pytest.raises(RegistryError, match=f"package more-numbers, entry point .*{message}"):
        numbers.get(point.partition(" ")[0])


class Small(StrictConfig):
    kind: Literal["small"] = "small"
    size: int = 1


class Large(StrictConfig):
    kind: Literal["large"] = "large"
    weight: float = 2.0
    color: str = "gray"


class Holder(StrictConfig):
    part: Annotated[Small | Large, Discriminator("kind")] = Large(weight=5.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("part: small", Small()),
        ("part: large", Large()),
        ("part: {kind: large, color: red}", Large(weight=5.0, color="red")),
        ("part: {color: red}", Large(weight=5.0, color="red")),
        ("part: {kind: small, size: 3}", Small(size=3)),
        ("{}", Large(weight=5.0)),
    ],
)
def test_a_part_of_several_kinds(tmp_path, text, expected):
    (tmp_path / "c.yaml").write_text(text)
    assert read_config(Holder, tmp_path / "c.yaml").part == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part: {kind: small, sise: 3}", r"line 1: unknown key 'part.sise' \(nearest: size"),
        ("part: {colour: red}", r"unknown key 'part.colour' \(nearest: color"),
        ("part: {weight: heavy}", r"part\.weight: Input should be a valid number.*'heavy'"),
        ("part: medium", r"part: Input tag 'medium' .* expected tags: 'small', 'large'"),
    ],
)
def test_a_mistake_in_a_part_of_several_kinds_is_named(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(Holder, tmp_path / "c.yaml")


class Csv(StrictConfig):
    kind: Literal["csv"] = "csv"
    file: str


class Npy(StrictConfig):
    kind: Literal["npy"] = "npy"
    rate_hz: float = 1.0


class Nested(StrictConfig):
    streams: dict[str, Annotated[Csv | Npy, Field(discriminator="kind")]] = Field(
        default_factory=dict
    )
    parts: tuple[Npy, ...] | None = None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "streams:\n  imu:\n    kind: csv\n    fil: a.csv\n",
            r"line 2: streams\.imu\.file: Field required",
        ),
        (
            "streams:\n  imu:\n    kind: csv\n    file: a\n    files: b\n",
            r"line 5: unknown key 'streams\.imu\.files' \(nearest: file",
        ),
        (
            "parts:\n  - rate_hz: 3.0\n  - rate: 4\n",
            r"line 3: unknown key 'parts\.1\.rate' \(nearest: rate_hz",
        ),
    ],
)
def test_errors_within_mappings_and_lists_have_their_line(text, message, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_config(Nested, tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefghi")),
        "a: &a [*a]\n",
    ],
    ids=["unfolds", "holds itself"],
)
def test_aliases_cannot_fill_the_memory(text, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match="anchors unfold"):
        read_config(Nested, tmp_path / "c.yaml")


@pytest.mark.parametrize("name", [["train"], 3, None])
def test_a_model_has_a_name(name: object):
    with pytest.raises(ConfigError, match="model.name must be a name"):
        build_config(RunConfig, {"model": {"name": name}}, where="run")
