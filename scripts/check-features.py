#!/usr/bin/env python3
"""Fails where a dependency has other features in `cargo build` than in `cargo test`, and so would be compiled twice.

The remedy is to turn the features that it names on in `[workspace.dependencies]`, or in `bench/Cargo.toml` for a crate that we do
not depend on ourselves.
"""

import json
import os
import subprocess
import sys


def built(*arguments: str) -> dict[tuple, set[frozenset]]:
    """The features that each library outside the workspace is built with."""
    # the graph of units is not stable in cargo; a change of its shape fails here, and nowhere else
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    command = ["cargo", *arguments, "--locked", "--workspace", "--unit-graph", "-Zunstable-options"]
    graph = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
    libraries: dict[tuple, set[frozenset]] = {}
    for unit in graph["units"]:
        if unit["mode"] == "build" and unit["pkg_id"].startswith("registry+"):
            key = (unit["pkg_id"].rsplit("#")[-1], unit["target"]["name"], unit["platform"])
            libraries.setdefault(key, set()).add(frozenset(unit["features"]))
    return libraries


build, test = built("build"), built("test", "--all-features")
twice = {key: features for key, features in build.items() if key in test and not features <= test[key]}
for (name, target, _), features in sorted(twice.items(), key=str):
    here, there = (set.union(*map(set, sets)) for sets in (features, test[(name, target, _)]))
    print(f"{name} is built twice: cargo test turns on {sorted(there - here)}", file=sys.stderr)
if len(build) < 100:
    sys.exit("check-features: cargo says that next to nothing is built, which cannot be")
sys.exit(1 if twice else 0)
