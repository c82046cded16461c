"""What is submitted to a cluster: one thin entry point for each kind of job."""
