"""The errors that a user can fix.

    BearcnnError
    ├── ConfigError       a configuration that can't work, or names a key that doesn't exist
    ├── DataError         a data set that can't be used
    │   └── PhotoError    one photo that can't be read; a row in the results, it never ends a run
    │       └── PhotoMemoryError  a photo that this computer has no memory for at this moment
    ├── ModelFileError    a model file that is missing, damaged or not written by bearcnn
    ├── RunError          a run folder that is missing, unfinished or in the way
    │   ├── ResumeError   a run that can't be continued exactly
    │   ├── NoEpochError  a training run that Ctrl-C ended before its first epoch was finished
    │   └── RankLostError a training run on several devices that has lost one of its processes
    ├── SweepError        a sweep that can't be planned, continued or run
    ├── ClusterError      a Ray cluster that can't be reached, or whose nodes can't do what is asked of them
    └── MissingPackageError  an optional package that the user has to install first

A message says what is wrong, where, and how to fix it, in one line. Only `cli.main` turns these errors into that line
and exit code 1. Every other exception is a bug in bearcnn and keeps its traceback.
"""

from pathlib import Path


class BearcnnError(Exception):
    """Anything the user can fix."""

    told = False
    """Whether another process of the same training run says it."""


class ConfigError(BearcnnError):
    """A configuration that can't work; the message holds one line for each problem found."""


class DataError(BearcnnError):
    """A data set that can't be used."""


class PhotoError(DataError):
    """One photo that can't be read; the message is the reason alone, without the path."""


class PhotoMemoryError(PhotoError):
    """A photo that this computer has no memory for at this moment; with more of it, it can be read."""

    def __init__(self) -> None:
        super().__init__("too large for this computer's memory")


class ModelFileError(BearcnnError):
    """A model file that is missing, damaged, or was not written by bearcnn."""


class RunError(BearcnnError):
    """A run folder that is missing, unfinished, or stands in the way."""


class ResumeError(RunError):
    """A run that can't be continued to the same result as an uninterrupted one."""


class NoEpochError(RunError):
    """A training run that Ctrl-C ended before its first epoch was finished."""


class RankLostError(RunError):
    """A training run on several devices that has lost one of its processes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def add_where(self, directory: Path, resumable: bool) -> None:
        """Add how the run continues, once its folder is known, and drop what a Learner has put before."""
        again = f"continue from the last finished epoch with: bearcnn train --resume {directory}"
        self.args = (f"{self.reason}; {again if resumable else 'no epoch was finished: start again'}",)


class SweepError(BearcnnError):
    """A sweep that can't be planned, continued or run as asked."""


class ClusterError(BearcnnError):
    """A Ray cluster that can't be reached, or whose nodes can't do what is asked of them."""


class MissingPackageError(BearcnnError):
    """An optional package that must be installed before this can work."""
