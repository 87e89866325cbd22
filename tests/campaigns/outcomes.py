"""What becomes of a mutated input: who refuses it, and whether the message helps."""

import linecache
import re
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

FREE = "any value anywhere"
"""Family of what may be no mistake, or shows in what follows from it, far from its key."""

OUTCOMES = ("refused", "reported", "refused by others", "bare", "unhelpful", "silent", "not judged")


@dataclass(frozen=True)
class Outcome:
    """Result of one attack.

    Attributes:
        family: Kind of the mutation.
        mutation: What was changed.
        verdict: ``"refused"``: by tbd, on purpose. ``"reported"``: a warning names it.
            ``"refused by others"``: by MMDetection, MMEngine or PyTorch. ``"bare"``: an error of
            Python's from a line of tbd. ``"unhelpful"``: on purpose, and key, value or remedy is
            not named. ``"silent"``: it ran. ``"not judged"``: it ran, and may be right to.
        message: Of the error or warning.
        lacks: What a message of ours does not name, out of ``"key"``, ``"value"``, ``"remedy"``.
    """

    family: str
    mutation: str
    verdict: str
    message: str = ""
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What a message of ours has to name.

    Attributes:
        keys: Each of these: names of config keys or of files.
        values: One of these: what is wrong there, as Python or the file writes it. Empty if the
            mistake is that something is missing.
    """

    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def lacks(self, message: str) -> tuple[str, ...]:
        """What a message does not name; a remedy it always has to."""
        named = dict(
            key=all(key in message for key in self.keys),
            value=not self.values or any(_is_in(value, message) for value in self.values),
            remedy=_REMEDY.search(message) is not None,
        )
        return tuple(part for part, is_named in named.items() if not is_named)


def _is_in(value: str, message: str) -> bool:
    """Whether a value is named, and not as a part of a longer word or number."""
    before = r"(?<![\w.])" if value[:1].isalnum() else ""
    after = r"(?!\w)" if value[-1:].isalnum() else ""
    return re.search(f"{before}{re.escape(value)}{after}", message) is not None


# What a sentence has that tells what to do: what is allowed, or an imperative.
_REMEDY = re.compile(
    r"\b(must|did you mean|there are|there is no|its arguments are|need(s|ed)?|needs a name"
    r"|(set|give|take|call|mend|write|leave|choose|lower|name|shorten|check|save|download|let|put|use)"
    r"\b(?! are| is))\b",
    re.IGNORECASE,
)


def judge(error: BaseException, wanted: Wanted) -> tuple[str, str, tuple[str, ...]]:
    """Tell whose an error is.

    Args:
        error: What was raised.
        wanted: What a helpful message of ours names.

    Returns:
        Verdict, message, and what the message lacks.
    """
    message = f"{type(error).__name__}: {error}"
    place = _place(error)
    while place[0] == "mmengine" and error.__context__ is not None:
        # MMEngine raises again what a constructor raised.
        error = error.__context__
        place = _place(error)
    package, on_purpose = place
    if package in _FOREIGN:
        return "refused by others", message, ()
    if package != "tbd" or not on_purpose:
        return "bare", message, ()
    lacks = wanted.lacks(message)
    return "unhelpful" if lacks else "refused", message, lacks


# Parts that a config names itself; their own errors are no lines of ours.
_FOREIGN = ("mmdet", "mmengine", "mmcv", "torch", "torchvision", "pycocotools", "xtcocotools")


def _place(error: BaseException) -> tuple[str, bool]:
    """Package of the line that raised, and whether it is a raise statement.

    A line of Python's own library or of another one counts as the line of the package that called.
    """
    frames = [
        (str(frame.f_globals.get("__name__", "")).partition(".")[0], frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    known = [index for index, frame in enumerate(frames) if frame[0] in ("tbd", *_FOREIGN)]
    if not known:
        return "", False
    package, file, line = frames[known[-1]]
    is_last = known[-1] == len(frames) - 1
    return package, is_last and linecache.getline(file, line).lstrip().startswith("raise ")


def print_table(outcomes: Iterable[Outcome]) -> int:
    """Print a row per family and each input that was not dealt with; return how many."""
    outcomes = list(outcomes)
    families = list(dict.fromkeys(outcome.family for outcome in outcomes))
    print(f"{'':28}{'inputs':>8}" + "".join(f"{name:>19}" for name in OUTCOMES))
    for family in [*families, "all"]:
        own = [o for o in outcomes if family in (o.family, "all")]
        verdicts = Counter(outcome.verdict for outcome in own)
        print(f"{family:28}{len(own):>8}" + "".join(f"{verdicts[name]:>19}" for name in OUTCOMES))
    ours = [
        outcome
        for outcome in outcomes
        if outcome.verdict in ("refused", "reported", "unhelpful") and outcome.family != FREE
    ]
    counts = Counter(part for outcome in ours for part in outcome.lacks)
    named = (f"{len(ours) - counts[part]} the {part}" for part in ("key", "value", "remedy"))
    print(f"\nOf {len(ours)} messages of ours about mistakes name {', '.join(named)}.")
    bad = [o for o in outcomes if o.verdict in ("bare", "unhelpful", "silent")]
    for outcome in bad:
        lacks = f" (no {', no '.join(outcome.lacks)})" if outcome.lacks else ""
        print(
            f"{outcome.verdict}{lacks}: {outcome.family}: {outcome.mutation}: "
            f"{outcome.message[:300]}"
        )
    return len(bad)
