"""The one exception that a user may meet: a line that names the file and the remedy."""


class CarouselError(Exception):
    """Bad input from outside: a file, a flag, a take, a checkpoint.

    The message is one line. It names what is at fault and says what to do; commands print it and exit with status 2.
    """
