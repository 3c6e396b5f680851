"""The root fields: one file per noun, each input → service → payload. ``loaders`` is behind every edge."""
