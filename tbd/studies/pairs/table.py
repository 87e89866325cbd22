"""The table of detectors and distillation terms in the documentation."""

import re
from collections.abc import Sequence
from pathlib import Path

from tbd.files import write_file
from tbd.studies.pairs.trial import PairTrial, TermTrial

BEGIN = "<!-- Below here everything is written by tools/pair_matrix.py. -->"

_LETTERS = {"backbone": "B", "neck": "N", "bbox_head": "H", "rpn_head": "H", "roi_head": "R"}
_TRANSFORMER = "T"


def pair_tables(trials: Sequence[PairTrial]) -> str:
    """Render trials as Markdown: one table of pairs, one of detectors distilled into themselves.

    Args:
        trials: Successful ones.

    Returns:
        Markdown, with a numbered list of the reasons why a term does not apply.
    """
    kinds = sorted({kind for trial in trials for kind in trial.terms})
    reasons: list[str] = []
    sections = []
    for title, column, chosen in (
        ("Shipped pairs", "config", [trial for trial in trials if trial.own_terms]),
        (
            "Other detectors, distilled into themselves",
            "config of MMDetection",
            [trial for trial in trials if not trial.own_terms],
        ),
    ):
        if not chosen:
            continue
        head = [column, "student", "teacher", *map(_label, kinds)]
        rows = [head, ["---"] * len(head)]
        for trial in chosen:
            cells = [_cell(trial, kind, reasons) for kind in kinds]
            rows.append([f"`{trial.name}`", trial.student, trial.teacher, *cells])
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        sections.append(f"## {title}\n\n{table}\n")
    if reasons:
        listed = "\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1))
        sections.append(f"## Why a term does not apply\n\n{listed}\n")
    return "\n".join(sections)


def write_pair_tables(trials: Sequence[PairTrial], document: str | Path) -> None:
    """Write the tables into a document, below the text that was written by hand.

    Args:
        trials: See :func:`pair_tables`.
        document: Markdown file with the line :data:`BEGIN`; what follows it is replaced.

    Raises:
        FileNotFoundError: The document does not exist.
        ValueError: It has no such line.
    """
    write_file(document, f"{text_above_tables(document)}{BEGIN}\n\n{pair_tables(trials)}")


def text_above_tables(document: str | Path) -> str:
    """Read the part of a document that is written by hand.

    Args:
        document: Markdown file with the line :data:`BEGIN`.

    Raises:
        FileNotFoundError: The document does not exist.
        ValueError: It has no such line.
    """
    path = Path(document)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the tables go into a document, below its line '{BEGIN}'. "
            "Write that line into a new file."
        )
    head, separator, _ = path.read_text(encoding="utf-8").partition(BEGIN)
    if not separator:
        raise ValueError(
            f"{path} has no line '{BEGIN}', below which the tables would go. Add it where they "
            "are to stand; what follows it is replaced."
        )
    return head


def _label(kind: str) -> str:
    return kind.removeprefix("tbd.").removesuffix("Distillation")


def _cell(trial: PairTrial, kind: str, reasons: list[str]) -> str:
    term = trial.terms.get(kind)
    if term is None:
        return ""
    if trial.missing and not term.refusal:
        return f"not run [{_number(trial.missing, reasons)}]"
    if term.refusal:
        return f"– [{_number(term.refusal, reasons)}]"
    reached = _reached(term)
    return f"**{reached}**" if kind in trial.own_terms else reached


def _reached(term: TermTrial) -> str:
    # Encoder, decoder, embeddings and what else DETR and its kin have between neck and head.
    letters = {_LETTERS.get(part, _TRANSFORMER) for part in term.reaches}
    return " ".join(sorted(letters, key="BNTHR".index))


def _shortened(reason: str) -> str:
    """The first sentence, without remarks in parentheses and the name of the detector."""
    sentence = re.sub(r" \([^)]*\)", "", reason).partition(". ")[0].removesuffix(".")
    return re.sub(r": \w+ (has no|does not) ", r": it \1 ", sentence)


def _number(reason: str, reasons: list[str]) -> int:
    reason = _shortened(reason)
    if reason not in reasons:
        reasons.append(reason)
    return reasons.index(reason) + 1
