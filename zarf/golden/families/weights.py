"""Random weights under which every part of a tower matters: a test of equal vectors would not cover it otherwise."""

import torch


def randomise(model, seed=7, gain=1.4):
    """Also biases, norms and statistics get values; the same on every machine."""
    generator = torch.Generator().manual_seed(seed)

    def noise(tensor):
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "logit" in name:
                continue
            if "gamma" in name or "layer_scale" in name:
                weight.copy_(0.5 + 0.2 * noise(weight))
            elif weight.ndim <= 1:
                scale = name.endswith("weight")
                weight.copy_(float(scale) + 0.2 * noise(weight))
            elif any(part in name.lower() for part in ("embed", "position", "token", "probe", "latent", "shared")) \
                    and "patch" not in name:
                weight.copy_(0.6 * noise(weight))
            elif any(part in name for part in ("attn", "attention")):
                # Enough attention that the row that is read depends on the others.
                weight.copy_(1.7 * gain * noise(weight) / weight[0].numel() ** 0.5)
            else:
                weight.copy_(gain * noise(weight) / weight[0].numel() ** 0.5)
        for name, buffer in sorted(model.named_buffers()):
            if name.endswith("running_mean"):
                buffer.copy_(0.2 * noise(buffer))
            elif name.endswith("running_var"):
                buffer.copy_(1 + 0.3 * noise(buffer).abs())
    return model.eval()
