"""From two raw records to one centred pattern."""
