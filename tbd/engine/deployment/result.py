"""What an export to ONNX wrote, and how that compares with MMDetection's detector."""

from dataclasses import dataclass
from pathlib import Path

from tbd.engine.deployment.metadata import ModelInfo
from tbd.engine.deployment.verification import Agreement, Latency


@dataclass(frozen=True)
class OnnxExport:
    """What was written, and how it compares with MMDetection's detector.

    Attributes:
        path: The file.
        info: What it says of itself.
        size: Bytes.
        origin: Where the images of the comparison came from.
        images: How many they were.
        agreement: Of its detections with MMDetection's.
        raw: Largest difference of a coordinate in pixels and of a score, before suppression; None
            for an end-to-end graph.
        latency: Of both.
        metrics: Of MMDetection's detector, of the file, and of the file before its quantization;
            empty where it was not asked for.
    """

    path: Path
    info: ModelInfo
    size: int
    origin: str
    images: int
    agreement: Agreement
    raw: tuple[float, float] | None
    latency: Latency
    metrics: dict[str, dict[str, float]]

    def report(self) -> str:
        """Everything above in lines to read."""
        found, time = self.agreement, self.latency
        spec = self.info.image
        size = "any size" if spec.dynamic else f"{spec.size[0]} x {spec.size[1]}"
        kind = "pixels to detections" if self.info.end_to_end else "images to boxes and scores"
        lines = [
            f"{self.path}: {self.info.detector}, {kind}, {size}, {self.info.precision}, "
            f"{self.size / 2**20:.1f} MiB",
            f"verified against MMDetection's predict on {self.images} {self.origin}:",
        ]
        if self.raw is not None:
            lines.append(
                f"  before suppression: boxes differ by {self.raw[0]:.2g} pixels, "
                f"scores by {self.raw[1]:.2g} at most"
            )
        lines.append(
            f"  detections: {found.detections - found.missed} of {found.detections} found and "
            f"{found.extra} others; boxes differ by {found.box:.2g} pixels, scores by "
            f"{found.score:.2g} at most"
            if found.detections or found.extra
            else "  detections: MMDetection has none on these images, so that none were compared; "
            "model.test_cfg.score_thr=0 shows some"
        )
        if self.raw is not None and (found.missed or found.extra):
            lines.append(
                "  (the file does not tell levels apart, and nms_pre, the most candidates of a "
                "level, is not kept; score_thr acts on scores that centerness and the like are "
                "part of; --end-to-end does both as MMDetection)"
            )
        lines += [
            f"latency of an image: MMDetection {1000 * time.torch:.1f} ms, "
            f"onnxruntime {1000 * time.onnx:.1f} ms (CPU, {time.threads} threads of PyTorch)",
        ]
        for name, metrics in self.metrics.items():
            shown = ", ".join(
                f"{key.rpartition('/')[2].replace('bbox_mAP', 'AP').replace('AP_', 'AP ')} "
                f"{_percent(value)}"
                for key, value in metrics.items()
                if "mAP" in key
            )
            lines.append(f"{name}: {shown or 'no detection, and so no AP'}")
        if self.info.precision == "int8" and not self.metrics:
            lines.append("what 8 bits cost: --evaluate prints the AP before and after")
        return "\n".join(lines)


def _percent(value: float) -> str:
    # COCO's -1 says that there is no object of that kind.
    return f"{100 * value:.1f}" if value >= 0 else "–"
