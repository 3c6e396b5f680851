"""Files: the door to where they are kept."""
