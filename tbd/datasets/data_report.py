"""What a check of annotations found, in whatever format they are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["stop", "left out", "note"]
"""Stop: spoils a run or ends it in the middle. Left out: by MMDetection. Note: good to know."""

_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        kind: What is wrong.
        severity: What comes of it.
        ids: Ids of the annotations or images that it is wrong with, in the order of the file.
    """

    kind: str
    severity: Severity
    ids: tuple[Any, ...]

    def __str__(self) -> str:
        """Count, kind and the first ids."""
        shown = ", ".join(str(item) for item in self.ids[:_SHOWN])
        more = ", …" if len(self.ids) > _SHOWN else ""
        return f"{len(self.ids)} {self.kind} (first: {shown}{more})"


@dataclass(frozen=True)
class DataReport:
    """What a check of one annotation file found.

    Attributes:
        file: The file.
        images: Number of images in it.
        annotations: Number of annotations.
        usable: Number of boxes that a detector can learn from.
        findings: Faults, by kind.
    """

    file: str
    images: int
    annotations: int
    usable: int
    findings: tuple[Finding, ...]

    def of(self, *severities: Severity) -> list[Finding]:
        """Findings of these severities."""
        return [finding for finding in self.findings if finding.severity in severities]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a JSON file."""
        return asdict(self)

    @classmethod
    def of_dict(cls, content: Mapping[str, Any]) -> "DataReport":
        """Read what :meth:`to_dict` made."""
        findings = [Finding(f["kind"], f["severity"], tuple(f["ids"])) for f in content["findings"]]
        return cls(**{**content, "findings": tuple(findings)})
