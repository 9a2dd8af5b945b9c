"""What the manifest of the train stage says first: how large its runs are, what they cost, and the losses they end with."""

from collections.abc import Sequence

from tasks.tokenize.pool import TokenPool
from tasks.training.model_size import num_flops, num_parameters
from tasks.training.multi_token.cost import num_further_parameters
from tasks.training.multi_token.predictor import all_shapes
from tasks.training.optimizers.kinds import state_bytes
from tasks.training.params import TrainParams
from tasks.training.published import TrainedRun
from tasks.training.static_mask import flops_if_sparse


def summary_of(params: TrainParams, pool: TokenPool, runs: Sequence[TrainedRun]) -> dict[str, object]:
    """Return the summary of runs of one config."""
    training, vocab_size = params.training, pool.vocab_size
    parameters, body = num_parameters(training.model, vocab_size)
    shapes = all_shapes(training.multi_token, training.model, vocab_size)
    further = {} if training.multi_token is None else {"parameters_for_training_only": num_further_parameters(training)}
    in_theory = {"flops_per_run_if_sparse": flops_if_sparse(training, vocab_size)} if training.static_mask else {}
    return {
        "parameters": parameters,
        "parameters_outside_embedding": body,
        **further,
        "optimizer_state_bytes": state_bytes(training.optimizer.method, shapes),
        "tokens_per_run": training.num_tokens,
        "flops_per_run": num_flops(training, vocab_size),
        **in_theory,
        "runs": len(runs),
        "final_loss": {run.name: run.final_loss for run in runs},
    }
