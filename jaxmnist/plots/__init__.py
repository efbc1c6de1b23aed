"""The pictures: values in, figures out; the only place that draws. One module for each command's pictures."""
