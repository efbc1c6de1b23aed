"""Digits as in people's pictures: a clean one pasted at another size, position, colour and quality."""

import numpy as np
from PIL import Image, ImageFilter


def grey(picture):
    """Brightness of an RGB picture, rounded to bytes."""
    return np.asarray(Image.fromarray(picture).convert("L"))


def enlarged(digit, side):
    """A 28×28 digit, 0 paper to 255 ink, at side×side pixels."""
    return np.asarray(Image.fromarray(digit.reshape(28, 28)).resize((side, side), Image.Resampling.BICUBIC))


def cut(digit, margin, dark_on_light):
    """A 28×28 digit cut to its ink, with a margin of some pixels of paper."""
    picture = digit.reshape(28, 28)
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    sheet = np.pad(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], margin)
    return 255 - sheet if dark_on_light else sheet


def pasted(digit, random):
    """A 28×28 digit pasted at a random scale, 40 to 1,000 pixels, on random paper.

    Returns:
        An RGB picture, and whether it is dark on light.
    """
    side = round(np.exp(random.uniform(np.log(40), np.log(1000))))
    above, below, left, right = (side * random.uniform(0, 0.5, 4)).astype(int)
    sheet = Image.fromarray(np.pad(enlarged(digit, side), ((above, below), (left, right))))
    sheet = sheet.filter(ImageFilter.GaussianBlur(side * random.uniform(0, 0.02)))
    ink = np.asarray(sheet, np.float32)[..., None] / 255
    dark_on_light = random.random() < 0.5
    paper_colour, ink_colour = random.uniform(190, 255, 3), random.uniform(0, 80, 3)
    if not dark_on_light:
        paper_colour, ink_colour = 255 - paper_colour, 255 - ink_colour
    noise = random.normal(0, random.uniform(0, 10), (*ink.shape[:2], 1))
    picture = paper_colour + (ink_colour - paper_colour) * ink + noise
    return np.clip(np.round(picture), 0, 255).astype(np.uint8), dark_on_light


def lit(picture, random):
    """A picture in bytes, lit by one lamp beside it: half as bright in the darkest corner."""
    rows, columns = np.ogrid[0 : 1 : picture.shape[0] * 1j, 0 : 1 : picture.shape[1] * 1j]
    lamp_row, lamp_column = random.uniform(-0.2, 1.2, 2)
    distance = (rows - lamp_row) ** 2 + (columns - lamp_column) ** 2
    light = 1 - 0.5 * distance / distance.max()
    return np.round(picture * light.reshape(light.shape + (1,) * (picture.ndim - 2))).astype(np.uint8)
