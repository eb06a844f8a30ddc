"""The command line: ``broker-plugin``.

Each command is a module.  What they need is imported when they run, so that ``--help`` answers at once and only
what classifies or trains waits for TensorFlow.
"""

from __future__ import annotations

from broker_plugin.cli import (
    classify,
    crossmatch,
    designs,
    evaluate,
    explain,
    inspect,
    objects,
    plugins,
    realism,
    schema,
    simulate,
    train,
    train_temporal,
    weights,
)
from broker_plugin.cli.program import program

main = program
"""What the console script calls."""

for _command in (
    classify.classify,
    inspect.inspect,
    objects.object_,
    schema.schema,
    weights.weights,
    plugins.plugins,
    train.train,
    simulate.simulate,
    evaluate.evaluate,
    explain.explain,
    realism.realism,
    crossmatch.crossmatch,
):
    main.add_command(_command)
train.train.add_command(designs.designs)
train.train.add_command(train_temporal.temporal)
train.train.add_command(train_temporal.recurrences)
