"""Errors: a stable code, a sentence, and what to do about it.

`CODES` lists every code once. `docs/errors.md` is made from it:
`python -m ossl_builder.errors docs/errors.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Every code of `OsslError`: the condition, for people. One condition has one code.
CODES: dict[str, str] = {
    "access_refused": "A server refuses access to a film. Choose another source.",
    "adapter_busy": "The adapter already shows a video. Leave the first `with` block first.",
    "adapter_detached": "The adapter is attached to no model.",
    "adapter_input": "The video given to an adapter has a wrong shape, type or value.",
    "adapter_other_features": "The adapter was trained on features of another video encoder.",
    "adapter_other_model": "The adapter was trained on another MusicGen.",
    "adapter_size": "The adapter does not fit the size of the model.",
    "adapter_unreadable": "An adapter file is damaged, or is another kind of file.",
    "address_base_invalid": "The base URL of clips cannot be used.",
    "address_has_password": "An address contains a user name or password. Addresses are recorded.",
    "address_key_damaged": "The key that signs clip URLs is damaged.",
    "address_unreachable": "An address does not answer.",
    "annotations_damaged": "A file of annotations has a line that is not an annotation.",
    "annotators_damaged": "`annotators.csv` cannot be read.",
    "archive_unreachable": "The Internet Archive does not answer.",
    "audio_undecodable": "The audio of a film cannot be decoded.",
    "audio_unreadable": "An audio file cannot be read.",
    "catalogue_broken": "The catalogue of films has a line that cannot be read.",
    "catalogue_missing": "The catalogue of films is missing. Install ossl-builder again.",
    "checkpoint_damaged": "A checkpoint of a training run cannot be read.",
    "checkpoint_size": "A checkpoint has another size than the recipe's adapter.",
    "checksum_differs": "A download differs from the checksum that its source states.",
    "clip_ambiguous": "Several films have a clip of this id.",
    "clip_twice": "Two files of a folder belong to the same clip.",
    "clip_unknown": "There is no clip of this id.",
    "clip_unverified": "A clip that was just cut differs from the film.",
    "clips_too_few": "The split has too few clips for the listening test.",
    "codes_differ": "The stored codes were made by another EnCodec.",
    "codes_missing": "The codes of a clip are missing. Run `ossl train codes`.",
    "codes_mixed": "The stored codes of several films were made with different models.",
    "codes_stale": "The stored codes were made from other clips or settings.",
    "compile_unsupported": "`fit.compile` needs transformers, and no gradient checkpointing.",
    "content_changed": "A file differs from the checksum that was recorded.",
    "corpus_exists": "The folder already is a corpus.",
    "corpus_imported": "The corpus has imported clips and no films.",
    "corpus_in_use": "Another ossl process uses the corpus.",
    "corpus_version": "The corpus has the layout of another version of ossl-builder.",
    "device_unknown": "The name of a device is unknown.",
    "dialogue_missing": "The recipe needs dialogue stems, but a clip has none.",
    "events_missing": "The recipe uses events, but the features were made without them.",
    "disk_full": "The disk is full. Finished results are kept.",
    "disk_small": "The disk has too little free space for what would be written.",
    "document_root_unsafe": "Label Studio could serve more than clips from this folder.",
    "download_dropped": "A server closed the connection too early.",
    "download_slow": "A download is too slow.",
    "download_stalled": "A server sent nothing for too long.",
    "embedding_not_finite": "A model gives infinite or undefined values.",
    "eval_set_invalid": "The list of an evaluation set is missing or has errors.",
    "export_other_data": "The adapter was trained on other tables than these.",
    "features_differ": "The stored features were made by another encoder.",
    "features_missing": "The features of a clip are missing. Run `ossl train features`.",
    "features_mixed": "The stored features of several films were made with different models.",
    "features_not_finite": "Features have infinite or undefined values.",
    "features_stale": "The stored features were made from other clips or settings.",
    "ffmpeg_failed": "The program ffmpeg stopped with an error.",
    "ffmpeg_missing": "There is no ffmpeg.",
    "file_empty": "A file is empty.",
    "file_missing": "A named file does not exist.",
    "film_id_invalid": "A film id has characters that are not allowed.",
    "film_in_parts": "An item of the Internet Archive has its film in several files.",
    "film_unknown": "There is no film of this id.",
    "film_unverified": "A film is not shown to be free.",
    "folder_missing": "A named folder does not exist.",
    "folder_not_empty": "The folder has other files.",
    "generation_failed": "Music for a clip could not be generated.",
    "gpu_memory": "The GPU has too little memory.",
    "host_unknown": "The host is not an address of this machine.",
    "import_columns": "A file to import lacks columns, or has unknown ones.",
    "import_invalid": "A file to import has errors. Nothing was imported.",
    "import_no_clips": "The folder has no clips of the layout to import.",
    "import_no_sheet": "The folder has no CSV files of the layout to import.",
    "import_unreadable": "A file to import cannot be read.",
    "init_differs": "The adapter of `fit --init` has other settings or sizes than the recipe's.",
    "invariant_broken": "A bug: rows break a rule of their table. Nothing was written.",
    "item_missing": "The Internet Archive has no such item, or hides it.",
    "label_state_damaged": "The memory of the Label Studio project cannot be read.",
    "labelled_clips_at_stake": "The stage could drop annotated clips.",
    "labelled_clips_dropped": "Annotated clips would be lost.",
    "labels_would_be_lost": "The labels table would lose all labels.",
    "length_differs": "The length of a film differs from what its source states.",
    "listening_damaged": "The key of a listening test cannot be read.",
    "listening_differs": "The folder has a listening test made from something else.",
    "listening_missing": "The folder has no listening test.",
    "loss_not_finite": "The loss became infinite or undefined.",
    "measures_none": "No measure was chosen.",
    "media_changed": "A media file differs from its SHA-256 in the tables.",
    "media_missing": "A media file that the tables name is missing.",
    "memory_full": "The memory was used up.",
    "model_damaged": "A model file cannot be read.",
    "model_invalid": "A model is of another kind, or cannot be loaded safely.",
    "model_kind": "A model has the layout of another package.",
    "model_missing": "There is no model at this path.",
    "model_unavailable": "A model is not on this machine and cannot be downloaded.",
    "model_unsupported": "This kind of MusicGen is not supported.",
    "model_untrusted": "A model could run code. Use `--trust-model` if you trust it.",
    "mux_failed": "A video file could not be written.",
    "name_twice": "Two inputs have the same name, or would give output files of the same name.",
    "no_checkpoint": "The folder has no adapter.",
    "no_clips": "The corpus has no clip with a mix and stems.",
    "no_common_clips": "No clip has music of all systems that are compared.",
    "no_corpus": "The folder is not a corpus.",
    "no_files": "The folder has no files of the needed kind.",
    "no_film": "The item of the Internet Archive has no film.",
    "no_gpu": "A GPU was chosen, but PyTorch finds none.",
    "no_pairs": "No clip has a file in each of the compared folders.",
    "no_recordings": "The rule `soundtrack` needs a folder of recordings.",
    "no_systems": "The folder has no folders of finished music.",
    "no_tables": "The folder is neither a corpus nor an export.",
    "no_video": "A file has no video.",
    "not_allowed": "Label Studio does not allow this.",
    "not_in_folder": "The folder given by `--from` does not have the film.",
    "not_installed": "A package of an optional extra is not installed.",
    "not_media": "A file is neither audio nor video.",
    "not_understood": "There is no film at the address that yt-dlp can find.",
    "nothing_chosen": "It was not chosen what to generate music for.",
    "nothing_to_compare": "No file of one of the compared sets can be read.",
    "option_alone": "An option needs another one.",
    "out_not_shared": "The processes of a training run do not share their output folder.",
    "output_is_input": "An output file would replace its own input.",
    "outside_document_root": "A clip is outside of Label Studio's document root.",
    "overlap_too_long": "The overlap is as long as the window.",
    "page_too_large": "A page would be larger than browsers can open.",
    "path_outside": "A path leads out of its folder.",
    "port_forbidden": "The user may not open this port.",
    "port_in_use": "Another program uses the port.",
    "processes_differ": "A training run was started with another number of processes.",
    "project_foreign": "Label Studio has a project of this title that is not ours.",
    "project_gone": "The Label Studio project was deleted.",
    "project_missing": "The corpus has no Label Studio project yet.",
    "prompt_twice": "`--prompt` and `--mood` exclude each other.",
    "prompts_invalid": "The file of prompts is not a JSON object of texts.",
    "published_invalid": "The file of published figures has errors.",
    "push_incomplete": "Label Studio did not keep all tasks.",
    "query_invalid": "A SQL query has an error.",
    "query_refused": "A SQL query would do more than read the tables.",
    "recipe_invalid": "A recipe has errors; all of them are listed.",
    "recipe_unknown": "There is no recipe of this name.",
    "record_damaged": "A record of the corpus cannot be read.",
    "recording_unreadable": "A recording cannot be decoded.",
    "redirect_loop": "A server redirects without end.",
    "reference_twice": "`evaluate` got two kinds of music to compare with.",
    "reference_unknown": "A checkpoint is not one of the published v1 code.",
    "report_invalid": "A report for the model card lacks a key.",
    "request_refused": "Label Studio refuses a request.",
    "role_missing": "A separation model has no source for a needed role.",
    "role_unknown": "The role of a separation model's source is unknown.",
    "run_differs": "The folder has a training run with other settings.",
    "run_in_use": "Another process trains into this folder.",
    "run_missing": "The adapter is in no folder of a training run.",
    "run_unreadable": "The files of a training run cannot be read.",
    "schema_differs": "The Label Studio project asks other questions.",
    "search_failed": "The Internet Archive rejected a search.",
    "server_busy": "A server asks to wait.",
    "server_error": "A server answers with an error.",
    "server_unknown": "The address of Label Studio is unknown.",
    "server_unreachable": "Label Studio does not answer.",
    "server_url_invalid": "The address is not one of a Label Studio server.",
    "set_invalid": "A `--set` option cannot be read.",
    "several_files": "Several files of a folder could be the film.",
    "sha256_invalid": "A text is not a SHA-256.",
    "size_differs": "A download has another size than its source states.",
    "source_changes": "A file changed at its source during the download.",
    "source_damaged": "A film's `source.json` cannot be read.",
    "source_gone": "A film is no longer at its source.",
    "source_invalid": "A text is not a source of films.",
    "source_missing": "A film's local file does not exist.",
    "source_unknown": "A setting names a source that the model does not have.",
    "split_empty": "No film or clip is in the split.",
    "split_silent": "No window of the split has music.",
    "split_unknown": "There is no split of this name.",
    "splits_record_damaged": "The record of splits cannot be read.",
    "splits_unreadable": "A table of splits cannot be read.",
    "step_failed": "A step of a reproduction did not finish for all films or clips.",
    "store_damaged": "A file of stored features or codes cannot be read.",
    "store_version": "A file of stored features or codes has another format.",
    "stream_missing": "A media file lacks the wanted stream.",
    "system_unknown": "No system has the name of the baseline.",
    "table_damaged": "A file is not a table of this program.",
    "table_missing": "A table is missing.",
    "table_version": "A table has the format of another version.",
    "tagger_window": "The window is longer than the tagger can read.",
    "taxonomy_invalid": "`moods.yaml` has errors.",
    "text_differ": "The stored text states do not fit the model.",
    "text_missing": "The text states of a clip are missing. Run `ossl train codes`.",
    "text_mixed": "The stored text states of several films were made with different models.",
    "text_stale": "The stored text states were made from other prompts.",
    "thumbnail_failed": "A thumbnail could not be encoded.",
    "title_invalid": "Label Studio does not accept this project title.",
    "token_incomplete": "The Label Studio token was not copied completely.",
    "token_missing": "The environment has no Label Studio token.",
    "token_refused": "Label Studio refuses the token.",
    "too_few_gpus": "There are more processes than GPUs.",
    "too_few_windows": "The train split has fewer windows than there are processes.",
    "too_large": "A film is larger than the limit.",
    "truncated": "A film's file is cut off.",
    "unexpected": "A bug: the record has the traceback.",
    "unreachable": "A server cannot be reached.",
    "usage": "A command was used in a wrong way.",
    "video_undecodable": "The video of a file cannot be decoded.",
    "window_too_short": "There is no frame to generate.",
    "windows_invalid": "The settings of windows exclude each other.",
    "worker_died": "A process ended unexpectedly.",
    "write_failed": "A file could not be written.",
}

# Why a film or a candidate was rejected.
REASONS: dict[str, str] = {
    "damaged_audio": "The audio is damaged.",
    "damaged_video": "The video is damaged.",
    "dialogue_not_clean": "Too much music is left in the dialogue stem.",
    "lengths_differ": "Video, audio and packets have different lengths.",
    "music_not_clean": "Too much dialogue is left in the music stem.",
    "no_audio": "The film has no audio.",
    "no_caption": "The captioning model wrote no words about the clip.",
    "no_video": "The segment has no video.",
    "not_confirmed": "The network that confirms transitions does not see this one.",
    "not_in_recordings": "The music is in none of the recordings.",
    "not_music": "The tagger that confirms cues finds no music.",
    "other_sound": "The tagger finds other sounds than music.",
    "rights_unknown": "The film is not shown to be free.",
    "silent": "The music is silent.",
    "too_black": "Too much of the video is black.",
    "too_much_dialogue": "Dialogue covers too much of it.",
    "too_quiet": "The music is too quiet.",
    "too_silent": "Too much of the music is silence.",
    "too_short": "It is too short.",
    "too_soft": "The music is too soft to measure its loudness.",
}

# What a stage repaired or found doubtful.
WARNINGS: dict[str, str] = {
    "damaged_audio": "Parts of the audio are damaged and were replaced by silence.",
    "damaged_video": "Parts of the video are damaged.",
    "frames_differ": "Not all packets of the video decode to a frame.",
    "lengths_differ": "Video, audio and packets have different lengths.",
    "times_corrected": "The timestamps restart or jump; they were corrected.",
}


class OsslError(Exception):
    """A failure that the user can act on.

    Attributes:
        code: one of `CODES`; scripts may match it.
        message: one sentence: what happened, to which thing.
        hint: one sentence: what to do.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        # A file name may contain bytes that are not text; records must be UTF-8.
        message, hint = (_encodable(text) for text in (message, hint))
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[OsslError], tuple[str, str, str]]:
        # Exceptions cross process borders by pickle, which passes `args`: ours need three.
        return type(self), (self.code, self.message, self.hint)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class Rejected(Exception):
    """An item that was read correctly and cannot be used: not a failure, but a counted reason.

    Attributes:
        reason: one of `REASONS`.
        message: one sentence.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, _encodable(message))
        self.reason = reason
        self.message = _encodable(message)


def as_markdown() -> str:
    """All codes as a Markdown page."""
    lines = ["# Error codes", "", "`--json` and the records of a corpus have these codes."]
    for title, codes in (
        ("Errors", CODES),
        ("Reasons for rejection", REASONS),
        ("Warnings", WARNINGS),
    ):
        lines += ["", f"## {title}", "", "| code | meaning |", "|---|---|"]
        lines += [f"| `{code}` | {meaning} |" for code, meaning in codes.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(as_markdown(), encoding="utf-8")
