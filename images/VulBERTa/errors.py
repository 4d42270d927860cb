"""The error of data that cannot be used."""


class DataError(SystemExit):
    """Data that is missing or not what its format says; the text names the file and the mend."""
