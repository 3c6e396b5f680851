"""The words every floor uses. Imports nothing of ours."""
