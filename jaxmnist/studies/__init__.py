"""What is measured of networks and optimizers: each study is pure, and returns its numbers."""
