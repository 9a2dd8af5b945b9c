"""Commands on which an option that takes one value can be given once. Light: `mixwright --help` imports it."""

import itertools
from collections.abc import Sequence

import click


class Once(click.Command):
    """A command that refuses an option given twice where it takes one value, and a value without a character.

    The second would replace the first unseen; an empty path (a variable that the shell does not know) is the folder here.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, after a look at which options stand there more than once, and which values are empty."""
        given, _, order = self.make_parser(ctx).parse_args(list(args))
        for parameter in dict.fromkeys(order):
            value = given.get(parameter.name or "")
            if value == "" or (isinstance(value, list | tuple) and "" in value):
                raise click.UsageError(f"{parameter.opts[0]} is given without a value: '' names nothing.", ctx)
        for option in dict.fromkeys(order):
            single = isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count)
            if single and order.count(option) > 1:
                values = _given(args, option.opts)
                raise click.UsageError(
                    f"{option.opts[0]} is given {order.count(option)} times: {' and '.join(values)}. It takes one; "
                    "put what you need into one, or name single values with --set where the command has it.",
                    ctx,
                )
        return super().parse_args(ctx, args)


class OnceGroup(click.Group):
    """A group whose commands are `Once`."""

    command_class = Once


def _given(args: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the values of an option among the words of a command line."""
    after = [value for word, value in itertools.pairwise(args) if word in names]
    joined = [word.partition("=")[2] for word in args if word.partition("=")[0] in names and "=" in word]
    return [*after, *joined]
