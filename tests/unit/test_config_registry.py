"""Configuration files, overrides, and the registry."""

from pathlib import Path

import pytest

from freegaze.config import StrictConfig, build_config, config_hash, dump_yaml, read_config
from freegaze.errors import ConfigError, RegistryError
from freegaze.registry import Registry


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


def test_registry_finds_discovers_and_refuses():
    registry: Registry[int] = Registry("number", lambda: registry.register("two")(2) and None)
    registry.register("one")(1)
    assert registry.get("two") == 2
    assert list(registry) == ["one", "two"]
    assert "one" in registry
    with pytest.raises(RegistryError, match="already taken"):
        registry.register("one")(7)
    with pytest.raises(RegistryError, match="unknown number 'tow' .*nearest: two"):
        registry.get("tow")
