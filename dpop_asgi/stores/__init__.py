"""State shared by all workers, behind one atomic operation: `put_if_absent`."""
