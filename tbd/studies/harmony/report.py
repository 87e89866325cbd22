"""Tables, figures and files of a harmony analysis."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tbd.evaluation.agreement import HARMONIOUS, iou_share_names
from tbd.files import write_file
from tbd.studies.class_table import MOST_CLASSES, PREFIX, class_table
from tbd.studies.comparison.losses import read_losses
from tbd.studies.glossary import GLOSSARY
from tbd.studies.harmony.result import HarmonyResult, SavedPicture
from tbd.visualization.harmony_figures import (
    draw_calibration,
    draw_iou_histogram,
    draw_score_iou_density,
)
from tbd.visualization.html_report import Picture, Section, render_html
from tbd.visualization.markdown import markdown_table
from tbd.visualization.training_curves import draw_training_curves

_AGREEMENT = (
    "harmony_score",
    "harmonious",
    "pearson",
    "spearman",
    "calibration_error",
    "mean_confidence",
    "mean_iou",
)
_TABLES = {
    "Scores against localization": (
        "ap",
        "gain",
        "gap_closed",
        "oracle_ap",
        "ap_lost",
        "num_detections",
        *_AGREEMENT,
    ),
    "Placement of confident detections": tuple(iou_share_names()),
    "Dense predictions before NMS": (
        "dense_num_predictions",
        *(f"dense_{name}" for name in _AGREEMENT),
    ),
    "What NMS removed": ("nms_images", "nms_objects", "nms_better_suppressed", "nms_iou_lost"),
    "Costs": ("params", "gflops", "milliseconds", "onnx_milliseconds"),
}
"""Title of each table → its columns, names out of the glossary."""


def format_tables(results: Sequence[HarmonyResult]) -> str:
    """Format every table that has values as Markdown, under its title."""
    tables = {title: _table(results, columns) for title, columns in _TABLES.items()}
    tables["AP of each class"] = _class_table(results)
    return "\n\n".join(
        f"{title}\n\n{markdown_table(rows)}"
        for title, rows in tables.items()
        if rows and len(rows[0]) > 1
    )


def write_report(folder: Path, results: Sequence[HarmonyResult], score_thr: float) -> list[Path]:
    """Write ``harmony.json``, ``harmony.csv``, ``figures/`` and ``report.html``.

    Args:
        folder: Folder to write to, which holds ``models/<name>/`` of every result.
        results: The detectors.
        score_thr: Smallest score of a confident detection.

    Returns:
        The files, each written in one step.
    """
    figures = dict(_figures(results, score_thr))
    files: dict[str, str | bytes] = {
        "harmony.json": json.dumps(
            {"score_thr": score_thr, "detectors": [asdict(result) for result in results]}, indent=1
        ),
        "harmony.csv": _csv(results),
        **{f"figures/{name}.png": png for name, png in figures.items()},
        "report.html": _html(folder, results, figures, score_thr),
    }
    written = []
    for name, content in files.items():
        target = folder / name
        write_file(target, content)
        written.append(target)
    return written


def _table(results: Sequence[HarmonyResult], columns: Sequence[str]) -> list[list[str]]:
    shown = [key for key in columns if any(key in result.metrics for result in results)]
    rows = [["detector", *(GLOSSARY[key].title for key in shown)]]
    for result in results:
        rows.append([result.name, *(_cell(result.metrics.get(key), key) for key in shown)])
    return rows


def _class_table(results: Sequence[HarmonyResult]) -> list[list[str]]:
    aps = {
        result.name: {
            key.removeprefix(PREFIX): value
            for key, value in result.metrics.items()
            if key.startswith(PREFIX)
        }
        for result in results
    }
    return class_table(aps, lambda name, label: f"{aps[name][label]:.1f}", "detector")


def _cell(value: float | None, key: str) -> str:
    return "–" if value is None else format(value, GLOSSARY[key].number_format)


def _csv(results: Sequence[HarmonyResult]) -> str:
    keys = list(dict.fromkeys(key for result in results for key in result.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["detector", "config", "checkpoint", "num_images", *keys])
    for result in results:
        values = [result.metrics.get(key) for key in keys]
        head = [result.name, result.config, result.checkpoint, result.num_images]
        writer.writerow([*head, *values])
    return text.getvalue()


def _figures(results: Sequence[HarmonyResult], score_thr: float) -> Iterator[tuple[str, bytes]]:
    histograms = {result.name: np.array(result.iou_histogram) for result in results}
    densities = {result.name: np.array(result.density) for result in results}
    calibration = {
        result.name: (
            np.array(result.calibration[0]),
            np.array(result.calibration[1]),
            np.array(result.calibration[2]),
        )
        for result in results
    }
    yield "iou_histogram", _png(draw_iou_histogram(histograms, score_thr))
    yield "score_iou_density", _png(draw_score_iou_density(densities, score_thr))
    yield "calibration", _png(draw_calibration(calibration, score_thr))
    losses = {result.name: read_losses(Path(result.checkpoint).parent) for result in results}
    panels = {name: curves for name, curves in losses.items() if curves}
    if panels:
        yield "losses", _png(draw_training_curves(panels))


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _html(
    folder: Path, results: Sequence[HarmonyResult], figures: Mapping[str, bytes], score_thr: float
) -> str:
    tables = {title: _table(results, columns) for title, columns in _TABLES.items()}
    agreement, shares, dense, nms, costs = tables.values()
    sections = [
        _detectors_section(results, score_thr),
        _agreement_section(agreement, figures),
        _placement_section(shares, figures),
        _class_section(_class_table(results)),
        _dense_section(dense),
        _nms_section(nms, _saved(folder, results, lambda result: filter(None, [result.pairs]))),
        _maps_section(_saved(folder, results, lambda result: result.maps)),
        _costs_section(costs),
        _losses_section(figures),
        _notes_section(results),
    ]
    shown = [section for section in sections if section is not None]
    return render_html("Harmony of classification and localization", shown)


def _saved(
    folder: Path,
    results: Sequence[HarmonyResult],
    pictures: Callable[[HarmonyResult], Iterable[SavedPicture]],
) -> list[Picture]:
    """Read some pictures of each detector."""
    return [
        Picture((folder / "models" / result.name / picture.file).read_bytes(), picture.title)
        for result in results
        for picture in pictures(result)
    ]


def _detectors_section(results: Sequence[HarmonyResult], score_thr: float) -> Section:
    return Section(
        "Detectors",
        [
            f"{results[0].num_images} images. A detection is confident if its score is at "
            f"least {score_thr:g}; AP counts every detection."
        ],
        [
            ["detector", "config", "checkpoint"],
            *([result.name, result.config, result.checkpoint] for result in results),
        ],
        numbers=False,
    )


def _agreement_section(table: list[list[str]], figures: Mapping[str, bytes]) -> Section:
    return Section(
        "Scores against localization",
        [
            "Detectors rank boxes by score. A score s is in harmony with its box if it says "
            "how well the box is placed, that is, if it equals the IoU u of the box with the "
            "best ground truth.",
            "AP ranked by IoU is COCO's AP of the same boxes and classes, ranked by their IoU "
            "with ground truth of their class; AP lost is what the ranking by score costs.",
            "Over the confident detections: the harmony score is the mean of 1 − tanh|u − s|; "
            f"harmonious are those with |u − s| ≤ {HARMONIOUS:g}; Pearson and Spearman are the "
            "correlations of s and u; the calibration error is the mean distance of mean "
            "score and mean IoU over ten bins of the score, weighted by their detections.",
        ],
        table,
        pictures=[
            Picture(
                figures["score_iou_density"],
                "Detections by score and IoU. On the dashed line the score says exactly how "
                "well the box is placed; to the right of the dotted line a detection is "
                "confident.",
            ),
            Picture(
                figures["calibration"],
                "Mean IoU of the detections of each tenth of the score. Above the line a "
                "detector is too modest about its boxes, below it is too sure.",
            ),
        ],
    )


def _placement_section(table: list[list[str]], figures: Mapping[str, bytes]) -> Section:
    return Section(
        "Placement of confident detections",
        ["How well the boxes are placed that a user would see."],
        table,
        pictures=[
            Picture(figures["iou_histogram"], "Confident detections in twentieths of the IoU.")
        ],
    )


def _class_section(table: list[list[str]]) -> Section | None:
    if not table:
        return None
    note = f"Of more than {MOST_CLASSES} classes those that differ most are shown."
    return Section("AP of each class", [note], table)


def _dense_section(table: list[list[str]]) -> Section | None:
    if len(table[0]) < 2:
        return None
    return Section(
        "Dense predictions before NMS",
        [
            "The same over all predictions of the dense head (of a two-stage detector: the "
            "RPN) whose ranking score reaches the threshold."
        ],
        table,
    )


def _nms_section(table: list[list[str]], pictures: list[Picture]) -> Section | None:
    if len(table[0]) < 2:
        return None
    return Section(
        "What NMS removed",
        [
            "For every object found in the first images, the best-placed kept box is "
            "compared with the boxes that it suppressed. A better box was suppressed if "
            "its IoU with the object is higher by 0.05 or more; mean IoU lost is the "
            "average over all objects found."
        ],
        table,
        pictures=pictures,
    )


def _maps_section(pictures: list[Picture]) -> Section | None:
    if not pictures:
        return None
    return Section(
        "Maps",
        [
            "Per pyramid level, the best anchor of each location: p_c, the score that "
            "ranks its predictions, from 0 to the largest of the level, which stands "
            "beneath; p_r, the IoU of its best box with the ground truth, drawn as "
            "frames; HS = 1 − tanh|p_r − p_c|."
        ],
        pictures=pictures,
    )


def _costs_section(table: list[list[str]]) -> Section | None:
    if len(table[0]) < 2:
        return None
    return Section(
        "Costs",
        [
            "Parameters; multiply-adds up to the head's outputs on the first image, as "
            "MMEngine counts them; the median time of an image on this machine, measured "
            "one detector after the other, so that other work may slow one of them alone."
        ],
        table,
    )


def _losses_section(figures: Mapping[str, bytes]) -> Section | None:
    if "losses" not in figures:
        return None
    title = "The student's own loss and that of each term, with its weight."
    return Section(
        "Trainings",
        ["Of the checkpoints that lie beside the log of their training."],
        pictures=[Picture(figures["losses"], title)],
    )


def _notes_section(results: Sequence[HarmonyResult]) -> Section | None:
    notes = [f"{result.name}: {note}" for result in results for note in result.notes]
    return Section("Not measured", notes) if notes else None
