"""What becomes of a mutated input: who refuses it, and whether the message helps."""

import linecache
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

OUTCOMES = ("refused", "reported", "refused by others", "bare", "unhelpful", "silent", "not judged")


@dataclass(frozen=True)
class Outcome:
    """Result of one attack.

    Attributes:
        family: Kind of the mutation.
        mutation: What was changed.
        verdict: ``"refused"``: by tbd, on purpose. ``"reported"``: a warning names it.
            ``"refused by others"``: by MMDetection, MMEngine or PyTorch. ``"bare"``: an error of
            Python's from a line of tbd. ``"unhelpful"``: on purpose, and key or value is not
            named. ``"silent"``: it ran. ``"not judged"``: it ran, and may be right to.
        message: Of the error or warning.
    """

    family: str
    mutation: str
    verdict: str
    message: str = ""


def judge(error: BaseException, words: Iterable[str]) -> tuple[str, str]:
    """Tell whose an error is.

    Args:
        error: What was raised.
        words: What a helpful message of ours contains.

    Returns:
        Verdict and message.
    """
    message = f"{type(error).__name__}: {error}"
    place = _place(error)
    while place[0] == "mmengine" and error.__context__ is not None:
        # MMEngine raises again what a constructor raised.
        error = error.__context__
        place = _place(error)
    package, on_purpose = place
    if package != "tbd":
        verdict = "bare" if package not in _FOREIGN else "refused by others"
    elif not on_purpose:
        verdict = "bare"
    else:
        verdict = "refused" if all(word in message for word in words) else "unhelpful"
    return verdict, message


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
        counts: Counter[Any] = Counter(outcome.verdict for outcome in own)
        print(f"{family:28}{len(own):>8}" + "".join(f"{counts[name]:>19}" for name in OUTCOMES))
    bad = [o for o in outcomes if o.verdict in ("bare", "unhelpful", "silent")]
    for outcome in bad:
        print(f"{outcome.verdict}: {outcome.family}: {outcome.mutation}: {outcome.message[:300]}")
    return len(bad)
