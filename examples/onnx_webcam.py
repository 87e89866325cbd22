"""Draw the detections of an exported student into the pictures of a webcam or a video.

    python examples/onnx_webcam.py student.onnx [VIDEO]    # q ends it

The file is one of ``tbd export --format onnx --end-to-end``. Needs onnxruntime, numpy and OpenCV.
"""

import json
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import onnxruntime as ort


def detect(model: ort.InferenceSession, frame: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Box in pixels of the frame [H, W, 3], score and label of each object, the surest first."""
    image = json.loads(model.get_modelmeta().custom_metadata_map["image"])
    scale = np.array(image["resize"]) / frame.shape[:2]
    scale = np.full(2, scale.min()) if image["keep_ratio"] else scale
    height, width = (frame.shape[:2] * scale + 0.5).astype(int).tolist()
    pixels = np.empty((1, *image["size"], 3), np.uint8)
    pixels[:] = np.rint(image["pad_value"])
    pixels[0, :height, :width] = cv2.resize(frame, (width, height))
    boxes, scores, labels = (output[0] for output in model.run(None, {"image": pixels}))
    ratio = np.array(frame.shape[:2]) / (height, width)
    return zip(boxes * ratio[[1, 0, 1, 0]], scores, labels, strict=True)


if __name__ == "__main__":
    model = ort.InferenceSession(sys.argv[1])
    classes = json.loads(model.get_modelmeta().custom_metadata_map["classes"])
    video = cv2.VideoCapture(sys.argv[2] if len(sys.argv) > 2 else 0)
    while cv2.waitKey(1) != ord("q") and (picture := video.read())[0]:
        for box, score, label in detect(model, frame := picture[1]):
            if score > 0.3:
                x1, y1, x2, y2 = box.astype(int).tolist()
                cv2.rectangle(frame, (x1, y1), (x2, y2), (0, 200, 0), 2)
                text = f"{classes[label]} {score:.2f}"
                cv2.putText(frame, text, (x1, y1), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 200, 0))
        cv2.imshow("detections", picture[1])
