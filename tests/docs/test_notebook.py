"""The notebook of the documentation runs from its first cell to its last."""

import pytest
from documents import ROOT
from tiny_run import process_environment

nbformat = pytest.importorskip("nbformat", reason="needs tbd[notebook]")
nbclient = pytest.importorskip("nbclient", reason="needs tbd[notebook]")

NOTEBOOK = ROOT / "docs" / "distill_in_a_notebook.ipynb"
FEWER = """
epochs = {"teacher": 1, "student": 1}
images = {"train": 16, "val": 4}
folder = "out"
"""


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    for name, value in process_environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    assert all(name in parameters.source for name in ("epochs", "images", "folder"))
    parameters.source = FEWER
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    *_, picture = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert any("image/png" in output.get("data", {}) for output in picture.outputs)
    assert (tmp_path / "out/exported/student.pth").is_file()


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
