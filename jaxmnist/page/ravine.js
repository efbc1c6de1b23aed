// The ravine: gradient descent, momentum and Nesterov's method on a bowl of two variables.
