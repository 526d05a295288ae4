"""What napari asks the manifest for."""
