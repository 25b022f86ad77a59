"""The demo: excerpts of three real films, and the corpus that `ossl demo` builds from them."""
