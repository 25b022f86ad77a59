"""What to cite: the corpora that this program rebuilds."""

CITATION = """\
@inproceedings{kim2025ossl,
  title     = {Video-Guided Text-to-Music Generation Using Public Domain Movie Collections},
  author    = {Kim and Novack and Xu and McAuley and Dong},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR)},
  year      = {2025},
  note      = {arXiv:2506.12573}
}
"""

CITATION_V2 = """\
@misc{kim2026ossl,
  title         = {Dialogue-aware video-to-music generation using public domain film collections},
  author        = {Kim and Novack and McAuley and Dong},
  year          = {2026},
  eprint        = {2608.11576},
  archivePrefix = {arXiv}
}
"""
