"""The version of patchline that runs: a git tag gives it when the package is built."""

from importlib import metadata


def program_version() -> str:
    """What `--version`, status messages and metrics report; `unknown` in a checkout that was never installed."""
    try:
        return metadata.version("patchline")
    except metadata.PackageNotFoundError:
        return "unknown"
