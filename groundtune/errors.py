"""Every error that Groundtune raises on purpose.

    GroundtuneError
    |-- UsageError            ValueError           the call or the command line is off             exit 2
    |-- ConfigError           ValueError           groundtune.toml: file, line, key                exit 2
    |-- DataError             ValueError           questions, documents, labels: file, line, id    exit 3
    |   |-- TooFewQuestions                        nothing can be decided; says how many are needed
    |   `-- BadDocument                            one document has no usable text; `reason` names why
    |-- NotFound              LookupError          a model, document, candidate, file or run       exit 4
    |-- MissingExtra          ImportError          an optional package; says the exact command     exit 5
    |-- AccessDenied          PermissionError      the caller may not do or read this              exit 6
    |   `-- Withdrawn                              what was learned from a document that is gone, or for fewer than then
    |-- ModelFailure          RuntimeError         a model could not load, answer or train         exit 7
    `-- WorkspaceError        OSError              locked, read-only, full, damaged                exit 8

Each error is also the built-in kind that it refines, carries the object it is about in `subject`, says what happened, and in
`remedy` what to do. The command line prints both and exits with `exit_code`; 1 stays for defects, 130 for an interrupt.
"""

from __future__ import annotations

from groundtune.installation import install_command


class GroundtuneError(Exception):
    """Base of the tree. `subject` names the file, line, id or key; `remedy` is one sentence in the imperative."""

    exit_code = 1

    def __init__(self, message: str, *, subject: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.subject}: {self.message}" if self.subject else self.message
        return f"{head} {self.remedy}".rstrip()


class UsageError(GroundtuneError, ValueError):
    exit_code = 2


class ConfigError(GroundtuneError, ValueError):
    exit_code = 2


class DataError(GroundtuneError, ValueError):
    exit_code = 3


class TooFewQuestions(DataError):
    """Too few questions for any statement; `needed` is the smallest number that could decide."""

    def __init__(self, message: str, *, needed: int, subject: str = "", remedy: str = "") -> None:
        super().__init__(message, subject=subject, remedy=remedy)
        self.needed = needed


class BadDocument(DataError):
    """One document gives no text; `reason` is one of the named reasons (empty, encrypted, truncated, ...)."""

    def __init__(self, message: str, *, reason: str, subject: str = "", remedy: str = "") -> None:
        super().__init__(f"{reason}: {message}", subject=subject, remedy=remedy)
        self.reason = reason


class NotFound(GroundtuneError, LookupError):
    exit_code = 4


class MissingExtra(GroundtuneError, ImportError):
    """An optional package is absent; the remedy is the exact install command."""

    exit_code = 5

    def __init__(self, package: str, *, extra: str, wanted_by: str) -> None:
        super().__init__(
            f"{wanted_by} needs the package {package!r}, which is not installed.",
            subject=wanted_by,
            remedy=f"Run: {install_command(extra)}",
        )
        self.message = f"needs the package {package!r}, which is not installed."
        self.package = package
        self.extra = extra


class AccessDenied(GroundtuneError, PermissionError):
    exit_code = 6


class Withdrawn(AccessDenied):
    """Weights or a dataset that learned from a document which is gone, or which fewer may read by now."""


class ModelFailure(GroundtuneError, RuntimeError):
    exit_code = 7


class WorkspaceError(GroundtuneError, OSError):
    exit_code = 8

    def __str__(self) -> str:  # OSError brings a __str__ of its own
        return GroundtuneError.__str__(self)
