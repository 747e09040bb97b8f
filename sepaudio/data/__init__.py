"""Manifests of recordings, and what is done to recordings before a network hears them."""
