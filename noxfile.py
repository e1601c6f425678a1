"""What must pass: a plain `nox` runs it all."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox
import nox.virtualenv
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"


def backend() -> str:
    """What installs: uv, ten times as fast as pip. It is pip if there is no uv, or if uv cannot reach an index.

    uv does not read pip's configuration. So an index that is set for pip alone also means pip.
    """
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    if re.search(r"\.(index-url|no-index)=", settings.stdout) or not nox.virtualenv.HAS_UV:
        return "virtualenv"
    certificates = re.search(r"\.cert='(.+)'", settings.stdout)
    if certificates is not None:
        os.environ.setdefault("SSL_CERT_FILE", certificates[1])
    probe = [nox.virtualenv.UV, "pip", "compile", "--quiet", "--no-deps", "-"]
    try:
        subprocess.run(probe, input="attrs", capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "virtualenv"
    return "uv"


os.environ.setdefault("UV_HTTP_TIMEOUT", "180")  # seconds
if "NOX_DEFAULT_VENV_BACKEND" not in os.environ:
    os.environ["NOX_DEFAULT_VENV_BACKEND"] = backend()  # the sessions that `check` starts find it there
nox.options.default_venv_backend = os.environ["NOX_DEFAULT_VENV_BACKEND"]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # pytest, mypy and Sphinx would compile everything again each time
nox.options.sessions = ["check"]

PROJECT = nox.project.load_toml("pyproject.toml")
OLDEST = [
    "aiohttp==3.14.1",
    "aiolimiter==1.2.1",
    "attrs==24.2.0",
    "cattrs==24.1.2",
    "cyclopts==4.0.0",
    "pyarrow==17.0.0; python_version < '3.13'",
    "pyarrow==18.0.0; python_version >= '3.13'",  # the first that is built for it
    "python-calamine==0.2.0",
    "redis==5.2.0",
    "rich==13.7.0",
    "xlsxwriter==3.1.0",
]

WITH_OTHERS = (
    "tests/benchmarks",
    "tests/contrib",
    "tests/observability",
    "tests/recipes/test_sync_programs.py",
    "tests/recipes/test_workers.py",
    "docs/howto/exports.md",
    "docs/howto/observability.md",
    "docs/howto/sync-programs.md",
    "docs/howto/webhooks.md",
    "docs/howto/workers.md",
)
_NO_VERSION_MATTERS = {
    "budget": "fairness fleet foreign_traffic fuzz headers lanes_over_time queue_machine rolling_limits server_counter "
    "sharer_memory slots slots_machine slots_over_time slots_states stores_agree",
    "bulk": "chaos damaged_plans decisions judging plan_checks",
    "cli": "contract operator_day pure_parts reach shelf since_last words",
    "client": "imports",
    "paging": "arithmetic walk",
    "resources": "wrong_answers_to_writes",
    "sandbox": "life_cycle listing_properties lists orders throttle validation wild_input world",
    "transport": "bounded_work evidence meter refusal",
    "webhooks": "fuzz inbox_file inbox_machine secrets signature",
}
SAME_WITH_ALL_VERSIONS = (
    *(f"tests/{name}" for name in ("benchmarks", "contract", "docs", "model", "observability", "recipes")),
    *(f"tests/test_{name}.py" for name in ("layers", "tables", "text", "waits")),
    *(f"tests/{folder}/test_{name}.py" for folder, names in _NO_VERSION_MATTERS.items() for name in names.split()),
)
"""What depends on no dependency's version: arithmetic, state machines, words, and properties tried with many examples."""

SMOKE = (
    "tests/test_smoke.py",
    "tests/test_paths.py",
    "tests/budget/test_host.py",
    "tests/convert",
    "tests/models",
    "tests/paging",
    "tests/resources",
)
EXTRAS = "arrow,cli,dlt,excel,opentelemetry,redis,speed"
# The flag at the end keeps the order of conftest.py: files with slow tests first.
IN_PARALLEL = ("--numprocesses", "auto", "--dist", "loadfile", "--no-loadscope-reorder")


def groups(*names: str) -> tuple[str, ...]:
    """The dependency groups of pyproject.toml, as requirements."""
    return nox.project.dependency_groups(PROJECT, *names)


def side_by_side(*jobs: Callable[[], object]) -> None:
    """Run jobs at the same time, print the text that each of them returned, and fail if one failed.

    A job calls `session.run(..., silent=True)`, which returns the output; if the command fails, nox prints its output.
    One of the jobs may omit `silent`: its output is then shown while it runs.
    """
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
    failures = [failure for job in running if (failure := job.exception()) is not None]
    for job in running:
        if job.exception() is None and isinstance(job.result(), str):
            sys.stdout.write(f"{job.result()}\n")
    sys.stdout.flush()
    if failures:
        raise failures[0]


@nox.session(venv_backend="none")
def check(session: nox.Session) -> None:
    """All that must pass: the sessions `lint`, `everything`, `tests_oldest` and `package`, side by side.

    Many of them use one core, and tests wait. A session that fails does not stop the others.
    """
    failed = []

    def run(name: str, *, silent: bool = True) -> object:
        try:
            return session.run(sys.executable, "-m", "nox", "--session", name, silent=silent, external=True)
        except CommandFailed:
            failed.append(name)
            return f"nox > Session {name} failed: its output is above."

    side_by_side(
        lambda: run("everything", silent=False),
        lambda: f"{run('lint')}\n{run('tests_oldest')}",
        lambda: run("package"),
    )
    if failed:
        session.error(f"these sessions failed: {', '.join(failed)}")


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Style, language, and the mistakes that ruff finds."""
    session.install(*groups("lint"))
    session.run("python", "docs/language.py")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    workflows = map(str, Path(".github/workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)


@nox.session(default=False)
def typing(session: nox.Session) -> None:
    """Mypy and pyright agree that the types are right, and every name that a user can see has one."""
    session.install(*groups("typing"), "nox", f".[{EXTRAS}]")
    side_by_side(*type_checks(session))


def type_checks(session: nox.Session) -> list[Callable[[], object]]:
    """For sessions in which the dependency group `typing` is installed."""

    def chain(*commands: str) -> object:
        return "".join(str(session.run(*command.split(), silent=True) or "") for command in commands)

    return [
        lambda: chain("mypy", "python -m tests.recipes.typed"),
        lambda: chain("pyright", "pyright --verifytypes goedgepickt_async --ignoreexternal"),
    ]


@nox.session(default=False)
def everything(session: nox.Session) -> None:
    """What `tests`, `typing`, `contrib`, `browser` and `docs` do, in one environment with the newest dependencies."""
    session.install(*groups("typing"), "nox", f".[{EXTRAS}]")
    # Each of pytest's processes would compile all tests, and compute the table of characters of hypothesis.
    session.run_install("pytest", "--collect-only", "-qq", silent=True)
    session.run_install("python", "-c", "from hypothesis import strategies; strategies.text().example()")
    mypy, pyright = type_checks(session)
    side_by_side(
        lambda: session.run("pytest", *IN_PARALLEL, *session.posargs),
        lambda: f"{mypy()}\n{build_site(session, silent=True)}",
        pyright,
    )


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """The whole suite but for what needs other people's tools; quickly: `nox -s tests -- -m "not slow"`."""
    session.install(*groups("tests"), ".[cli,excel,redis,speed]")
    session.run("pytest", *IN_PARALLEL, *session.posargs)


@nox.session(default=False)
def smoke(session: nox.Session) -> None:
    """What every system and every Python must do, in a few minutes: on Windows, macOS, and Pythons that are new."""
    session.install(*groups("smoke"), ".[cli]")
    session.run("pytest", "-p", "no:randomly", *SMOKE, *session.posargs)


@nox.session(default=False)
def tests_oldest(session: nox.Session) -> None:
    """What depends on versions, with the lowest allowed dependencies, without orjson, in Python's development mode.

    The development mode and asyncio's debug mode turn leaks and unawaited coroutines into failures. So it runs what
    meets a dependency or an event loop: transport, client, resources, lists, models, conversion, webhooks.
    It also runs the budgets, the test kit, the sandbox's server and the command. `SAME_WITH_ALL_VERSIONS` and the slow
    tests are left out: `everything` runs them with the newest dependencies.
    """
    session.install(*groups("tests"), ".[cli,excel]", *OLDEST)
    chosen = session.posargs or ("-m", "not slow", *(f"--ignore={path}" for path in SAME_WITH_ALL_VERSIONS), "tests")
    # The development mode would also check the memory of C code, at a quarter of the time: that code is not ours.
    env = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONMALLOC": "pymalloc"}
    session.run("pytest", *IN_PARALLEL, *chosen, env=env)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """The sandbox's page does in Chromium what its users expect; skipped without Chromium."""
    session.install(*groups("browser"), ".")
    # 5 is "no tests": without chromium and chromedriver the module is skipped, and says so.
    session.run("pytest", "-rs", "tests/browser", *session.posargs, success_codes=[0, 5])


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """What of the code the tests reach; processes that they start are not looked into."""
    session.install(*groups("tests"), ".[cli,excel,redis,speed]")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(default=False)
def contrib(session: nox.Session) -> None:
    """What needs other people's tools works with them: dlt, DuckDB, OpenTelemetry, taskiq, Celery, and the contenders."""
    session.install(*groups("bench", "contrib"), f".[{EXTRAS}]")
    session.run("pytest", *IN_PARALLEL, *WITH_OTHERS, *session.posargs)


@nox.session(default=False)
def contract(session: nox.Session) -> None:
    """The OpenAPI document is valid, the sandbox keeps to it (schemathesis), and generated clients work against it.

    The generators are openapi-python-client and, where there is npm, openapi-typescript with openapi-fetch.
    """
    session.install(*groups("contract"), ".[cli]")
    env = {}
    if shutil.which("npm") is not None:
        here = Path(session.create_tmp()).resolve()
        packages = ("openapi-typescript@7", "openapi-fetch@0.17", "typescript@5")
        session.run("npm", "install", "--prefix", str(here), "--no-fund", "--no-audit", *packages, external=True)
        env["GOEDGEPICKT_NODE_MODULES"] = str(here / "node_modules")
    session.run("pytest", "-rs", "tests/contract", *session.posargs, env=env)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The site is built without a warning, into build/docs."""
    session.install(*groups("docs"), ".[arrow,dlt,excel,opentelemetry,redis]")
    build_site(session, *session.posargs)


def build_site(session: nox.Session, *options: str, silent: bool = False) -> object:
    """For sessions in which the dependency group `docs` is installed."""
    command = ("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "build/docs")
    return session.run(*command, *options, silent=silent)


@nox.session(default=False)
def package(session: nox.Session) -> None:
    """The wheel and the sdist are whole: built, checked, installed apart from the source, and run."""
    uv = session.venv_backend == "uv"
    session.install("build[uv]" if uv else "build", "check-wheel-contents", "twine")
    here = Path(session.create_tmp()).resolve()
    built, clean = here / "dist", here / "clean"
    for old in (built, clean):
        shutil.rmtree(old, ignore_errors=True)
    # The wheel is made from the sdist.
    session.run("python", "-m", "build", "--installer", "uv" if uv else "pip", "--outdir", str(built))
    wheel = str(next(built.glob("*.whl")))
    session.run("twine", "check", "--strict", *map(str, built.iterdir()))
    session.run("check-wheel-contents", wheel)
    session.run("python", "-m", "venv", *(["--without-pip"] if uv else []), str(clean))
    python = str(clean / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    pip = [nox.virtualenv.UV, "pip"] if uv else [python, "-m", "pip"]
    into = ["--python", python] if uv else []

    def run(*arguments: str) -> None:
        session.run(*arguments, external=True)

    smoke = Path("tests/package/beside_frameworks.py").resolve()
    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        run(*pip, "install", "--quiet", *into, wheel)
        run(
            python, "-c", "import goedgepickt_async as gg; [getattr(gg, name) for name in gg.__all__]"
        )  # without extras
        run(*pip, "install", "--quiet", *into, f"{wheel}[cli]", "fastapi", "django")
        run(*pip, "check", *into)
        run(python, str(smoke))
        command = (python, "-m", "goedgepickt_async")
        run(*command, "export", "orders", "--sandbox", "--sandbox-orders", "250", "-o", "orders.jsonl")
        run(*command, "doctor", "--sandbox")


MUTATED = (  # the pure functions; the rest of these modules sends requests
    "*.verdict.*",
    "*.server_counter.*",
    "*.slots.*",
    "*SharerMemory*",
    "*.signature.*",
    "*.pipeline.x_backoff*",
    "*RetryQuota*",
    "*.reader.x_*",
    "*SeenKeys*",
    "*.bulk.orders.x_*",
    "*.bulk.products.x_*",
)


@nox.session(default=False)
def mutation(session: nox.Session) -> None:
    """Small faults in the pure cores make their tests fail; `-- "*.signature*"` tries one module (mutmut)."""
    session.install(*groups("tests"), "mutmut>=3.8", ".[cli,excel,redis,speed]")
    session.run("mutmut", "run", *(session.posargs or MUTATED))
    session.run("mutmut", "results")


@nox.session(default=False)
def load(session: nox.Session) -> None:
    """No test depends on the machine's speed: the whole suite while something else keeps the processor busy.

    Eight busy loops and fourteen processes of tests make a load above 20. The whole suite runs three times. Then the
    quick part runs in ten random orders. Last, the whole suite runs once with ten times as many examples of hypothesis
    and random jobs of the budget.
    `nox -s load -- 1` makes one whole run, `-- 0` none;
    `-- 1 tests/budget` runs one directory. The session makes every run, and fails if one of them failed.
    """
    session.install(*groups("tests"), ".[cli,excel,redis,speed]")
    times, *paths = session.posargs or ["3"]
    common = (*IN_PARALLEL, "--numprocesses", "14", "-p", "no:cacheprovider")
    whole = [common] * int(times)
    orders = [(*common, "-m", "not slow", f"--randomly-seed={seed}") for seed in range(1, 11)]
    thorough = (*common, "--hypothesis-profile", "thorough")
    runs: list[tuple[str, ...]] = [*whole, *orders, thorough]
    failed = []
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        for number, options in enumerate(runs, start=1):
            env = {"GOEDGEPICKT_FUZZ": "10"} if options is thorough else {}
            try:
                session.run("pytest", *options, *paths, env=env)
            except CommandFailed:
                failed.append(number)
    finally:
        for loop in busy:
            loop.kill()
            loop.wait()
    if failed:
        session.error(f"of {len(runs)} runs, these failed: {failed}")


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Never throttled, and hardly slower than allowed: some minutes of four processes against the sandbox."""
    session.install(".[redis,speed]")
    session.run("python", "benchmarks/soak.py", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Ratios, measured side by side in one run."""
    session.install(*groups("bench"), ".[cli,excel,redis,speed]")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(default=False)
def model(session: nox.Session) -> None:
    """The model of the budget's protocol, and that its mutants are refuted; installs spin where it is root."""
    if shutil.which("spin") is None:
        if not hasattr(os, "geteuid") or os.geteuid() or shutil.which("apt-get") is None:
            session.skip("spin is not installed")
        session.run("apt-get", "install", "-y", "spin", "gcc", external=True)
    session.run("python", "-m", "tests.model.check")
