"""Every shell script can be parsed, also those that few people run."""

from __future__ import annotations

import subprocess

from monitoring import ROOT


def test_bash_parses_every_script() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [path for path in map(ROOT.joinpath, listed.splitlines()) if path.is_file()]
    scripts = [path for path in files if path.read_bytes()[:40].startswith((b"#!/usr/bin/env bash", b"#!/bin/sh"))]
    assert len(scripts) > 10
    for script in scripts:
        done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script
