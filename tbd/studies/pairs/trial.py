"""Proof that a distillation config works: two training steps, the export, the stock detector.

A trial changes a config no more than it has to: random weights in place of
downloaded ones, narrow detectors, noise for data, two epochs of one step. Model
options, losses, optimizer, schedule and hooks are the config's own.
"""

import copy
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmdet.apis import init_detector
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tbd.compat import load_checkpoint
from tbd.detectors import TeacherStudentDetector, resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.detectors.weights import without_pretrained
from tbd.distill import DistillationTerm, UnsuitablePairError
from tbd.engine.config import load_config
from tbd.engine.export import export_student
from tbd.registry import MODELS
from tbd.studies.pairs.random_boxes import RandomBoxesDataset
from tbd.studies.pairs.width_scaling import scale_widths

BATCH_SIZE = 2
IMAGE_SIZE = 128
EPOCHS = 2
OPTIONAL_PACKAGE = "sklearn"
"""What PAA's loss imports, and MMDetection does not ask for."""

_HOOKS_OF_VALIDATION = ("tbd.HarmonyVisualizationHook",)

OTHER_DETECTORS = (
    "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py",
    "mmdet::ghm/retinanet_r50_fpn_ghm-1x_coco.py",
    "mmdet::free_anchor/freeanchor_r50_fpn_1x_coco.py",
    "mmdet::fsaf/fsaf_r50_fpn_1x_coco.py",
    "mmdet::sabl/sabl-retinanet_r50_fpn_1x_coco.py",
    "mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py",
    "mmdet::ddod/ddod_r50_fpn_1x_coco.py",
    "mmdet::tood/tood_r50_fpn_anchor-based_1x_coco.py",
    "mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py",
    "mmdet::nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
    "mmdet::foveabox/fovea_r50_fpn_4xb4-1x_coco.py",
    "mmdet::autoassign/autoassign_r50-caffe_fpn_1x_coco.py",
    "mmdet::reppoints/reppoints-moment_r50_fpn_1x_coco.py",
    "mmdet::centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py",
    "mmdet::centernet/centernet_r18_8xb16-crop512-140e_coco.py",
    "mmdet::rtmdet/rtmdet-ins_s_8xb32-300e_coco.py",
    "mmdet::yolact/yolact_r50_8xb8-55e_coco.py",
    "mmdet::rpn/rpn_r50_fpn_1x_coco.py",
    "mmdet::libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py",
    "mmdet::dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco.py",
    "mmdet::double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py",
    "mmdet::grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco.py",
    "mmdet::sabl/sabl-faster-rcnn_r50_fpn_1x_coco.py",
    "mmdet::ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py",
    "mmdet::point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py",
    "mmdet::htc/htc-without-semantic_r50_fpn_1x_coco.py",
    "mmdet::guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py",
    "mmdet::cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco.py",
    "mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py",
    "mmdet::detr/detr_r50_8xb2-150e_coco.py",
    "mmdet::conditional_detr/conditional-detr_r50_8xb2-50e_coco.py",
    "mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py",
    "mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    "mmdet::ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py",
)
"""One config of each family that no shipped config distills."""


class PairError(RuntimeError):
    """A distillation does not do what it promises."""


@dataclass(frozen=True)
class TermTrial:
    """What became of one term on one pair.

    Attributes:
        refusal: Why the term does not apply to the pair; empty where it works.
        losses: Its losses at the first step, by name.
        reaches: Parts of the student that its gradient reaches.
    """

    refusal: str = ""
    losses: Mapping[str, float] | None = None
    reaches: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairTrial:
    """What became of one distillation config.

    Attributes:
        name: Name of the config, without folder and suffix.
        student: Class name of the student.
        teacher: Class name of the teacher.
        own_terms: Types of the terms that the config itself has.
        terms: By type, each term of the config and each other that there is.
        missing: What the student's own training needs and this environment
            lacks; empty where the pair was trained.
        seconds: Duration of the trial.
    """

    name: str
    student: str
    teacher: str
    own_terms: tuple[str, ...]
    terms: Mapping[str, TermTrial]
    missing: str
    seconds: float


def try_pair(config: str, full_width: bool = False) -> PairTrial:
    """Train a distillation for two steps, export its student and run that in plain MMDetection.

    Beside the terms of the config every other term that the pair accepts takes part.

    Args:
        config: Config file of the distillation; a plain detector, ``mmdet::…`` or a file, is
            distilled into itself.
        full_width: Train the detectors as they are, not narrow versions of them.

    Returns:
        What was found.

    Raises:
        PairError: A loss is not finite or 0, a gradient does not arrive, the
            teacher changes, or the exported student predicts something else.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as work_dir:
        cfg = _trial_config(config, work_dir, full_width)
        own_terms = tuple(term["type"] for term in cfg.model.distill.values() if term)
        runner, refusals = _build_with_all_terms(cfg)
        model = runner.model
        probe = _Probe()
        # Before averaging of weights makes its copy.
        runner.register_hook(probe, priority="VERY_HIGH")
        missing = ""
        try:
            runner.train()
        except ImportError as error:
            if OPTIONAL_PACKAGE not in str(error):
                raise
            missing = "the student's own loss needs scikit-learn"
        else:
            probe.check(model)
            _check_export(config, cfg, runner)
    return PairTrial(
        name=Path(config).stem,
        student=type(model.student).__name__,
        teacher=type(model.teacher).__name__,
        own_terms=own_terms,
        terms={kind: TermTrial(refusal=reason) for kind, reason in refusals.items()}
        | probe.trials(model),
        missing=missing,
        seconds=time.perf_counter() - start,
    )


def shipped_distillations(folder: str | Path) -> list[str]:
    """Paths of all distillation configs in a folder, then in those inside it but ``_base_``."""
    paths = sorted(Path(folder).rglob("*.py"), key=lambda path: (len(path.parts), path))
    paths = [path for path in paths if "_base_" not in path.parts]
    return [str(path) for path in paths if load_config(str(path)).model.type in WRAPPER_TYPES]


def try_pairs(
    configs: Sequence[str],
    jobs: int = 1,
    full_width: bool = False,
    progress: Callable[[str], None] = print,
) -> tuple[list[PairTrial], dict[str, str]]:
    """Try several configs, in processes of their own.

    Args:
        configs: See :func:`try_pair`.
        jobs: Number of processes, which share the CPU's cores.
        full_width: See :func:`try_pair`.
        progress: Called with a line after each config.

    Returns:
        The trials in the order of their configs, and the error of each config that failed.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    trials, errors = {}, {}
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=_prepare_worker, initargs=(threads,)
    ) as pool:
        futures = {pool.submit(try_pair, config, full_width): config for config in configs}
        for number, future in enumerate(as_completed(futures), start=1):
            config = futures[future]
            count = f"[{number}/{len(configs)}] {Path(config).stem}:"
            try:
                trials[config] = future.result()
            # Whatever went wrong with one pair, the others are still to be tried.
            except Exception as error:
                errors[config] = f"{type(error).__name__}: {error}"
                progress(f"{count} FAILED, {errors[config]}")
            else:
                outcome = trials[config].missing or "works"
                progress(f"{count} {outcome}, {trials[config].seconds:.1f} s")
    return [trials[config] for config in configs if config in trials], errors


def _prepare_worker(threads: int) -> None:
    # Fewer where OMP_NUM_THREADS says so.
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    warnings.filterwarnings("ignore")


def all_terms() -> list[str]:
    """Types of all distillation terms, as configs name them."""
    return sorted(
        f"tbd.{name}"
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, DistillationTerm)
    )


def _trial_config(config: str, work_dir: str, full_width: bool) -> Config:
    cfg = load_config(config)
    if cfg.model.type not in WRAPPER_TYPES:
        cfg.model = dict(type=WRAPPER_TYPES[0], student=cfg.model, teacher=cfg.model, distill={})
    model = cfg.model
    for role in ("student", "teacher"):
        detector = resolve_model_config(model[role], model.pop(f"{role}_options", None), key=role)
        detector = without_pretrained(detector)
        if "num_queries" in detector:
            # DINO chooses them among the cells of the image, of which a small one has fewer.
            detector.num_queries = min(detector.num_queries, 100)
        model[role] = detector if full_width else scale_widths(detector)
    model.update(teacher_ckpt=None, allow_random_teacher=True)
    _use_every_phase(model.student)
    # The student is exported from the config itself, further down.
    cfg.default_hooks.pop("export", None)
    cfg.work_dir = work_dir
    cfg.experiment_name = Path(work_dir).name
    cfg.log_level = "ERROR"
    cfg.randomness = dict(seed=0)
    cfg.train_dataloader = dict(
        batch_size=BATCH_SIZE,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            type=f"tbd.{RandomBoxesDataset.__name__}",
            # A proposal network tells none apart.
            num_classes=max(_count_classes(model.student), 1),
            num_images=BATCH_SIZE,
            # A detector that needs a larger image says so for its probing too.
            size=model.get("probe_size", IMAGE_SIZE),
            with_masks=_loads_masks(cfg.train_dataloader),
        ),
    )
    for split in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            cfg[f"{split}_{part}"] = None
    hooks = cfg.get("custom_hooks") or []
    cfg.custom_hooks = [hook for hook in hooks if hook.type not in _HOOKS_OF_VALIDATION]
    cfg.train_cfg.max_epochs = EPOCHS
    # Visualizers are global, by name; a later trial must not write to this one's folder.
    cfg.visualizer.name = cfg.experiment_name
    if not torch.cuda.is_available():
        _leave_mixed_precision(cfg.optim_wrapper)
    # Runners write their config down again and again, and formatting it takes longer than a step.
    return Config(cfg.to_dict(), format_python_code=False)


def _use_every_phase(student: ConfigDict) -> None:
    """Let phases and augmentations that set in late set in within the trial."""
    train_cfg = student.get("train_cfg") or {}
    if "initial_epoch" in train_cfg:
        train_cfg["initial_epoch"] = 1
    for augment in student.data_preprocessor.get("batch_augments") or ():
        if augment.type == "BatchSyncRandomResize":
            augment.update(interval=1, random_size_range=(IMAGE_SIZE - 32, IMAGE_SIZE))


def _loads_masks(node: Any) -> bool:
    """Whether a transform inside a data loader's config loads masks."""
    if isinstance(node, Mapping):
        return bool(node.get("with_mask")) or any(_loads_masks(item) for item in node.values())
    return isinstance(node, list | tuple) and any(_loads_masks(item) for item in node)


def _leave_mixed_precision(optim_wrapper: ConfigDict) -> None:
    if optim_wrapper.get("type") == "AmpOptimWrapper":
        optim_wrapper.type = "OptimWrapper"
        for key in ("loss_scale", "dtype", "use_fsdp"):
            optim_wrapper.pop(key, None)


def _count_classes(node: Any) -> int:
    """Largest ``num_classes`` inside a model config; an RPN's 1 is not what it tells apart."""
    if isinstance(node, Mapping):
        own = node.get("num_classes")
        return max([_count_classes(item) for item in node.values()] + [own or 0])
    if isinstance(node, list | tuple):
        return max([_count_classes(item) for item in node], default=0)
    return 0


def _build_with_all_terms(cfg: Config) -> tuple[Runner, dict[str, str]]:
    """Build the runner with the config's terms and all others that the pair accepts.

    Returns:
        The runner, and for each other term the reason why the pair refuses it.
    """
    own = {term["type"] for term in cfg.model.distill.values() if term}
    others = {kind.replace(".", "_"): kind for kind in all_terms() if kind not in own}
    refusals: dict[str, str] = {}
    while True:
        trial = copy.deepcopy(cfg)
        trial.model.distill.update({name: dict(type=kind) for name, kind in others.items()})
        try:
            return Runner.from_cfg(trial), refusals
        except UnsuitablePairError as error:
            if error.term not in others:
                raise
            refused = {error.term: others[error.term]}
            if error.needs:
                needs = _needs(others[error.term])
                refused |= {name: kind for name, kind in others.items() if _needs(kind) == needs}
            for name, kind in refused.items():
                refusals[kind] = error.reason
                others.pop(name)


def _needs(kind: str) -> tuple[bool, bool]:
    term = MODELS.get(kind)
    return term.needs_predictions, term.needs_rois


@torch.no_grad()
def _gather_statistics(detector: BaseDetector, images: RandomBoxesDataset) -> None:
    """Normalise the activations of random weights, which grow without bound in a deep network.

    Pretrained backbones bring statistics that fit their weights.
    """

    def adopt(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if norm.running_mean is None or norm.running_var is None:
            return
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        # A channel that hardly varies over so few pixels would amplify the least difference.
        norm.running_var.copy_(variance.clamp(min=variance.mean()))

    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    norms = [module for module in detector.modules() if isinstance(module, _BatchNorm)]
    handles = [norm.register_forward_pre_hook(adopt) for norm in norms]
    data = dict(inputs=[images[index]["inputs"] for index in range(len(images))])
    detector.extract_feat(detector.data_preprocessor(data, False)["inputs"])
    for handle in handles:
        handle.remove()
    for module, training in modes.items():
        module.training = training


class _Probe(Hook):
    """Looks at each term's losses and gradients, and at everything that must not change."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.gradients: dict[str, tuple[str, ...]] = {}
        self.before: dict[str, dict[str, Tensor]] = {}

    def before_run(self, runner: Runner) -> None:
        """Bring the activations of both detectors, whose weights are set now, to a usual scale."""
        for detector in _detectors(runner.model).values():
            _gather_statistics(detector, runner.train_dataloader.dataset)

    def before_train(self, runner: Runner) -> None:
        """Remember the weights of both detectors, and read along where losses are summed."""
        model = runner.model
        self.before = {
            role: {key: value.clone() for key, value in detector.state_dict().items()}
            for role, detector in _detectors(model).items()
        }
        sum_up = model.parse_losses

        def trace(losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
            if not self.gradients:
                self.gradients = {
                    name: tuple(_parts_reached(model, _losses_of(name, losses).values()))
                    for name in model.terms
                }
            return sum_up(losses)

        model.parse_losses = trace

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any | None = None,
        outputs: Any | None = None,
    ) -> None:
        """Keep the losses that were logged."""
        self.losses.append({key: float(value) for key, value in (outputs or {}).items()})

    def trials(self, model: TeacherStudentDetector) -> dict[str, TermTrial]:
        """Results of the terms that were trained."""
        return {
            f"tbd.{type(term).__name__}": TermTrial(
                losses=_losses_of(name, self.losses[0]) if self.losses else None,
                reaches=self.gradients.get(name, ()),
            )
            for name, term in model.terms.items()
        }

    def check(self, model: TeacherStudentDetector) -> None:
        """Compare what was seen with what a distillation promises.

        Raises:
            PairError: The first promise that is broken.
        """
        if len(self.losses) != EPOCHS:
            raise PairError(f"{len(self.losses)} steps were trained in place of {EPOCHS}.")
        for step, losses in enumerate(self.losses):
            for key, value in losses.items():
                if not torch.isfinite(torch.tensor(value)):
                    raise PairError(f"{key} is {value} at step {step}.")
            for name in model.terms:
                for key, value in _losses_of(name, losses).items():
                    if value == 0:
                        raise PairError(f"{name}.{key} is 0 at step {step}.")
        self._check_gradients(model)
        self._check_weights(model)

    def _check_gradients(self, model: TeacherStudentDetector) -> None:
        features = ["backbone", "neck"] if model.student.with_neck else ["backbone"]
        wanted = {name: set(features) for name in model.terms}
        reached = {name: set(parts) for name, parts in self.gradients.items()}
        heads = {model.student_head} if model.student_head else set()
        if any(term.needs_rois for term in model.terms.values()):
            heads.add("roi_head")
        # A term on features reads predictions as constants, so no single one has to reach them.
        wanted["all terms together"] = heads
        reached["all terms together"] = set().union(*reached.values())
        for name, parts in wanted.items():
            if parts - reached[name]:
                raise PairError(
                    f"The gradient of {name} does not reach the student's "
                    f"{', '.join(sorted(parts - reached[name]))}."
                )

    def _check_weights(self, model: TeacherStudentDetector) -> None:
        unchanged = {
            role: all(
                torch.equal(value, self.before[role][key])
                for key, value in detector.state_dict().items()
            )
            for role, detector in _detectors(model).items()
        }
        if unchanged["student"]:
            raise PairError("Two steps of the optimizer left the student as it was.")
        if not unchanged["teacher"]:
            raise PairError("The teacher's weights or statistics have changed.")
        if any(p.requires_grad or p.grad is not None for p in model.teacher.parameters()):
            raise PairError("The teacher has parameters with a gradient.")


def _detectors(model: TeacherStudentDetector) -> dict[str, BaseDetector]:
    return {"student": model.student, "teacher": model.teacher}


def _losses_of(term: str, losses: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{term}."
    return {
        key.removeprefix(prefix): value
        for key, value in losses.items()
        if key.startswith(prefix) and "loss" in key
    }


def _parts_reached(model: TeacherStudentDetector, losses: Iterable[Tensor]) -> Iterable[str]:
    """Names of the student's children with a gradient of the losses' sum that is not 0."""
    parts = {
        name: [parameter for parameter in part.parameters() if parameter.requires_grad]
        for name, part in model.student.named_children()
    }
    trained = [parameter for parameters in parts.values() for parameter in parameters]
    gradients = torch.autograd.grad(
        torch.stack(list(losses)).sum(), trained, retain_graph=True, allow_unused=True
    )
    reached = {
        id(parameter)
        for parameter, gradient in zip(trained, gradients, strict=True)
        if gradient is not None and gradient.any()
    }
    for name, parameters in parts.items():
        if any(id(parameter) in reached for parameter in parameters):
            yield name


def _check_export(config: str, cfg: Config, runner: Runner) -> None:
    """Export the student and compare its predictions in plain MMDetection with the model's.

    Raises:
        PairError: They differ.
    """
    checkpoint = find_latest_checkpoint(runner.work_dir)
    model = runner.model
    # Under EMA the checkpoint holds other weights than the model.
    model.load_state_dict(load_checkpoint(checkpoint)["state_dict"])
    export_student(config, checkpoint, runner.work_dir, options={"model": _replaced(cfg.model)})
    folder = Path(runner.work_dir)
    plain = init_detector(
        str(folder / "student.py"), str(folder / "student.pth"), device=get_device()
    )
    image = runner.train_dataloader.dataset[0]
    expected, found = (_predict(detector, image) for detector in (model, plain))
    if not expected:
        raise PairError("The student predicts nothing, so its export cannot be compared.")
    same = len(expected) == len(found) and all(map(torch.equal, expected, found))
    if not same:
        raise PairError("The exported student predicts something else in plain MMDetection.")


@torch.no_grad()
def _predict(detector: BaseDetector, image: Mapping[str, Any]) -> list[Tensor]:
    """Boxes, scores and labels, or the raw output where random weights give no valid box."""
    _lower_thresholds(detector)
    detector.eval()
    batch = dict(inputs=[image["inputs"]], data_samples=[copy.deepcopy(image["data_samples"])])
    data = detector.data_preprocessor(batch, False)
    instances = detector(**data, mode="predict")[0].pred_instances
    if len(instances):
        return [instances[key] for key in ("bboxes", "scores", "labels") if key in instances]
    return _tensors_in(detector(**data, mode="tensor"))


def _tensors_in(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, list | tuple):
        return [tensor for item in output for tensor in _tensors_in(item)]
    return []


def _replaced(model: ConfigDict) -> dict[str, Any]:
    return {**model, "_delete_": True}


def _lower_thresholds(detector: nn.Module) -> None:
    """Keep a few predictions of whatever score: random weights are not confident."""

    def lower(node: Any) -> None:
        if isinstance(node, dict):
            limits = dict(score_thr=0.0, conf_thr=0.0, nms_pre=100, max_per_img=20)
            node.update({key: value for key, value in limits.items() if key in node})
            for item in node.values():
                lower(item)

    for module in detector.modules():
        lower(getattr(module, "test_cfg", None))
