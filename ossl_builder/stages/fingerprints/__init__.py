"""Fingerprints: hashes of a clip's music and video, by which shared material is found."""
