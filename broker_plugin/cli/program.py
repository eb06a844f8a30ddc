"""The group that the commands stand in, and how it ends when something is wrong."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

import click

from broker_plugin._version import __version__

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


class Program(click.Group):
    """A group whose errors are one line each: what is wrong and how to mend it, without a usage block."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process with its status; see `click.Command.main`."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        for stream in (sys.stdout, sys.stderr):
            # A name in a packet must not end the program because the terminal has no UTF-8.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as problem:
            if type(problem).__name__ == "NoArgsIsHelpError":  # click 8.2 and later: the message is the help
                problem.show()
            else:
                click.echo(one_line(problem), err=True)
            sys.exit(problem.exit_code)
        except click.Abort:
            click.echo("broker-plugin: interrupted", err=True)
            sys.exit(INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)


def one_line(problem: click.ClickException) -> str:
    """The error as it is shown."""
    message = " ".join(problem.format_message().split())
    context = problem.ctx if isinstance(problem, click.UsageError) else None
    hint = "" if context is None else f" (see '{context.command_path} --help')"
    return f"broker-plugin: {message}{hint}"


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="broker-plugin %(version)s")
def program() -> None:
    """Classify ZTF and Rubin alert packets with TensorFlow stamp models.

    \b
    For example:
      broker-plugin classify night.tar -o night.parquet
      broker-plugin inspect packet.avro
    """
