"""A known crystal laid onto pattern and image."""
