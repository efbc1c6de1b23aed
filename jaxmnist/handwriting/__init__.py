"""Anybody's picture of a digit to the 28×28 that MNIST would have made of it.

`decode` reads the file, `segment` takes steps 1 to 5 (2 in `light`; 5's printed things in `printed`, `boxes`, `lines`),
`normalise` 6 to 9 (9 in `centre`), and `doubts` says what makes a reading of the result doubtful.

MNIST's makers (LeCun, Cortes and Burges) took a scan in black and white, fitted the digit into 20×20 pixels with its
aspect kept, which by averaging left shades of grey, and put its centre of mass at the centre of 28×28. In a picture
from elsewhere, paper and ink must be separated first. The steps, in plain arithmetic that is the same in any language
(⌊x⌋ rounds down, and the median of an even number of values is the mean of the middle two):

1. **Shrink.** With k the smallest whole number that leaves at most 400 pixels on a side and 40,000 in all, average
   blocks of k×k pixels. A side that k doesn't divide is first extended by copies of its last pixels. Brightness g is
   in [0, 1].
2. **Paper.** Shrink g once more, to cells, at most 32 on a side, with centres (y, x) measured from the middle in units
   of the longer side. Fit a plane through the cells by least squares. If the cubes of the residuals sum to less than
   0, the few cells that stand out are dark: dark ink on light paper, and p = g. Otherwise p = 1 − g. The cells along
   the edge don't count in this sum if there are others, because even a picture cut to its ink has mostly paper there.
   The paper's brightness is then the surface a + b y + c x + d y² + e y x + f x² that minimises Σ w |p − surface| over
   the cells, with w = 0.6 for cells above it and 0.4 below, by 12 rounds of weighted least squares: from weights of 1,
   then w / max(|residual of the last round|, 1/255). Ink bends it no more than outliers bend a median, and it follows
   a lamp's uneven light, which is smooth. But where ink fills the picture it would follow the ink. So even light is
   preferred: with e the ⌈¾ n⌉-th smallest of the n cells of p, the paper's brightness is e everywhere unless the
   ⌈¼ n⌉-th smallest of |p − surface| is less than that of |p − e|.
   Shadows and flashes are levelled too. *Closing* takes the largest value in a window around each pixel, then the
   smallest of those: what is narrower than the window and dark vanishes. Light is uneven, in pictures of at
   least 32 pixels, if smoothing the cells (a Gaussian of 0.1 sides) leaves more than 0.28 of their variance, and the
   98 % quantile of the closed cells (by 0.3 sides) is 1.12 to 12 times the 15 % quantile of those along the edge.
   Then ink is dark if Σ r³ / Σ |r|³ of two r sum to less than 0, r = (g − s) / (s (1 − s)) with g in at most 100
   cells a side, less a tenth at every edge, and s, limited to [0.05, 0.95], first a Gaussian smoothing of g by 0.07
   sides, then the surface above with weights of 1. If p / surface is uneven too, the surface is multiplied by it,
   averaged over 3×3, and closed by 0.3 sides with a square and with a diamond, whichever is darker, and then by the
   median of p / surface.
3. **Ink** is the share of the paper's light that is missing: (surface − p) / max(surface, 0.05).
4. **Noise.** The contrast is the largest mean of 3×3 pixels, the edge extended by copies. σ, the noise's standard
   deviation if it is normal, is 1.048 × the median of |difference| of neighbours in a row. Neighbours of which one has
   more ink than 0.7 × contrast don't count: small pictures are full of strokes' edges, which aren't noise. The picture
   is blank if the contrast is below 0.05, and all noise if it is below 5 σ.
5. **Strokes.** A pixel belongs to a stroke if its ink is above max(0.3 × contrast, 4 σ). In pictures of at least 32
   pixels, what is printed is dropped, if other strokes are left. It is looked for in ink above max(0.2 × contrast, 4 σ)
   because faint print is less broken there. *Boxes*: walls, dashes bridged, around a region that fills its rectangle
   (tilted by up to 5°) to 0.93, with a stroke inside; up to two sides may lie beyond the picture. *Edges*: what covers
   0.4 of an edge or a corner, if something as long as 8 pixels touches no edge. *Rules*: straight lines from edge to
   edge, or level ones 1.2 times as long as anything that doesn't touch them is high, or, where a digit touches them,
   longer than it on both sides by 0.3 of its height (0.6 if they are as thick as its pen). *Ticks* of a comb: at least
   two upright strokes on such a level line, as thin as it, as high as each other, and lower than the digits, of which
   there is at most one more than of ticks; the line is three times as long as they are high. Where a digit crosses a
   line, the crossing stays. *Marks*: strokes near an edge, smaller than 0.4 of the largest and half of that away from
   it. `boxes` and `printed` have every detail; in a drawing without print this step changes nothing. Of the connected
   strokes (eight neighbours) those with less than 1/20 of the largest one's pixels are specks, and dropped. `split`
   goes through the strokes by their left ends: one that shares at least half the columns of the narrower of the two
   with the group so far joins it, and any other starts the next group. More than 20 groups are all noise.
6. **Crop** to the strokes' box. From every pixel subtract 2 × 1.4826 × the median of |ink| over all pixels in no
   stroke or speck, which is what is left of the paper; what falls below 0 becomes 0. The strokes' length is π/8 ×
   the number of edges between pixels inside and outside them; above 6 × the box's longer side it is all noise.
7. **Fit** into 20×20: the longer side 20, the shorter ⌊20 short/long + ½⌋ but at least 1, each pixel the mean over
   the area that it covers. A pen finer than MNIST's, less than 1.5 of these 20 pixels wide (the strokes' area /
   length), is fitted into 18×18 instead and softened to 20×20 by weights of ¼, ½, ¼ along both axes, which makes it
   about 2 pixels wide.
8. **Contrast.** Scale so that the median of the pixels above half of the largest becomes 1, cut off there, and make
   bytes, ⌊255 v + ½⌋.
9. **Centre.** Move by whole pixels until the centre of mass is within half a pixel of row 14 and column 14, counted
   from 0: with S the sum of all bytes and M that of row × byte, the top row goes to ⌊(29 S − 2 M) / 2 S⌋, limited
   so that the digit stays inside; the left column likewise.
"""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxmnist.handwriting.decode import read_file
from jaxmnist.handwriting.normalise import normalise


def read(path: str | Path) -> UInt8[np.ndarray, "784"]:
    """Read a picture of one digit as what MNIST would have made of it; `metrics.predict` says which digit it is.

    Raises:
        ValueError: if it isn't a picture that can be read, is blank or all noise; names the file.
    """
    grey = read_file(Path(path))
    try:
        return normalise(grey).image
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from problem
