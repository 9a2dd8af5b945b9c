"""Installs by uv where it can be had, in a third of pip's time: `python install.py ...` for `pip install ...`.

What stands after the name goes to `uv pip install`, or to pip where there is no uv or uv is refused, and into the
environment of the Python that runs this. uv does not read pip's configuration: where packages come from and whom to
trust is handed on in uv's own variables, so that both install the same; variables of uv that are set already stay.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
# pip's option, uv's variable: a list is divided by blanks in both.
VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


def pip_options(listing: str) -> dict[str, str]:
    r"""Return the options of `pip install` from the lines of `pip config list`: those of the environment win.

    >>> pip_options("global.find-links='/wheels'\ninstall.no-index='true'\n:env:.find-links='/here\\n/there'")
    {'find-links': '/here /there', 'no-index': 'true'}
    """
    options: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section):
                options[name.removeprefix(section)] = " ".join(str(ast.literal_eval(value)).split())
    return options


def uv_environment(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which uv looks where pip with these options looks, and treats all indexes alike."""
    as_pip = {VARIABLES[name]: value for name, value in options.items() if name in VARIABLES}
    if "UV_FIND_LINKS" in as_pip:
        as_pip["UV_FIND_LINKS"] = as_pip["UV_FIND_LINKS"].replace(" ", ",")
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", **as_pip, **environment}


def find_uv(environment: Mapping[str, str]) -> str | None:
    """Return a uv that works: that of this environment, installed by pip where it is missing, or that of the machine."""
    own = Path(sys.executable).with_name("uv")
    if not own.is_file():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(CONSTRAINTS), "uv"], env=environment, stderr=subprocess.DEVNULL, check=False)
    for uv in (str(own), shutil.which("uv")):
        if (
            uv
            and shutil.which(uv)
            and subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
        ):
            return uv
    return None


def install(arguments: Sequence[str]) -> int:
    """Install into this environment; return the exit code."""
    environment = dict(os.environ)
    listing = [sys.executable, "-m", "pip", "config", "list"]
    options = pip_options(subprocess.run(listing, capture_output=True, text=True, check=True).stdout)
    if uv := find_uv(environment):
        limits = [word for path in options.get("constraint", "").split() for word in ("-c", path)]
        # To compile all of it costs as much as to install it; the first commands compile the modules that they
        # import, unless the environment forbids it: then every command would do it anew.
        bytecode = ["--compile-bytecode"] if sys.dont_write_bytecode else []
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable, *bytecode, *limits, *arguments]
        if subprocess.run(command, env=uv_environment(options, environment), check=False).returncode == 0:
            return 0
    print("Not installed by uv (see above, or there is none): pip does it now, which takes longer.", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(pip, check=False).returncode


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:]))
