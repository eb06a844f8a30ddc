"""Finding bundles, and refusing those that are not what their manifest says."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from broker_plugin.bundles import BundleError, find_bundles, load, store
from broker_plugin.bundles.manifest import MANIFEST_NAME
from broker_plugin.bundles.store import search

from . import samples


class EntryPoint:
    """What a package declares in the group ``broker_plugin.bundles``."""

    name = "elsewhere"
    value = "elsewhere:weights"

    def __init__(self, target: object) -> None:
        self._target = target

    def load(self) -> object:
        if isinstance(self._target, Exception):
            raise self._target
        return self._target


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    """No bundle but those of the test."""
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    monkeypatch.setattr(store, "data_folder", lambda _: packaged)
    monkeypatch.setattr(store, "entry_points", lambda group: [])
    monkeypatch.delenv(store.WEIGHTS_VARIABLE, raising=False)


def declare(monkeypatch, target: object) -> None:
    monkeypatch.setattr(store, "entry_points", lambda group: [EntryPoint(target)])


@pytest.fixture
def weights(tmp_path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    return folder


def origin_of(**where) -> str:
    return load("test-ztf", **where).origin


def test_bundle_is_loaded_by_name_by_label_and_by_folder(weights):
    folder = samples.write_bundle(weights)
    for name in ("test-ztf", "test-ztf/1.2.3", str(folder)):
        bundle = load(name, weights)
        assert bundle.manifest.label == "test-ztf/1.2.3" and bundle.path == folder
        assert bundle.saved_model == folder / "saved_model"
        assert bundle.sha256 == store.file_sha256(folder / MANIFEST_NAME)


def test_origin_says_how_it_was_found(weights, monkeypatch, tmp_path):
    assert samples.write_bundle(tmp_path / "packaged") and origin_of() == "packaged"
    assert load(str(samples.write_bundle(weights))).origin == "path"
    assert origin_of(weights=weights) == "given"


def test_given_folder_comes_before_packaged_before_environment_before_entry_points(monkeypatch, tmp_path, weights):
    roots = {name: tmp_path / name for name in ("entry", "environment", "packaged")}
    declare(monkeypatch, roots["entry"])
    samples.write_bundle(roots["entry"])
    assert origin_of() == "entry point elsewhere"
    monkeypatch.setenv(store.WEIGHTS_VARIABLE, str(roots["environment"]))
    samples.write_bundle(roots["environment"])
    assert origin_of() == "$BROKER_PLUGIN_WEIGHTS"
    samples.write_bundle(roots["packaged"])
    assert origin_of() == "packaged"
    samples.write_bundle(weights)
    assert origin_of(weights=weights) == "given"


def test_variable_may_name_several_folders(monkeypatch, tmp_path):
    for name in ("a", "b"):
        samples.write_bundle(tmp_path / name, f"test-{name}")
    monkeypatch.setenv(store.WEIGHTS_VARIABLE, os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert [bundle.manifest.name for bundle in find_bundles()] == ["test-a", "test-b"]


@pytest.mark.parametrize("as_function", [True, False])
def test_entry_point_may_be_a_folder_or_a_function_that_gives_it(monkeypatch, weights, as_function):
    samples.write_bundle(weights)
    declare(monkeypatch, (lambda: weights) if as_function else str(weights))
    assert origin_of() == "entry point elsewhere"


@pytest.mark.parametrize("target", [ImportError("no such module"), None, lambda: 1 / 0])
def test_entry_point_that_fails_is_reported_and_harms_no_other(monkeypatch, weights, target):
    samples.write_bundle(weights)
    declare(monkeypatch, target)
    found, broken = search(weights)
    assert len(found) == 1 and [b.origin for b in broken] == ["entry point elsewhere"]


IN_ORDER = [
    "0.9.0",
    "0.10.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "2.0.0-rc.1",
]


def test_versions_are_in_the_order_of_their_standard(weights):
    for version in reversed(IN_ORDER):
        samples.write_bundle(weights, version=version)
    assert [bundle.manifest.version for bundle in search(weights)[0]] == IN_ORDER


@pytest.mark.parametrize(("older", "newer"), list(itertools.pairwise(IN_ORDER)))
def test_newest_version_is_taken(weights, older, newer):
    for version in (newer, older):
        samples.write_bundle(weights, version=version)
    assert load("test-ztf", weights).manifest.version == newer
    assert [bundle.manifest.version for bundle in find_bundles(weights)] == [newer]
    assert load(f"test-ztf/{older}", weights).manifest.version == older


def test_newest_version_is_taken_wherever_it_is(weights, tmp_path):
    samples.write_bundle(weights, version="1.0.0")
    samples.write_bundle(tmp_path / "packaged", version="1.1.0")
    assert load("test-ztf", weights).manifest.version == "1.1.0"


def test_unknown_name_lists_what_there_is(weights):
    samples.write_bundle(weights)
    with pytest.raises(BundleError, match=r"no bundle 'other'; found: test-ztf/1\.2\.3"):
        load("other", weights)


def test_changed_file_is_refused(weights):
    folder = samples.write_bundle(weights)
    (folder / "saved_model" / "saved_model.pb").write_text("other!!")
    with pytest.raises(BundleError, match=r"saved_model\.pb is not the file"):
        load("test-ztf", weights)


def test_missing_file_is_refused(weights):
    folder = samples.write_bundle(weights)
    (folder / "saved_model" / "variables" / "variables.index").unlink()
    with pytest.raises(BundleError, match=r"variables\.index is named by the manifest and not there"):
        load("test-ztf", weights)


@pytest.mark.parametrize("extra", ["extra.txt", "saved_model/assets.pkl", "saved_model/bundle.json", ".hidden"])
def test_extra_file_is_refused(weights, extra):
    folder = samples.write_bundle(weights)
    (folder / extra).write_text("surprise")
    with pytest.raises(BundleError, match="is there and not named"):
        load("test-ztf", weights)


def test_bundle_without_a_model_is_refused(weights):
    folder = weights / "test-ztf" / "1.2.3"
    folder.mkdir(parents=True)
    (folder / MANIFEST_NAME).write_text(samples.manifest(files={}).to_json())
    with pytest.raises(BundleError, match="holds no saved_model"):
        load("test-ztf", weights)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"{}", b"[]", b"[" * 100_000])
def test_broken_manifest_is_reported_and_harms_no_other(weights, content):
    samples.write_bundle(weights)
    broken_folder = samples.write_bundle(weights, "broken")
    (broken_folder / MANIFEST_NAME).write_bytes(content)
    found, broken = search(weights)
    assert [bundle.manifest.name for bundle in found] == ["test-ztf"]
    assert [problem.where for problem in broken] == [str(broken_folder)] and str(broken_folder) in broken[0].problem


def test_folder_that_is_not_there_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv(store.WEIGHTS_VARIABLE, str(tmp_path / "typo"))
    found, broken = search()
    assert found == [] and [problem.problem for problem in broken] == [f"{tmp_path / 'typo'}: there is no such folder"]


def test_tiny_bundles_of_the_tests_are_whole(tiny_weights):
    for name in ("tiny-ztf", "tiny-rubin"):
        assert load(name, tiny_weights).manifest.version == "0.1.0"
