"""What waits for the event loop, and what runs beside it."""
