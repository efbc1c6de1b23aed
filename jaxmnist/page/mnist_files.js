// The reader's own MNIST: IDX files that are dropped onto the page.
