"""scikit-learn's 8×8 digits, made like MNIST: the data set that needs no network."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxmnist.dataset import Dataset
from jaxmnist.handwriting.centre import centre


class SmallDigits(NamedTuple):
    """Digits as scikit-learn has them."""

    images: UInt8[np.ndarray, "n 8 8"]  # ink 0 to 16
    labels: UInt8[np.ndarray, "n"]


def load_digits_like_mnist() -> tuple[Dataset, Dataset]:
    """Load the 1,797 digits in a fixed split: 80 % for training, 20 % for testing."""
    train, test = (
        Dataset(jnp.asarray(np.stack([_like_mnist(image) for image in images])), jnp.asarray(labels))
        for images, labels in load_small_digits()
    )
    return train, test


def load_small_digits() -> tuple[SmallDigits, SmallDigits]:
    """Load the same split as scikit-learn has it: 8×8 pixels of ink 0 to 16."""
    from sklearn.datasets import load_digits  # here, since the import takes a second, and MNIST doesn't need it
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images, labels = images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.uint8)
    split = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    train_images, test_images, train_labels, test_labels = split
    return SmallDigits(train_images, train_labels), SmallDigits(test_images, test_labels)


def _like_mnist(image: UInt8[np.ndarray, "8 8"]) -> UInt8[np.ndarray, "784"]:
    """Fit an 8×8 digit of ink 0 to 16 into 20×20, with its centre of mass at the centre of 28×28, like MNIST's.

    Enlarging this much, Pillow's bicubic curves are smoother than the area means of `handwriting`.
    """
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(20 * side / max(ink.shape))) for side in ink.shape)
    grey = Image.fromarray(np.round(ink * (255 / 16)).astype(np.uint8))
    return centre(np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC)))
