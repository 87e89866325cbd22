"""Configs that train one student by several methods, made from a single distillation config."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from tbd.compat import configs_dir
from tbd.compat.packaged_configs import PREFIX
from tbd.detectors import resolve_model_config
from tbd.detectors.model_config import WRAPPER_TYPES
from tbd.detectors.quiet import quiet_logger
from tbd.detectors.trial import build_trial
from tbd.engine.config import config_name, load_config
from tbd.files import write_file
from tbd.studies.comparison.methods import (
    OPTION,
    PLAIN,
    TBD_TERMS,
    Method,
    canonical_name,
    detector_family,
    find_method,
    merge,
    method_names,
    method_of,
    variant_name,
    with_options,
)
from tbd.studies.comparison.runs import ORIGIN

DEFAULT_PAIR = "tbd::shapes/tbd_retinanet_shapes.py"
EVERYTHING = "all"
"""Stands for the plain student and all methods that a pair can carry."""

_ON_REQUEST = {"foundation": "the weights of its image encoder are downloaded"}
_OF_MODEL = frozenset({"model", "distillation", "custom_hooks", "custom_imports", "work_dir"})


@dataclass(frozen=True)
class Candidate:
    """One row of a comparison.

    Attributes:
        terms: The methods, as they were asked for.
        config: Config file that trains it.
        source: Configs that the terms and their weights come from.
    """

    terms: str
    config: str
    source: str


class Pair:
    """A student and a teacher, to be distilled by any method.

    Args:
        config: Config file of a distillation, by whatever terms. Configs beside it that train the
            same pair by a method, named ``<method>_<rest>.py``, are what that method is trained by.

    Raises:
        ValueError: The config is no distillation.
    """

    def __init__(self, config: str) -> None:
        self.config = config
        self.cfg = load_config(config)
        if self.cfg.model.type not in WRAPPER_TYPES:
            raise ValueError(
                f"--pair {config}: model.type is {self.cfg.model.type}; a pair is a distillation, "
                f"a config with model.type='{WRAPPER_TYPES[0]}'."
            )
        model = self.cfg.model
        self.family = detector_family(model.student, model.get("student_options"))

    def name_of(self, terms: str) -> str:
        """Name of the config that trains the pair by some methods."""
        return variant_name(config_name(self.config), terms)

    def teacher(self, root: Path) -> str | None:
        """The config that the teacher is trained by, None where its checkpoint is there.

        A teacher whose training was begun in ``root`` is trained on, so that a later call does not
        take another one.

        Args:
            root: Folder of the comparison.
        """
        teacher, checkpoint = self.cfg.model.teacher, self.cfg.model.get("teacher_ckpt")
        if not isinstance(teacher, str):
            return None
        begun = (root / config_name(teacher)).exists()
        ready = checkpoint and ("://" in checkpoint or Path(checkpoint).is_file())
        if ready and not begun:
            return None
        return _packaged(teacher) if "train_cfg" in load_config(teacher) else None

    def candidate(self, terms: str, root: Path) -> Candidate:
        """Find or write the config that trains the pair by some methods.

        Args:
            terms: A method, several joined by ``+``, or ``plain``. Options of a method's terms
                follow its name: ``hd:norm=peak+pkd``.
            root: Folder of the comparison, whose ``configs`` receives what is written.

        Raises:
            ValueError: A method is unknown, or two bring the same term.
        """
        names = [canonical_name(name) for name in terms.split("+")]
        canonical = "+".join(names)
        if any(name.split(OPTION)[0] == PLAIN for name in names):
            if names != [PLAIN]:
                raise ValueError(f"--terms {terms}: {PLAIN} is the student without any term.")
            return self._plain(root)
        shipped = self._shipped(canonical)
        if shipped is not None:
            return Candidate(canonical, shipped[0], config_name(shipped[0]))
        method = merge((name, self._method(name)) for name in names)
        own_hooks = [dict(hook) for hook in self.cfg.get("custom_hooks", ())]
        content: dict[str, Any] = {
            "model": {"distill": {"_delete_": True, **method.distill}},
            "custom_hooks": [*own_hooks, *method.hooks],
        }
        if not content["custom_hooks"]:
            content.pop("custom_hooks")
        return Candidate(
            canonical, self._write(root, canonical, content, method.source), method.source
        )

    def check(self, candidate: Candidate) -> None:
        """Build a candidate's detectors and terms, at random weights.

        Raises:
            ImportError: A term needs a package that is not installed.
            ValueError: The pair cannot carry the terms; says what would do.
        """
        cfg = load_config(candidate.config)
        if cfg.model.type not in WRAPPER_TYPES:
            return
        try:
            with quiet_logger():
                build_trial(cfg.model)
        except (ImportError, TypeError, ValueError) as error:
            kind = ImportError if isinstance(error, ImportError) else ValueError
            raise kind(
                f"--terms {candidate.terms}: {self.config} cannot carry it. {error}"
            ) from error

    def candidates(
        self, terms: Sequence[str], root: Path
    ) -> tuple[list[Candidate], dict[str, str]]:
        """Find the configs of several rows, and refuse what the pair cannot carry.

        Args:
            terms: See :meth:`candidate`; ``all`` stands for everything that the pair can carry.
            root: Folder of the comparison. What has been begun there is not checked again.

        Returns:
            The candidates, and of the methods that ``all`` leaves out the reason.

        Raises:
            ImportError: See :meth:`check`.
            ValueError: A method is unknown or named twice, or see :meth:`check`.
        """
        asked: dict[str, bool] = {}
        for expression in terms:
            if expression == EVERYTHING:
                asked |= {name: asked.get(name, False) for name in (PLAIN, *method_names())}
                continue
            canonical = "+".join(canonical_name(name) for name in expression.split("+"))
            if asked.get(canonical):
                raise ValueError(f"--terms: {expression} is named twice.")
            asked[canonical] = True
        found: list[Candidate] = []
        left_out = {}
        for name, named in asked.items():
            if not named and name in _ON_REQUEST:
                left_out[name] = f"only where it is named: {_ON_REQUEST[name]}"
                continue
            candidate = self.candidate(name, root)
            try:
                if not (root / config_name(candidate.config)).exists():
                    self.check(candidate)
            except (ImportError, ValueError) as error:
                if named:
                    raise
                left_out[name] = str(error.__cause__ or error)
            else:
                found.append(candidate)
        return found, left_out

    def _method(self, name: str) -> Method:
        return with_options(self._method_by_name(name.split(OPTION)[0]), name)

    def _method_by_name(self, name: str) -> Method:
        own = {key: term.to_dict() for key, term in self.cfg.model.distill.items() if term}
        if name in ("tbd", *TBD_TERMS) and all(key in own for key in TBD_TERMS):
            keys = TBD_TERMS if name == "tbd" else (name,)
            return Method({key: own[key] for key in keys}, (), config_name(self.config))
        shipped = self._shipped(name)
        if shipped is not None:
            return method_of(shipped[1], config_name(shipped[0]))
        return find_method(name, self.family)

    def _shipped(self, terms: str) -> tuple[str, Config] | None:
        """The config beside the pair's own that trains the same pair by other terms."""
        if config_name(self.config) == self.name_of(terms):
            return self.config, self.cfg
        folder, slash, _ = self.config.rpartition("/")
        if not slash and "::" in self.config:
            folder, slash = self.config.partition("::")[0], "::"
        beside = f"{folder}{slash}{self.name_of(terms)}.py"
        try:
            cfg = load_config(beside)
        except FileNotFoundError:
            return None
        return (beside, cfg) if _settings(cfg) == _settings(self.cfg) else None

    def _plain(self, root: Path) -> Candidate:
        model = self.cfg.model
        if isinstance(model.student, str) and not model.get("student_options"):
            # Its own config, where that trains it just as the distillation does.
            cfg = load_config(model.student)
            if _recipe(cfg) == _recipe(self.cfg):
                return Candidate(PLAIN, _packaged(model.student), config_name(model.student))
        student = resolve_model_config(model.student, model.get("student_options"), "model.student")
        content = {"model": {"_delete_": True, **student.to_dict()}}
        return Candidate(PLAIN, self._write(root, PLAIN, content, ""), "")

    def _write(self, root: Path, terms: str, content: Mapping[str, Any], source: str) -> str:
        path = root / "configs" / f"{self.name_of(terms)}.py"
        base = self.config if "::" in self.config else str(Path(self.config).resolve())
        origin = {ORIGIN: {"pair": self.config, "terms": terms}}
        by = f"{terms}, terms from {source}" if source else terms
        head = f'"""{config_name(self.config)} by {by}."""\n\n_base_ = {base!r}\n\n'
        write_file(path, head + Config({**origin, **content}).dump())
        return str(path)


def _packaged(config: str) -> str:
    """Name a shipped config as such, wherever it is installed."""
    path = Path(config).resolve()
    if not path.is_relative_to(configs_dir()):
        return config
    return PREFIX + path.relative_to(configs_dir()).as_posix()


def _recipe(cfg: Config) -> dict[str, Any]:
    """All of a config that does not say what is trained."""
    return {key: value for key, value in cfg.to_dict().items() if key not in _OF_MODEL}


def _settings(cfg: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """All of a distillation's config but its terms."""
    model = {key: value for key, value in cfg.model.to_dict().items() if key != "distill"}
    return _recipe(cfg), model
