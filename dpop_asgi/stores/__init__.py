"""What all workers must agree on, behind one verb: `put_if_absent`."""
