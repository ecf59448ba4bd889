"""Pixels as the image processors of the families' libraries make them."""

import numpy
import torch


def transformers_pixels(processor, image):
    """Pixels (height x width x RGB, 0..255) and values ([3, height, width]) of an image processor of transformers."""
    plain = processor(image, do_normalize=False, do_rescale=False, return_tensors="np").pixel_values[0]
    values = processor(image, return_tensors="np").pixel_values[0]
    return plain.transpose(1, 2, 0).round(), values


def open_clip_pixels(settings, image):
    """The same by OpenCLIP's `image_transform_v2` for a dict of its settings."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    plain = image_transform_v2(PreprocessCfg(**settings | {"mean": (0, 0, 0), "std": (1, 1, 1)}), is_train=False)
    values = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    return (plain(image).numpy() * 255).round().transpose(1, 2, 0), values(image).numpy()


def immich_pixels(settings, image):
    """immich's rules: the longer side rounded down, the crop offset rounded down, values in 32 bits."""
    from PIL import Image

    side = settings["size"][0]
    resample = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[settings["interpolation"]]
    width, height = image.size
    if settings["resize_mode"] == "squash":
        image = image.resize((side, side), resample)
    else:
        scaled = (side, int(height / width * side)) if width < height else (int(width / height * side), side)
        image = image.resize(scaled, resample)
        left, top = int(scaled[0] / 2 - side / 2), int(scaled[1] / 2 - side / 2)
        image = image.crop((left, top, left + side, top + side))
    pixels = numpy.asarray(image, dtype=numpy.float32)
    mean, std = (numpy.array(settings[name], dtype=numpy.float32) for name in ("mean", "std"))
    return pixels, ((pixels / 255 - mean) / std).transpose(2, 0, 1)


def batch(values):
    return torch.as_tensor(numpy.ascontiguousarray(values), dtype=torch.float32)[None]
