"""What the docks of one viewer share, and the manners of the window."""
