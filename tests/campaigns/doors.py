"""Every way by which a checkpoint comes into a process that imported ``tbd``."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from mmdet.apis import DetInferencer, init_detector
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.runner import CheckpointLoader, checkpoint, load_checkpoint
from tiny import retinanet, wrapper
from tiny_run import CLASSES, config_dict, write_config, write_data

from tbd import compat
from tbd.compat.download import cached_path
from tbd.detectors import build_detector, resolve_model_config
from tbd.engine import evaluate, export_student, train
from tbd.engine.deployment import export_onnx
from tbd.engine.prediction import predict
from tbd.registry import METRICS, MODELS
from tbd.studies.comparison.measurement import load_student
from tbd.studies.comparison.runs import Run
from tbd.studies.harmony import AnalysisSettings, Subject, analyze


class Bench:
    """A folder with data and a config for the doors to use, and the content of a good checkpoint.

    Args:
        folder: Where everything is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_data(folder / "data", images=2)
        self.content: dict[str, Any] = config_dict(folder / "data", wrapper(), epochs=1)
        self.config = write_config(folder / "run.py", self.content)
        self.plain = write_config(folder / "plain.py", config_dict(folder / "data", retinanet()))
        weights = build_detector(resolve_model_config(retinanet())).state_dict()
        self.checkpoint = dict(
            state_dict=dict(weights),
            meta=dict(epoch=0, iter=0, seed=3, dataset_meta=dict(classes=CLASSES)),
            message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
            optimizer=dict(state={}, param_groups=[]),
        )
        self._runs = 0

    def work_dir(self) -> Path:
        """A new folder for a run."""
        self._runs += 1
        folder = self.folder / f"work_{self._runs}"
        folder.mkdir()
        return folder

    def train(self, options: dict[str, Any] | None = None, **arguments: Any) -> None:
        """Start a training, of which only the start matters."""
        arguments.setdefault("work_dir", str(self.work_dir()))
        train(self.config, options=options, **arguments)


def _in_work_dir(bench: Bench, file: Path) -> str:
    folder = bench.work_dir()
    shutil.copy(file, folder / "epoch_1.pth")
    (folder / "last_checkpoint").write_text(str(folder / "epoch_1.pth"))
    return str(folder)


def _teacher(bench: Bench, file: Path) -> None:
    MODELS.build(wrapper(teacher=retinanet(), teacher_ckpt=str(file)))


def _student(bench: Bench, file: Path) -> None:
    MODELS.build(wrapper(student_ckpt=str(file)))


def _resume(bench: Bench, file: Path) -> None:
    bench.train(resume=str(file))


def _resume_auto(bench: Bench, file: Path) -> None:
    bench.train(work_dir=_in_work_dir(bench, file), resume="auto")


def _resume_in_config(bench: Bench, file: Path) -> None:
    bench.train(options={"resume": True, "load_from": str(file)})


def _resume_auto_in_config(bench: Bench, file: Path) -> None:
    bench.train(options={"resume": True}, work_dir=_in_work_dir(bench, file))


def _load_from(bench: Bench, file: Path) -> None:
    bench.train(options={"load_from": str(file)})


def _pretrained_student(bench: Bench, file: Path) -> None:
    init = dict(type="Pretrained", checkpoint=str(file), prefix="backbone")
    bench.train(options={"model.student.backbone.init_cfg": init})


def _pretrained_model(bench: Bench, file: Path) -> None:
    model = retinanet() | dict(init_cfg=dict(type="Pretrained", checkpoint=str(file)))
    build_detector(Config(dict(model=model)).model).init_weights()


def _test(bench: Bench, file: Path) -> None:
    evaluate(bench.plain, str(file), str(bench.work_dir()))


def _export(bench: Bench, file: Path) -> None:
    export_student(bench.config, str(file), str(bench.work_dir()))


def _export_onnx(bench: Bench, file: Path) -> None:
    export_onnx(bench.plain, str(file), str(bench.work_dir()))


def _predict(bench: Bench, file: Path) -> None:
    images = [str(bench.folder / "data" / "images")]
    predict(str(file), images, str(bench.work_dir()), config=bench.plain)


def _predict_onnx(bench: Bench, file: Path) -> None:
    renamed = shutil.copy(file, file.with_suffix(".onnx"))
    predict(renamed, [str(bench.folder / "data" / "images")], str(bench.work_dir()))


def _compare(bench: Bench, file: Path) -> None:
    folder = Path(_in_work_dir(bench, file))
    load_student(Run(bench.plain, seed=0, folder=folder, options=(), fingerprint=""))


def _analyze(bench: Bench, file: Path) -> None:
    settings = AnalysisSettings(pictures=(), nms_images=1)
    analyze([Subject("one", bench.plain, str(file))], str(bench.work_dir()), settings=settings)


def _init_detector(bench: Bench, file: Path) -> None:
    init_detector(bench.plain, str(file), device="cpu")


def _inferencer(bench: Bench, file: Path) -> None:
    DetInferencer(weights=str(file), device="cpu")


def _mmengine(bench: Bench, file: Path) -> None:
    load_checkpoint(build_detector(resolve_model_config(retinanet())), str(file))


def _encoder(bench: Bench, file: Path) -> None:
    term = dict(
        type="tbd.FoundationFeatureDistillation",
        encoder=dict(type="mmdet.ResNet", depth=18, checkpoint=str(file)),
    )
    MODELS.build(wrapper(distill=dict(term=term)))


def _paraphraser(bench: Bench, file: Path) -> None:
    MODELS.build(
        wrapper(distill=dict(term=dict(type="tbd.FactorTransfer", paraphraser_ckpt=str(file))))
    )


def _judge(bench: Bench, file: Path) -> None:
    METRICS.build(dict(type="tbd.GenerationMetric", classifier_ckpt=str(file)))


def _by_url(load: Callable[[str], object]) -> Callable[[Bench, Path], None]:
    def enter(bench: Bench, file: Path) -> None:
        with _serving(file) as url:
            load(url)

    return enter


def _open_mmlab(bench: Bench, file: Path) -> None:
    home = Path(torch.hub.get_dir()) / "mmengine"
    home.mkdir(parents=True, exist_ok=True)
    (home / "open_mmlab.json").write_text(json.dumps({"payload": str(file)}))
    with patch.dict(os.environ, MMENGINE_HOME=str(home)):
        CheckpointLoader.load_checkpoint("open-mmlab://payload")


def _torchvision(bench: Bench, file: Path) -> None:
    with (
        _serving(file) as url,
        patch.object(checkpoint, "get_torchvision_models", lambda: {"payload": url}),
    ):
        CheckpointLoader.load_checkpoint("torchvision://payload")


def _mmcls(bench: Bench, file: Path) -> None:
    with _serving(file) as url, patch.object(checkpoint, "get_mmcls_models", lambda: {"one": url}):
        CheckpointLoader.load_checkpoint("mmcls://one")


def _s3(bench: Bench, file: Path) -> None:
    backend = SimpleNamespace(get=lambda name: file.read_bytes())
    with patch.object(checkpoint, "get_file_backend", lambda *args, **kwargs: backend):
        CheckpointLoader.load_checkpoint("s3://bucket/payload.pth")


def _annotations(bench: Bench, file: Path) -> None:
    """A pickled annotation file, as some data sets of MMDetection have."""
    load(shutil.copy(file, file.with_suffix(".pkl")))


def _cache(bench: Bench, file: Path) -> None:
    """A file that lies in the cache already."""
    url = "http://127.0.0.1:1/payload.pth"
    cached = cached_path(url)
    cached.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, cached)
    CheckpointLoader.load_checkpoint(url)


DOORS: dict[str, Callable[[Bench, Path], None]] = {
    "teacher_ckpt": _teacher,
    "student_ckpt": _student,
    "--resume FILE": _resume,
    "--resume": _resume_auto,
    "resume and load_from in the config": _resume_in_config,
    "resume in the config": _resume_auto_in_config,
    "load_from": _load_from,
    "Pretrained, student's backbone": _pretrained_student,
    "Pretrained, model": _pretrained_model,
    "tbd test": _test,
    "tbd export": _export,
    "tbd export --format onnx": _export_onnx,
    "tbd predict": _predict,
    "tbd predict MODEL.onnx": _predict_onnx,
    "tbd analyze": _analyze,
    "tbd compare": _compare,
    "init_detector": _init_detector,
    "DetInferencer": _inferencer,
    "mmengine.load_checkpoint": _mmengine,
    "encoder.checkpoint": _encoder,
    "paraphraser_ckpt": _paraphraser,
    "classifier_ckpt": _judge,
    "URL": _by_url(compat.load_checkpoint),
    "URL in MMEngine": _by_url(CheckpointLoader.load_checkpoint),
    "open-mmlab://": _open_mmlab,
    "torchvision://": _torchvision,
    "mmcls://": _mmcls,
    "s3://": _s3,
    "pickled annotations": _annotations,
    "cache": _cache,
}
"""How to bring a file in: ``(bench, file)``."""


@contextmanager
def _serving(file: Path) -> Iterator[str]:
    content = file.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/payload.pth"
        finally:
            server.shutdown()
