"""Scores over several seeds."""

from broker_plugin.training.seeds import across_seeds


def test_mean_and_spread_over_the_seeds() -> None:
    fits = [
        {
            "test": {
                "n": 10,
                "accuracy": accuracy,
                "balanced_accuracy": 0.5,
                "negative_log_likelihood": 0.3,
                "recall": {"SN": accuracy - 0.1},
            }
        }
        for accuracy in (0.9, 0.94)
    ]
    [(split, told)] = across_seeds(fits).items()
    assert (split, told["n"]) == ("test", 10)
    assert told["accuracy"] == {"mean": 0.92, "std": 0.02}
    assert told["recall"]["SN"] == {"mean": 0.82, "std": 0.02}
