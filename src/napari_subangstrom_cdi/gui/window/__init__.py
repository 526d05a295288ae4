"""What the docks of one viewer share, and the manners of the window.

- ``controller``: the session, both canvases, and the timer that brings news from the thread
- ``presenter``: outputs of steps onto the canvases
- ``input_layers``: the layers that were chosen as inputs, remembered and watched
- ``activity``: what goes on, in napari's activity dock
- ``binding``: whether the Qt binding at hand can be relied on
- ``main_window``: what a window needs once a dock stands in it
- ``closing``: its end, and what an earlier one left behind: nothing is lost without a question
- ``asking``: the questions before something computed is lost
- ``opening``: docks by the names of napari's menu; a project opened
- ``layout``: where the docks stand
- ``preferences``: preferences, kept by napari
- ``atoms_view``: a model's atoms and facets in three dimensions
- ``launch``: napari with the plugin, from the command line
- ``bench_window``: how the window answers while a run streams into it
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controller": ["Controller"],
        "opening": ["find_dock", "open_dock", "open_project", "open_workflow"],
        "presenter": ["Presenter"],
    },
)
