"""`goedgepickt sandbox`: serves a sandbox, or runs a command with it."""

from __future__ import annotations

import asyncio
import errno
import inspect
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from goedgepickt_async.cli.common import CommandError, Exit, UsageError, check_writable, info, refuse_same_file
from goedgepickt_async.cli.connect import add_faults
from goedgepickt_async.cli.options import SandboxOptions, parse_faults, parse_rate
from goedgepickt_async.contract import openapi
from goedgepickt_async.paths import write_private
from goedgepickt_async.sandbox import Sandbox

__all__ = ["serve"]

_ENDS_IN = 5.0
"""The seconds until a command that does not end is killed."""


async def serve(options: SandboxOptions, command: Sequence[str]) -> int:
    """Run the sandbox until it is stopped, or until the command has ended.

    Returns:
        The exit code of the command, if there is one.
    """
    sandbox = _made(options)
    try:
        await sandbox.start()
    except OSError as error:
        hint = "; --port 0 selects a free port" if error.errno in {errno.EADDRINUSE, errno.EACCES} else ""
        raise CommandError(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}{hint}") from None
    try:
        environment = {"GOEDGEPICKT_API_KEY": sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url}
        if options.write_env is not None:
            write_private(options.write_env.resolve(), _written(environment, "dotenv"))
        if command:
            info(f"a sandbox serves {sandbox.page_url} while this runs: {command[0]}")
            return await _run(command, environment)
        text = _written(environment, options.env) if options.env else _greeting(sandbox, environment)
        if options.env:
            info(f"a sandbox serves {sandbox.page_url} until Ctrl-C")
        sys.stdout.write(text)
        sys.stdout.flush()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return Exit.DONE
    finally:
        await sandbox.close()
    return Exit.DONE


def _made(options: SandboxOptions) -> Sandbox:
    refuse_same_file({"--openapi": options.openapi, "--write-env": options.write_env})
    if options.write_env is not None:
        check_writable(options.write_env, "--write-env")
    throttle, planned = parse_rate(options.rate), parse_faults(options.faults or [])
    names = inspect.signature(Sandbox).parameters.keys()
    arguments = {name: value for name, value in vars(options).items() if name in names} | {
        "limit": throttle.limit,
        "period": throttle.period,
        "hosts": options.allow_host or (),
        "key": options.key or f"sandbox-{os.urandom(12).hex()}",
        "lively": options.events_a_minute,
        "openapi": options.openapi or openapi(server="/api/fulfilment/v1"),
    }
    quirks = _quirks(options.quirk or [])
    try:
        sandbox = Sandbox(**arguments)
        sandbox.quirks.update(quirks)
    except json.JSONDecodeError as error:
        raise UsageError(f"--openapi {options.openapi} is not JSON: {error}") from None
    except ValueError as error:
        raise UsageError(str(error.args[0])) from None
    add_faults(sandbox, planned)
    return sandbox


def _quirks(specs: Sequence[str]) -> dict[str, Any]:
    """Parse the values of `--quirk`. The sandbox checks names and values."""
    words: dict[str, Any] = {"true": True, "false": False, "null": None}
    found: dict[str, Any] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        if not equals:
            raise UsageError(f"a quirk must be NAME=VALUE, such as error_key=message; not {spec!r}")
        found[name] = words.get(value, int(value) if value.isascii() and value.isdigit() else value)
    return found


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    except OSError as error:
        raise CommandError(f"cannot run {command[0]}: {error.strerror or error}") from None
    try:
        code = await process.wait()
    except asyncio.CancelledError:  # Ctrl-C reaches the command too; SIGTERM does not
        code = await _end(process)
    return 128 - code if code < 0 else code


async def _end(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_ENDS_IN):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def _written(environment: Mapping[str, str], form: str) -> str:
    return "".join(f"{_line(name, value, form)}\n" for name, value in environment.items())


def _line(name: str, value: str, form: str) -> str:
    if form == "powershell":
        return f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'"
    if form == "shell":
        return f"export {name}={shlex.quote(value)}"
    if not set(value) & set(" #\"'\\$`"):
        return f"{name}={value}"
    if "'" not in value:
        return f"{name}='{value}'"
    return f'{name}="' + re.sub(r"([\\\"$`])", r"\\\1", value) + '"'


def _greeting(sandbox: Sandbox, environment: Mapping[str, str]) -> str:
    world, throttle = sandbox.world, sandbox.throttle
    limit = "no rate limit" if throttle is None else f"{throttle.limit} requests per {throttle.period:g} s"
    keys = f"key             {sandbox.api_key}"
    if sandbox.account_key != sandbox.api_key:
        keys += f"\naccount key     {sandbox.account_key}"
    return f"""\
A GoedGepickt sandbox with {len(world.orders):,} orders and {len(world.products):,} products; {limit}. Ctrl-C ends it.

page            {sandbox.page_url}
fulfilment API  {sandbox.url}
account API     {sandbox.account_url}
{keys}

For another terminal (--env powershell and --env dotenv write it in other forms):
export {" ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())}
"""
