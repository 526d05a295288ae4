"""The schedule as a table, with editors made from what constraints and rules declare."""
