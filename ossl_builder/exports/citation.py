"""What to cite: the corpus that this program rebuilds."""

CITATION = """\
@inproceedings{kim2025ossl,
  title     = {Video-Guided Text-to-Music Generation Using Public Domain Movie Collections},
  author    = {Kim and Novack and Xu and McAuley and Dong},
  booktitle = {International Society for Music Information Retrieval Conference (ISMIR)},
  year      = {2025},
  note      = {arXiv:2506.12573}
}
"""
