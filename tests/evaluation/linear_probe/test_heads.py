import numpy as np
import torch

from emotionnet_hf.evaluation.linear_probe.heads import LinearHead


def test_scores_are_the_softmax_of_a_linear_layer():
    torch.manual_seed(0)
    layer, features = torch.nn.Linear(5, 3), torch.randn(9000, 5)
    head = LinearHead(layer.weight.detach(), layer.bias.detach())
    expected = layer(features).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(head.scores(features), expected, atol=1e-6)
    rows = np.array([7, 7, 0])
    np.testing.assert_allclose(head.scores(features, rows), expected[rows], atol=1e-6)
