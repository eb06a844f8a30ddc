"""The arithmetic that a bundle takes."""

from broker_plugin.bundles import load
from broker_plugin.models import Runtime
from broker_plugin.models.cost import megaflops


def test_the_packaged_bundle_takes_a_sixth_of_the_published_network() -> None:
    assert 1.0 < megaflops(Runtime("cpu").load(load("stamp-ztf"))) < 25.0
