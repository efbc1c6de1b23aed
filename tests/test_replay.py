from functools import partial

import jax
import pytest
from comparing import same_bits
from small_data import small_splits

from jaxmnist.config import Config
from jaxmnist.dataset import take
from jaxmnist.studies.replay import after_epochs, after_steps, check_moment
from jaxmnist.training import make_optimizer, plan_epoch, train, train_epoch, train_steps

CONFIG = Config(sizes=(784, 3, 10), batch_size=20, epochs=3)  # 12 steps an epoch
KEY = jax.random.key(5)


@pytest.mark.parametrize(
    ("config", "moments"),
    [
        (CONFIG, (0, 5, 12)),
        pytest.param(CONFIG, (1, 11), marks=pytest.mark.slow),
        pytest.param(Config((784, 4, 10), epochs=3, augmentation="jitter"), (0, 1, 3, 7), marks=pytest.mark.slow),
    ],
)
def test_every_step_of_an_epoch_leads_to_its_end_bit_for_bit(config, moments):
    train_set, calls = small_splits().train, []
    state = after_epochs(KEY, train_set, config, 1, lambda: calls.append(1))
    assert calls == [1]
    end, _ = train_epoch(state, train_set, config)
    assert same_bits(after_epochs(KEY, train_set, config, 2), end)
    resolved = config.resolved(240)
    examples, order = plan_epoch(jax.random.split(state.key)[1], train_set, resolved)
    steps = len(order)
    optimizer = make_optimizer(resolved, 3 * steps)
    rest = jax.jit(partial(train_steps, config=resolved, optimizer=optimizer))
    for step in moments:
        middle = after_steps(state, train_set, config, step)
        assert same_bits((middle.key, middle.epoch), (state.key, state.epoch))
        assert same_bits(middle.params, state.params) == (step == 0)
        last = rest(middle, take(examples, order[step:]))[0] if step < steps else middle
        assert same_bits((last.params, last.optimizer_state), (end.params, end.optimizer_state))


@pytest.mark.slow
def test_all_epochs_are_the_whole_run():
    splits = small_splits()
    whole, _ = train(KEY, splits.train, splits.test, CONFIG)
    assert same_bits(after_epochs(KEY, splits.train, CONFIG, 3), whole)


@pytest.mark.parametrize(
    ("epoch", "step", "said"),
    [
        (4, 0, "epoch=4: expected 0 to 3"),
        (-1, 0, "epoch=-1"),
        (0, 13, "step=13: expected 0 to 12"),
        (1, -1, "step=-1"),
        (3, 1, "step=1: the run ends after epoch 3"),
    ],
)
def test_there_is_no_other_moment(epoch, step, said):
    check_moment(CONFIG.resolved(240), 240, 3, 0)
    check_moment(CONFIG.resolved(240), 240, 2, 12)
    with pytest.raises(ValueError, match=said):
        check_moment(CONFIG.resolved(240), 240, epoch, step)
