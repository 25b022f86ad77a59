"""Fingerprints: hashes of a clip's music and video, to find material that clips share."""
