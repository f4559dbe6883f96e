"""The README promises two commands; what CI runs is the second of them, on the counterparts that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT.joinpath("README.md").read_text()
CI = ROOT.joinpath(".ci/run").read_text()


def test_ci_runs_the_command_that_the_readme_gives_to_whoever_works_on_it() -> None:
    work = README.split("## Work on it")[1]
    command = re.search(r"```sh\n(.+)\n```", work)

    assert command is not None
    assert command[1] in CI


@pytest.mark.parametrize("package", re.findall(r"`apt-get install ([\w-]+)`", README))
def test_ci_installs_each_system_package_that_the_readme_names(package: str) -> None:
    installed = re.search(r"apt-get install .*", CI)

    assert installed is not None
    assert package in installed[0].split()


def test_ci_requires_what_it_installs() -> None:
    required = re.search(r"`BRIDGE_REQUIRE=(\S+)`", README)

    assert required is not None
    assert required[1] in CI


@pytest.mark.parametrize("link", re.findall(r"\]\(([\w./-]+)\)", README))
def test_every_page_that_the_readme_points_to_is_there(link: str) -> None:
    assert ROOT.joinpath(link).exists()
