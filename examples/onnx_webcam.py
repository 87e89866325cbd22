"""Detect objects in the pictures of a webcam, or of a video, with an exported student.

    python examples/onnx_webcam.py student.onnx        # the first camera; q ends it
    python examples/onnx_webcam.py student.onnx video.mp4

The file is one of ``tbd export --format onnx --end-to-end``. Needs onnxruntime, numpy and OpenCV.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime


class Detector:
    """An exported student."""

    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path)
        properties = self.session.get_modelmeta().custom_metadata_map
        self.classes = json.loads(properties["classes"])
        self.image = json.loads(properties["image"])

    def __call__(
        self, frame: np.ndarray, threshold: float = 0.3
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes [D, 4] in pixels of the frame [H, W, 3], scores [D] and labels [D]."""
        source = np.array(frame.shape[:2])
        scale = np.array(self.image["resize"]) / source
        if self.image["keep_ratio"]:
            scale[:] = scale.min()
        height, width = (source * scale + 0.5).astype(int)
        pixels = np.empty((1, *self.image["size"], 3), np.uint8)
        pixels[:] = np.rint(self.image["pad_value"])
        pixels[0, :height, :width] = cv2.resize(frame, (int(width), int(height)))
        boxes, scores, labels = (item[0] for item in self.session.run(None, {"image": pixels}))
        sure = scores > threshold
        ratio = source / (height, width)
        return boxes[sure] * ratio[[1, 0, 1, 0]], scores[sure], labels[sure]


def main() -> None:
    """Show every frame with its detections."""
    detector = Detector(sys.argv[1])
    video = cv2.VideoCapture(sys.argv[2] if len(sys.argv) > 2 else 0)
    while video.isOpened() and cv2.waitKey(1) != ord("q"):
        there, frame = video.read()
        if not there:
            break
        for box, score, label in zip(*detector(frame), strict=True):
            x1, y1, x2, y2 = box.astype(int).tolist()
            cv2.rectangle(frame, (x1, y1), (x2, y2), (0, 200, 0), 2)
            text = f"{detector.classes[label]} {score:.2f}"
            cv2.putText(frame, text, (x1, y1), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 200, 0))
        cv2.imshow("detections", frame)


if __name__ == "__main__":
    main()
