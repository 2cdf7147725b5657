import torch

from actmax.models.spaces import Categorical
from actmax.optimizers.optimizer import Evaluations, Problem
from actmax.optimizers.random_search import RandomSearch


def test_shows_the_whole_bank_before_any_latent_again() -> None:
    bank = torch.arange(10)[:, None]
    optimizer = RandomSearch(Problem(Categorical((1,), 10), 0, bank=bank), RandomSearch.Options(batch=4))
    shown = []
    for _ in range(5):
        latents = optimizer.ask()
        shown.append(latents)
        optimizer.tell(Evaluations(latents, torch.zeros(4).double()))
    first, second = torch.cat(shown)[:, 0].split(10)
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(10))
    assert first.tolist() != second.tolist()
