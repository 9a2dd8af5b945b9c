"""The world: settings, storage, executors, tracking, versions and servers."""
