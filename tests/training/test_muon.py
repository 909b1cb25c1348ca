import copy

import torch
from torch import nn

from fastnst.networks import TransformerNetwork
from fastnst.training.module import StyleTransferModule
from fastnst.training.muon import ROW_RATE, Muon, orthogonal


def test_orthogonal_keeps_the_singular_vectors_and_levels_the_values():
    for shape in ((6, 20), (20, 6), (5, 5)):
        direction = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        left, _, right = torch.linalg.svd(direction, full_matrices=False)
        levelled = left.T @ orthogonal(3.0 * direction) @ right.T
        values = levelled.diagonal()
        assert (levelled - torch.diag(values)).abs().max() < 1e-3
        assert values.min() > 0.3 and values.max() < 1.3


def test_vectors_step_as_torchs_adam_does():
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 7)), nn.Parameter(torch.linspace(-1, 1, 7))
    optimizers = Muon([ours], lr=0.03), torch.optim.Adam([theirs], lr=0.03)
    for step in range(5):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            (parameter.sin() * (step + 1)).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_kernels_first_step_is_orthogonal_and_of_adams_size():
    kernel = nn.Parameter(torch.zeros(4, 8, 3, 3).to(memory_format=torch.channels_last))
    gradient = torch.randn(4, 8, 3, 3, generator=torch.Generator().manual_seed(1))
    optimizer = Muon([kernel], lr=0.1)
    kernel.grad = gradient.clone()
    optimizer.step()
    assert torch.allclose(kernel, -0.1 * 0.2 * 72**0.5 * orthogonal(gradient.flatten(1)).view_as(kernel), atol=1e-6)


def test_the_kernels_of_single_channels_step_by_adam():
    depthwise = nn.Conv2d(4, 4, 3, groups=4)
    optimizer = Muon(depthwise.parameters(), lr=0.1)
    assert [len(group["params"]) for group in optimizer.param_groups] == [0, 2]


def test_the_rows_of_many_styles_step_further(monkeypatch):
    network = TransformerNetwork(width=4, residual_blocks=1, styles=3)
    module = StyleTransferModule(network, lambda stylized, content: stylized.mean(), steps=4, learning_rate=0.01,
                                 optimizer="muon")  # fmt: skip
    configured = module.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    monkeypatch.setattr(module, "lr_schedulers", lambda: scheduler)
    module.on_train_start()  # gives all groups the learning rate of the settings
    before = {name: value.clone() for name, value in network.named_parameters()}
    for value in network.parameters():
        value.grad = torch.ones_like(value)
    optimizer.step()
    for name, value in network.named_parameters():
        if value.ndim < 4:  # Adam's first step is the learning rate
            far = ROW_RATE * 0.01 if value.ndim == 2 else 0.01
            torch.testing.assert_close(value, before[name] - far, msg=name)
    assert len(Muon(TransformerNetwork(width=4).parameters(), 0.01).param_groups) == 2


def test_a_saved_state_goes_on_where_it_was():
    def one_step(kernel, optimizer, seed):
        kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(seed))
        optimizer.step()

    kernel = nn.Parameter(torch.ones(2, 3, 1, 1))
    optimizer = Muon([kernel], lr=0.1)
    one_step(kernel, optimizer, 0)
    other = nn.Parameter(kernel.detach().clone())
    resumed = Muon([other], lr=0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    one_step(kernel, optimizer, 1)
    one_step(other, resumed, 1)
    assert torch.equal(kernel, other)
