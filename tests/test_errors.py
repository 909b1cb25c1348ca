"""Command lines that nobody reads to the end, and those whose output has no room."""

import os
import subprocess
import sys
import warnings

import pytest

from fastnst.__main__ import COMMANDS, COMPOSED
from tests.conftest import PROJECT, run_script, start_script

PROGRAM = "import sys\nfrom fastnst.errors import *\nwith input_errors_end_with_code_2():\n    "

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def closed_pipe(program: str, both: bool = False, flags: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and stderr of a program whose stdout, perhaps stderr too, nobody reads."""
    child = subprocess.Popen(
        [sys.executable, *flags, "-c", f"{PROGRAM}sys.stdin.read(); {program}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT, text=True, env=BUFFERED,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
    )  # fmt: skip
    child.stdout.close()
    child.stdin.close()  # only now it prints
    error = "" if both else child.stderr.read()
    return child.wait(60), error


@pytest.mark.parametrize(
    "program",
    [
        "print('x')",
        "print('x', flush=True)",
        "print('x' * 10**6)",
        "print('x'); sys.exit(0)",
        "print('x'); sys.exit(1)",
        "print('x'); raise InputError('y')",
        "sys.stdout.buffer.write(bytes(10**6))",
    ],
)
def test_nobody_reads(program):
    quiet = "" if "InputError" not in program else "error: y\n"
    assert closed_pipe(program) == (141, quiet)
    assert closed_pipe(program, flags=("-u",)) == (141, "")  # the first word fails already


def test_nobody_reads_stderr_either():
    assert closed_pipe("print('x', file=sys.stderr)", both=True)[0] == 141
    assert closed_pipe("raise InputError('y')", both=True)[0] == 141


def test_other_pipes_are_no_reason_to_be_quiet():
    program = f"{PROGRAM}import os; r, w = os.pipe(); os.close(r); os.write(w, b'x')"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT)
    assert answer.returncode == 1 and "BrokenPipeError" in answer.stderr


def test_no_room_for_the_output():
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-c", f"{PROGRAM}print('x')"],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=PROJECT, env=BUFFERED,
        )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stderr == "error: the standard output cannot be written (No space left on device).\n"


@pytest.mark.parametrize("script", [["stylize", "--model", "mosaic", "--info"], ["train", "--help"]])
def test_scripts_piped_into_head(script, tmp_path):
    child = start_script(*script, cwd=tmp_path)
    child.stdout.close()
    assert (child.stderr.read(), child.wait(120)) == ("", 141)


@pytest.mark.parametrize("kind", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_what_will_not_work_for_long_is_an_error_in_tests(kind):
    """Here, and in the processes that tests start."""
    with pytest.raises(kind):
        warnings.warn("soon gone", kind, stacklevel=1)
    program = f"import warnings; warnings.warn('soon gone', {kind.__name__})"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.returncode == 1 and f"{kind.__name__}: soon gone" in answer.stderr


@pytest.mark.parametrize("script", sorted({*COMMANDS} - {*COMPOSED}))  # those have tests of their own
def test_a_wrong_option_is_answered_in_one_line(script, tmp_path):
    assert "see --help" in run_script(script, "--no-such-option", cwd=tmp_path).error()
