import pytest

from tbd.detectors import resolve_model_config
from tbd.detectors.config_file import find_config, read_config


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.py", "model = dict(\n", r"a\.py: SyntaxError, '\(' was never closed .*line 1"),
        ("a.py", "b = 1\nc = b / 0\n", r"a\.py: ZeroDivisionError, division by zero \(line 2\)"),
        ("a.json", '{"a": [', r"a\.json: JSONDecodeError"),
        ("a.json", "[1]", r"cannot read the config .*a\.json"),
        ("a.yaml", "a: !!python/object/apply:os.system [x]", "refusing to read a YAML file"),
        ("a.py", b"a = '\xf6'\n", r"a\.py: UnicodeDecodeError"),
        ("a.txt", "a = 1", r"a\.txt is no config, whose name must end in \.py, \.json"),
    ],
)
def test_what_is_wrong_with_a_config_is_said_with_its_place(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_config(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py", r"there is no config file at .*none\.py; give another"),
        ("", "there is no config file at '', which is empty"),
        (".", "which is a folder; give another"),
        ("n" * 300, "there is no config file"),
        ("nosuchpackage::a.py", "'nosuchpackage' is no package that is installed"),
        ("::", "'' is no package that is installed"),
        ("mmdet::atss/none.py", "mmdet ships no config"),
    ],
)
def test_a_config_that_is_not_there_is_named(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        find_config(name)


def test_what_a_config_inherits_or_imports_keeps_the_kind_of_its_error(tmp_path):
    (tmp_path / "base.py").write_text("_base_ = 'none.py'\n")
    with pytest.raises(FileNotFoundError, match=r"base\.py: .*none\.py"):
        read_config(str(tmp_path / "base.py"))
    (tmp_path / "imports.py").write_text("custom_imports = dict(imports=['nosuchmodule'])\n")
    with pytest.raises(ImportError, match=r"imports\.py: .*nosuchmodule"):
        read_config(str(tmp_path / "imports.py"))


def test_no_package_is_installed_to_find_a_config(monkeypatch):
    # MMEngine's own function would ask pip for a package that a config names.
    monkeypatch.setattr("mmengine.hub.hub.install_package", lambda name: pytest.fail(name))
    with pytest.raises(FileNotFoundError):
        read_config("nosuchpackage::a/b.py")


@pytest.mark.parametrize(
    ("path", "error"),
    [("mmdet::no/such.py", FileNotFoundError), ("no/such.py", FileNotFoundError)],
)
def test_a_model_that_cannot_be_read_is_said_by_its_key(path, error):
    with pytest.raises(error, match=rf"model\.student='{path}'.*such\.py"):
        resolve_model_config(path, key="model.student")


def test_a_model_whose_config_has_a_mistake_is_said_by_its_key(tmp_path):
    (tmp_path / "broken.py").write_text("model = dict(")
    with pytest.raises(ValueError, match=r"model\.teacher='.*broken\.py': cannot read the config"):
        resolve_model_config(str(tmp_path / "broken.py"), key="model.teacher")
