"""What can be asked of a trace: its messages, links, actors, paths, parts and differences."""
