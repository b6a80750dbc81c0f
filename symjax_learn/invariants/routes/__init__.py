"""The routes to the invariant functions, one file each."""
