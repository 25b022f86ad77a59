"""`ossl`: list the commands by task, load the one that is called, turn errors into exit codes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ossl_builder import __version__
from ossl_builder.cli import output
from ossl_builder.errors import OsslError
from ossl_builder.files import disk_full
from ossl_builder.stages.registry import ENTRIES


@dataclass(frozen=True)
class Entry:
    """A command in the overview: its panel, its module, and one sentence."""

    panel: str
    module: str
    summary: str


START, FILMS, BUILD, STAGE, LABEL, TRAIN, SHARE = (
    "Start", "Films", "Build and check", "Single stages", "Label and split", "Train", "Share",
)  # fmt: skip
# Only the module of the command that is called is imported: `ossl --help` stays fast.
COMMANDS = {
    "demo": Entry(START, "demo", "Build and train on three bundled film excerpts, offline."),
    "init": Entry(START, "corpus", "Create a corpus: a folder with a recipe and no films."),
    "settings": Entry(START, "corpus", "List every recipe key with its default and meaning."),
    "doctor": Entry(START, "doctor", "Check ffmpeg, encoders, torch, GPU, models and disk space."),
    "models": Entry(START, "models", "List and fetch weights of optional models."),
    "films": Entry(FILMS, "films", "Find, add, check and explain films and their rights."),
    "build": Entry(BUILD, "build", "Run all stages that are not up to date."),
    "status": Entry(BUILD, "corpus", "Show what is done, rejected, failed or stale, and why."),
    "verify": Entry(BUILD, "corpus", "Hash every file and compare it with its record."),
    "clean": Entry(BUILD, "corpus", "Delete files that no row points to."),
    "report": Entry(BUILD, "report", "Write web pages that show the corpus."),
    "stats": Entry(BUILD, "stats", "Count films, scenes, cues, clips, moods and splits."),
    "query": Entry(BUILD, "stats", "Answer one SQL SELECT over the tables."),
    **{stage.name: Entry(STAGE, "build", stage.summary) for stage in ENTRIES},
    "label": Entry(LABEL, "label", "Collect mood annotations with Label Studio."),
    "split": Entry(LABEL, "split", "Assign films to train, validation and test without leaks."),
    "train": Entry(TRAIN, "train", "Fit a video adapter on a frozen MusicGen; generate music."),
    "export": Entry(SHARE, "export", "Export a corpus in the formats that others load."),
    "import": Entry(SHARE, "import_ossl", "Import released corpora (OSSL v1 and v2)."),
}  # fmt: skip


class LazyCommands(TyperGroup):
    """Commands that are listed from `COMMANDS` and imported when they are called."""

    _is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for the overview, return only its name and summary."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if self._is_listing:
            return TyperCommand(name=cmd_name, help=entry.summary, rich_help_panel=entry.panel)
        if cmd_name not in self.commands:
            commands = typer.Typer()
            import_module(f"ossl_builder.cli.{entry.module}").add_commands(commands)
            loaded = typer.main.get_group(commands).commands
            self.commands.update({name: loaded[name] for name in loaded})
        return self.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the overview without importing any command."""
        self._is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_listing = False


app = typer.Typer(
    name="ossl",
    cls=LazyCommands,
    help="Films in, clips with music out: rebuild the Open Screen Soundtrack Library.",
    epilog="Start with: ossl demo --out demo-corpus",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(is_requested: bool) -> None:
    if is_requested:
        output.line(f"ossl-builder {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    corpus_folder: Annotated[
        Path, typer.Option("--corpus", "-C", help="Folder of the corpus.", show_default="here")
    ] = Path(),
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Options of all commands."""
    context.obj = corpus_folder


def main() -> None:
    """Run the command line. An error that the user can act on ends with exit code 1."""
    try:
        app()
    except OSError as error:
        full = disk_full(error, Path.cwd())
        if full is None:
            raise
        _end(full)
    except OsslError as error:
        _end(error)


def _end(error: OsslError) -> None:
    output.say(f"ossl: {error.message}")
    if error.hint:
        output.say(f"      {error.hint}")
    sys.exit(1)


if __name__ == "__main__":
    main()
