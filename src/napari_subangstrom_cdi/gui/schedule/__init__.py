"""The schedule as a table, with editors made from what constraints and rules declare.

- ``table``: one row a stage
- ``cells``: its columns and editors
- ``popups``: what opens over its cells: constraints, and parameters of a rule
- ``part_editor``: editors of the parameters of one constraint or rule
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"table": ["ScheduleTable"]},
)
