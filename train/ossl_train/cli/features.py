"""`ossl train features`."""

from __future__ import annotations

import typer

from ossl_train.cli import options


def features(
    context: typer.Context,
    recipe: options.RecipeName = "small",
    data: options.Data = None,
    overrides: options.Set = None,
    device: options.On = None,
    dry_run: options.DryRun = False,
    json: options.AsJson = False,
) -> None:
    """Encode the video of every window of all clips in a split; skip what is up to date.

    Ends with 0 if all went well, 1 if all films failed, 3 if some did.
    """
    from ossl_train.cli.stored import bring_up_to_date
    from ossl_train.data.prepare import features_job

    bring_up_to_date(
        context.obj, data, recipe, overrides or (), device,
        lambda source, settings: (features_job(source, settings),), dry_run, json,
    )  # fmt: skip
