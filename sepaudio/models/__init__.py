"""One paper, one file: cfg, class and registered names. Models never import each other."""
