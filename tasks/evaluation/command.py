"""What the command `mixwright evaluate` has beyond the plain command of a stage: a model of others."""

from tasks.runtime.command import StageExtras, instead_of

EXTRAS = StageExtras(
    options=(
        instead_of(
            "tokenize",
            "search",
            "train",
            name="model",
            folder=True,
            help="A model of others, put to the tasks alone: a Hugging Face folder or a GGUF file, in place of `--input`.",
        ),
    ),
)
