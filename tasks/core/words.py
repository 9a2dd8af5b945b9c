"""Numbers as they are said in terminals, reports and errors: never rounded to a value that is not meant."""


def percent(share: float) -> str:
    """Return a share or a confidence in percent with all its digits, as few as there are.

    >>> percent(0.95), percent(0.9999), percent(0.975)
    ('95%', '99.99%', '97.5%')
    """
    return f"{100 * share:.10g}%"


def signed(value: float, digits: int = 4) -> str:
    """Return a difference with its sign; what is not zero never reads as zero.

    >>> signed(0.01), signed(-0.00002), signed(0.0)
    ('+0.0100', '-2.0e-05', '+0.0000')
    """
    rounds_to_zero = value != 0 and abs(value) < 0.5 * 10**-digits
    return f"{value:+.1e}" if rounds_to_zero else f"{value:+.{digits}f}"


def counted(number: int, what: str) -> str:
    """Return how many there are of a thing, in the plural where they are not one.

    >>> counted(1, "paired seed"), counted(3, "paired seed")
    ('1 paired seed', '3 paired seeds')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
