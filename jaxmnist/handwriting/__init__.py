"""Anybody's picture of a digit to the 28×28 that MNIST would have made of it."""
