"""What a command's end tells the shell, beside 0."""

BAD_INPUT = 2
"""What the user can mend: an option, the data, a file or folder."""
NOT_LEARNING = 3
"""A run that diverges or doesn't learn."""
INTERRUPTED = 75
"""A run that was stopped and can be resumed: BSD's EX_TEMPFAIL, try again later."""
STOPPED, READER_LEFT = 130, 141
"""Ended by SIGINT or SIGPIPE: 128 + the signal's number, as in a shell."""
