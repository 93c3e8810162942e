"""The process tree of `lockstep serve`."""
