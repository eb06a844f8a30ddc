"""Where the folders lie that are not Python: ``schemas`` and ``weights``."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Folder of data that comes with the package.

    In a wheel it is ``broker_plugin/_NAME``; in a checkout it stands at the top of the repository.

    Parameters
    ----------
    name
        Name of the folder at the top of the repository, such as ``schemas``.

    Raises
    ------
    FileNotFoundError
        It is in neither place.
    """
    installed = _PACKAGE / f"_{name}"
    checkout = _PACKAGE.parent / name
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"broker_plugin's {name} folder is neither at {installed} nor at {checkout}")
