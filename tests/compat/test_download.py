import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.runner import CheckpointLoader
from torch.testing import assert_close

from tbd.compat import load_checkpoint
from tbd.compat.download import cached_path

pytestmark = pytest.mark.openmmlab


@contextmanager
def _serve(files):
    """Serve ``files`` (name → content) and yield the address and the list of requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            requests.append(name)
            if name not in files:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(files[name])))
            self.end_headers()
            self.wfile.write(files[name])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


@pytest.fixture
def content(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "source.pth")
    return (tmp_path / "source.pth").read_bytes()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


def test_download_once_with_progress(content, hub, capsys):
    with _serve({"teacher.pth": content}) as (address, requests):
        for _ in range(2):
            loaded = load_checkpoint(f"{address}/teacher.pth")
            assert_close(loaded, {"weight": torch.ones(2)})
    assert requests == ["teacher.pth"]
    assert [path.name for path in hub.iterdir()] == [cached_path(f"{address}/teacher.pth").name]
    assert "100%" in capsys.readouterr().err


def test_failed_download(hub):
    with _serve({}) as (address, _), pytest.raises(ConnectionError) as error:
        load_checkpoint(f"{address}/teacher.pth")
    assert f"{address}/teacher.pth to {cached_path(f'{address}/teacher.pth')}" in str(error.value)
    assert "404" in str(error.value)
    assert not list(hub.iterdir())


def test_two_urls_with_one_file_name(content, hub, tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    files = {"one/latest.pth": content, "two/latest.pth": (tmp_path / "other.pth").read_bytes()}
    with _serve(files) as (address, _):
        for folder, value in (("one", 1.0), ("two", 0.0)):
            loaded = load_checkpoint(f"{address}/{folder}/latest.pth")
            assert loaded["weight"].tolist() == [value] * 2


@pytest.mark.parametrize("answer", ["page", "cut short"])
def test_what_is_no_checkpoint_is_not_kept(content, hub, answer):
    sent = b"<!DOCTYPE html><html>log in</html>" if answer == "page" else content[:-100]
    with (
        _serve({"teacher.pth": sent}) as (address, _),
        pytest.raises(ValueError, match=r"DOCTYPE|cut short after \d+ bytes"),
    ):
        load_checkpoint(f"{address}/teacher.pth")
    assert not list(hub.iterdir())


def test_the_digits_in_a_name_are_checked(content, hub):
    digest = hashlib.sha256(content).hexdigest()
    good, bad = f"net_20200130-{digest[:8]}.pth", "net_20200130-0123abcd.pth"
    with _serve({good: content, bad: content}) as (address, requests):
        load_checkpoint(f"{address}/{good}")
        with pytest.raises(ValueError, match=f"begins with 0123abcd, it has {digest[:8]}"):
            load_checkpoint(f"{address}/{bad}")
        assert [path.name for path in hub.iterdir()] == [good]
        # A copy that was damaged later is fetched again.
        (hub / good).write_bytes(content[:-1])
        load_checkpoint(f"{address}/{good}")
    assert requests == [good, bad, good]


def test_a_date_in_a_name_is_no_digest(content, hub):
    with _serve({"net-20240229.pth": content}) as (address, _):
        load_checkpoint(f"{address}/net-20240229.pth")


def test_mmengine_downloads_alike(content, hub):
    with _serve({"teacher.pth": content}) as (address, requests):
        CheckpointLoader.load_checkpoint(f"{address}/teacher.pth")
        load_checkpoint(f"{address}/teacher.pth")
    assert requests == ["teacher.pth"]


def _load_in_process(rank, rendezvous, url, failures):
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    try:
        assert_close(load_checkpoint(url), {"weight": torch.ones(2)})
    except ConnectionError:
        failures[rank] = 1
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("present", [True, False])
def test_one_process_downloads_for_all(content, hub, tmp_path, monkeypatch, present):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    files = {"teacher.pth": content} if present else {}
    failures = torch.zeros(2).share_memory_()
    with _serve(files) as (address, requests):
        mp.spawn(
            _load_in_process,
            args=(f"file://{tmp_path}/rendezvous", f"{address}/teacher.pth", failures),
            nprocs=2,
        )
    assert requests == ["teacher.pth"]
    assert failures.tolist() == ([0, 0] if present else [1, 1])
