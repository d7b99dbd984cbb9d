"""Rewrites click's errors about options and commands, so that each names what is right."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from exporter.domain.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def explained_usage_errors() -> Iterator[None]:
    """Replace the message of a usage error of click that leaves open what is right.

    Raises:
        UsageError: an option does not exist, or a required one is missing.
    """
    try:
        yield
    except click.NoSuchOption as error:
        raise click.UsageError(_unknown_option(error), error.ctx) from error
    except click.MissingParameter as error:
        if not isinstance(error.param, click.Option):
            raise
        message = f"{error.param.opts[-1]} is missing: {error.param.help}"
        raise click.UsageError(message, error.ctx) from error


def _unknown_option(error: click.NoSuchOption) -> str:
    parameters = error.ctx.command.get_params(error.ctx) if error.ctx else []
    options = [parameter.opts[-1] for parameter in parameters if isinstance(parameter, click.Option)]
    close = closest(error.option_name, options)
    hint = f"did you mean {close}?" if close else f"the options here are {', '.join(options)}"
    return f"no such option: {error.option_name}; {hint}"
