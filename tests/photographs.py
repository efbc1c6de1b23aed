"""Photographs and scans of one digit on paper, with what else is in real ones: light, printed lines, edges.

Every kind varies widely: size, place, pen, darkness, blur, noise and JPEG's quality.
"""

import io
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

CURVES = {  # control points of every digit's strokes, x to the right and y down, in a box of 1 × 1; corners are rounded
    0: [[(0.5, 0), (0.1, 0.05), (0, 0.5), (0.1, 0.95), (0.5, 1), (0.9, 0.95), (1, 0.5), (0.9, 0.05), (0.5, 0)]],
    1: [[(0.5, 0), (0.48, 0.5), (0.5, 1)]],
    2: [[(0.05, 0.25), (0.15, 0), (0.6, -0.03), (0.95, 0.1), (0.9, 0.45), (0.4, 0.75), (0, 1)], [(0, 1), (1, 0.98)]],
    3: [[(0.05, 0.12), (0.3, -0.05), (0.95, 0), (0.95, 0.4), (0.35, 0.48)],
        [(0.35, 0.48), (1.02, 0.5), (1.05, 0.98), (0.4, 1.05), (0, 0.88)]],
    4: [[(0.6, 0), (0, 0.6)], [(0, 0.6), (1, 0.58)], [(0.75, 0.25), (0.7, 1)]],
    5: [[(0.95, 0), (0.15, 0.02)], [(0.15, 0.02), (0.1, 0.45)],
        [(0.1, 0.45), (0.4, 0.35), (1, 0.4), (1, 0.95), (0.4, 1.05), (0, 0.88)]],
    6: [[(0.7, 0), (0.2, 0.2), (-0.05, 0.7), (0.1, 1), (0.6, 1.05), (0.95, 0.85), (0.85, 0.5), (0.4, 0.5), (0.08, 0.75)]],  # noqa: E501
    7: [[(0, 0.02), (1, 0)], [(1, 0), (0.5, 0.5), (0.35, 1)]],
    8: [[(0.5, 0.48), (0.05, 0.35), (0.1, 0), (0.5, -0.03), (0.9, 0), (0.95, 0.35), (0.5, 0.48), (-0.05, 0.65), (0.05, 1),  # noqa: E501
         (0.5, 1.03), (0.95, 1), (1.05, 0.65), (0.5, 0.48)]],
    9: [[(0.95, 0.2), (0.7, -0.05), (0.1, 0), (0.02, 0.45), (0.5, 0.55), (0.9, 0.4), (0.95, 0.15)], [(0.95, 0.15), (0.85, 1)]],  # noqa: E501
}  # fmt: skip
PENS = {"thin": (0.045, 0.08), "thick": (0.12, 0.17)}
"""Width of the strokes, in heights of the digit."""


def written(label, pen, random):
    """A digit drawn by strokes: ink from 0 to 1, about 320 pixels high, cut to its box."""
    height, width = 320, 320 * random.uniform(0.45, 0.75)
    thickness = random.uniform(*PENS[pen]) * height
    slant, turn = random.uniform(-0.05, 0.25), random.uniform(-0.08, 0.08)
    bend = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ [[1, -slant], [0, 1]]
    sheet = Image.new("L", (900, 900))
    draw = ImageDraw.Draw(sheet)
    for points in CURVES[label]:
        line = np.array(points) + random.normal(0, 0.02, (len(points), 2))
        for _ in range(4 if len(points) > 2 else 0):  # Chaikin's corner cutting
            inner = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], 1).reshape(-1, 2)
            line = np.vstack([line[:1], inner, line[-1:]])
        line = ((line - 0.5) * [width, height]) @ bend.T + 450
        for x, y in line:
            draw.ellipse([x - thickness / 2, y - thickness / 2, x + thickness / 2, y + thickness / 2], fill=255)
        draw.line([tuple(point) for point in line], fill=255, width=round(thickness))
    return _cut(np.asarray(sheet) / 255)


def rewritten(digit, pen):
    """One of MNIST's 28×28 digits in another pen: ink from 0 to 1, about 320 pixels high, cut to its box."""
    large = np.asarray(Image.fromarray(digit.reshape(28, 28)).resize((448, 448), Image.Resampling.BICUBIC)) / 255
    large = ndimage.gaussian_filter(large, 6)
    ink = large > (0.3 if pen == "thick" else min(0.6, 0.75 * large.max()))
    return _cut(ndimage.gaussian_filter(ink.astype(float), 1.5))


def _cut(ink):
    rows, columns = np.flatnonzero((ink > 0.3).any(axis=1)), np.flatnonzero((ink > 0.3).any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class Scene:
    """A sheet of paper on which is written and printed, then lit, then photographed."""

    def __init__(self, random, digits, shape=None, height=None):
        self.random = random
        side = np.exp(random.uniform(np.log(90), np.log(800)))
        self.shape = shape or tuple(np.array([side, side * random.uniform(0.75, 1.3)]).astype(int))
        smaller = min(self.shape)
        self.height = (height or random.uniform(0.3, 0.6)) * smaller  # of a digit, in pixels
        self.paper, self.dark = random.uniform(0.75, 1), random.uniform(0.55, 0.95)
        self.ink = np.zeros(self.shape)
        self.print = np.zeros(self.shape)  # share of the light that printed lines take
        self.light = np.ones(self.shape)
        self.y, self.x = np.mgrid[0 : 1 : self.shape[0] * 1j, 0 : 1 : self.shape[1] * 1j]
        self.boxes = []
        self.digits = digits

    def write(self, digit, middle_y, middle_x, height=None):
        """Write a digit around a place, in shares of the picture; returns its box in pixels."""
        scale = (height or self.height) / digit.shape[0]
        if digit.shape[1] * scale > 1.1 * (height or self.height):
            scale = 1.1 * (height or self.height) / digit.shape[1]
        rows, columns = (max(2, round(side * scale)) for side in digit.shape)
        small = np.asarray(Image.fromarray(np.float32(digit)).resize((columns, rows), Image.Resampling.BOX))
        top = round(middle_y * self.shape[0] - rows / 2)
        left = round(middle_x * self.shape[1] - columns / 2)
        inside = np.zeros(self.shape)
        first, start = max(top, 0), max(left, 0)
        end, stop = min(top + rows, self.shape[0]), min(left + columns, self.shape[1])
        inside[first:end, start:stop] = small[first - top : end - top, start - left : stop - left]
        self.ink = np.maximum(self.ink, np.clip(inside, 0, 1))
        self.boxes.append((top, left, top + rows, left + columns))
        return self.boxes[-1]

    def somewhere(self, margin=0.12):
        """Write the digit somewhere inside a margin."""
        (digit,) = self.digits
        share = np.array([self.height, self.height * min(1.1, digit.shape[1] / digit.shape[0])]) / self.shape / 2
        places = [
            self.random.uniform(margin + half, 1 - margin - half) if margin + half < 0.5 else 0.5 for half in share
        ]
        return self.write(digit, *places)

    def lines(self, lines, width, dark, dash=0.0, rounded=0.0):
        """Print straight lines, as pairs of (x, y) in pixels; dashes and rounded corners if asked for."""
        scale = 3
        sheet = Image.new("L", (self.shape[1] * scale, self.shape[0] * scale))
        draw = ImageDraw.Draw(sheet)
        for start, end in lines:
            start, end = np.array(start, float), np.array(end, float)
            length = np.hypot(*(end - start))
            cuts = [(0, length)]
            if dash:
                cuts = [(at, min(at + 0.6 * dash, length)) for at in np.arange(0, length, dash)]
            if rounded:
                cuts = [(rounded, length - rounded)]
            way = (end - start) / max(length, 1e-9)
            for first, last in cuts:
                one, two = (start + way * first) * scale, (start + way * last) * scale
                draw.line([*one, *two], fill=255, width=max(1, round(width * scale)))
                for x, y in () if dash else (one, two):
                    half = width * scale / 2
                    draw.ellipse([x - half, y - half, x + half, y + half], fill=255)
        mask = np.asarray(sheet.resize((self.shape[1], self.shape[0]), Image.Resampling.BOX)) / 255
        self.print = np.maximum(self.print, mask * dark)

    def rectangle(self, top, left, bottom, right, width, dark, tilt=0.0, dash=0.0, rounded=0.0, sides=(0, 1, 2, 3)):
        """Print a box; `tilt` in radians around its middle."""
        middle = np.array([(left + right) / 2, (top + bottom) / 2])
        turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        corners = [turn @ (np.array(corner) - middle) + middle
                   for corner in ((left, top), (right, top), (right, bottom), (left, bottom))]  # fmt: skip
        self.lines([(corners[side], corners[(side + 1) % 4]) for side in sides], width, dark, dash, rounded)
        for side in sides if rounded else ():  # a corner's arc
            middle = corners[side] + sum(
                rounded * (corners[(side + step) % 4] - corners[side]) / np.hypot(*(corners[(side + step) % 4] - corners[side]))  # noqa: E501
                for step in (1, 3))  # fmt: skip
            at = np.linspace(0, np.pi / 2, 9) + np.pi + side * np.pi / 2 + tilt
            arc = [middle + rounded * np.array([np.cos(one), np.sin(one)]) for one in at]
            self.lines(list(pairwise(arc)), width, dark)

    def pen(self):
        """Width and darkness of a printed line."""
        width = max(1.0, self.random.uniform(0.012, 0.05) * self.height)
        return width, self.random.uniform(0.3, 0.95)

    def taken(self, least_noise=0.0, quality=None):
        """The photograph: paper, ink and light through lens, sensor and JPEG; bytes."""
        random = self.random
        colour = self.paper * (1 - self.print) * (1 - self.dark * self.ink)
        seen = np.clip(ndimage.gaussian_filter(colour * self.light, min(self.shape) * random.uniform(0, 0.003)), 0, 1)
        seen = seen * 255 + random.normal(0, max(least_noise, random.uniform(0, 4)), self.shape)
        picture = Image.fromarray(np.uint8(np.clip(np.round(seen), 0, 255)))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality or int(random.integers(60, 96)))
        return np.asarray(Image.open(file))


def _step(distance, softness):
    return 1 / (1 + np.exp(np.clip(-distance / softness, -50, 50)))


def _shadow(scene, softness, depth):
    """A hand's shadow: half a plane, or a round one that reaches in from an edge."""
    random = scene.random
    angle = random.uniform(0, 2 * np.pi)
    along = (scene.x - 0.5) * np.cos(angle) + (scene.y - 0.5) * np.sin(angle)
    if random.random() < 0.5:
        distance = along - random.uniform(-0.25, 0.25)
    else:
        middle = 0.5 + 0.6 * np.array([np.cos(angle), np.sin(angle)])
        distance = random.uniform(0.3, 0.6) - np.hypot(scene.x - middle[0], scene.y - middle[1])
    scene.light *= 1 - depth * _step(distance, softness)


def clean(scene):
    scene.somewhere()


def soft_shadow(scene):
    scene.somewhere()
    _shadow(scene, scene.random.uniform(0.04, 0.12), scene.random.uniform(0.3, 0.65))


def sharp_shadow(scene):
    scene.somewhere()
    _shadow(scene, scene.random.uniform(0.008, 0.04), scene.random.uniform(0.3, 0.65))


def two_shadows(scene):
    scene.somewhere()
    for _ in range(2):
        _shadow(scene, scene.random.uniform(0.03, 0.1), scene.random.uniform(0.25, 0.5))


def lamp_and_shadow(scene):
    scene.somewhere()
    slope = scene.random.uniform(-0.5, 0.5, 2)
    scene.light *= 0.75 + slope[0] * (scene.x - 0.5) + slope[1] * (scene.y - 0.5)
    _shadow(scene, scene.random.uniform(0.03, 0.1), scene.random.uniform(0.3, 0.55))


def flash(scene):
    scene.somewhere()
    scene.light *= scene.random.uniform(0.3, 0.65)
    y, x = scene.random.uniform(0, 1, 2)
    radius = scene.random.uniform(0.08, 0.3)
    scene.light += scene.random.uniform(0.35, 0.7) * np.exp(
        -((scene.x - x) ** 2 + (scene.y - y) ** 2) / (2 * radius**2)
    )


def vignette(scene):
    scene.somewhere()
    distance = (scene.x - 0.5) ** 2 + (scene.y - 0.5) ** 2
    scene.light *= 1 / (1 + scene.random.uniform(0.5, 3) * distance) ** 2


def _around(scene, least=0.15, most=0.6):
    """A box around the digit with room in heights of it on every side."""
    top, left, bottom, right = scene.boxes[-1]
    rooms = scene.random.uniform(least, most, 4) * scene.height
    if right - left < bottom - top:  # a box isn't narrower than the widest digit
        rooms[1::2] += (bottom - top - right + left) * 0.4
    return top - rooms[0], left - rooms[1], bottom + rooms[2], right + rooms[3]


def _boxed(scene, **options):
    scene.height *= 0.8
    scene.write(scene.digits[0], *scene.random.uniform(0.45, 0.55, 2))
    scene.rectangle(*_around(scene), *scene.pen(), **options)


def box(scene):
    _boxed(scene)


def tilted_box(scene):
    _boxed(scene, tilt=scene.random.uniform(-0.07, 0.07))


def rounded_box(scene):
    _boxed(scene, rounded=scene.height * scene.random.uniform(0.08, 0.25))


def dashed_box(scene):
    _boxed(scene, dash=scene.height * scene.random.uniform(0.06, 0.15))


def thick_box(scene):
    scene.height *= 0.8
    scene.write(scene.digits[0], *scene.random.uniform(0.45, 0.55, 2))
    scene.rectangle(
        *_around(scene, 0.25), scene.height * scene.random.uniform(0.06, 0.14), scene.random.uniform(0.3, 0.95)
    )


def touched_box(scene):
    scene.height *= 0.8
    top, left, bottom, right = scene.write(scene.digits[0], *scene.random.uniform(0.45, 0.55, 2))
    edges = list(_around(scene))
    side = scene.random.choice(4, p=[0.35, 0.15, 0.35, 0.15])
    edges[side] = (top, left, bottom, right)[side] + (1, 1, -1, -1)[side] * scene.random.uniform(
        -0.01, 0.05
    ) * scene.height
    scene.rectangle(*edges, *scene.pen())


def tight_box(scene):
    """A square box as large as the digit, which so touches two sides or more."""
    scene.height *= 0.8
    top, left, bottom, right = scene.write(scene.digits[0], *scene.random.uniform(0.45, 0.55, 2))
    half = max(bottom - top, right - left) * scene.random.uniform(0.49, 0.54)
    y, x = (top + bottom) / 2, (left + right) / 2
    scene.rectangle(y - half, x - half, y + half, x + half, *scene.pen(), tilt=scene.random.uniform(-0.04, 0.04))


def partial_box(scene):
    scene.height *= 0.9
    scene.write(scene.digits[0], *scene.random.uniform(0.45, 0.55, 2))
    edges = np.array(_around(scene))
    sides = scene.random.choice([0, 1, 2, 3], 2, replace=False)
    for side in sides[: scene.random.integers(1, 3)]:  # these lie outside of the picture
        edges[side] = (-9, -9, scene.shape[0] + 9, scene.shape[1] + 9)[side]
    scene.rectangle(*edges, *scene.pen())


def neighbours(scene):
    """The middle box of a comb; the neighbours are empty and partly seen."""
    scene.height *= 0.8
    scene.write(scene.digits[0], 0.5, 0.5)
    top, left, bottom, right = _around(scene, 0.15, 0.3)
    width, dark = scene.pen()
    far = scene.shape[1] + 9
    scene.lines([((-9, top), (far, top)), ((-9, bottom), (far, bottom)), ((left, top), (left, bottom)),
                 ((right, top), (right, bottom))], width, dark)  # fmt: skip


def frame(scene):
    scene.somewhere(0.15)
    rows, columns = scene.shape
    width = max(1, scene.random.uniform(0.008, 0.05) * min(scene.shape))
    inset = scene.random.choice([0, scene.random.uniform(0.01, 0.07)]) * min(scene.shape) + width / 2
    scene.rectangle(inset, inset, rows - 1 - inset, columns - 1 - inset, width, scene.random.uniform(0.3, 0.95))


def tilted_frame(scene):
    scene.somewhere(0.2)
    rows, columns = scene.shape
    inset = 0.07 * min(scene.shape)
    width = max(1, scene.random.uniform(0.008, 0.04) * min(scene.shape))
    scene.rectangle(inset, inset, rows - 1 - inset, columns - 1 - inset, width, scene.random.uniform(0.3, 0.95),
                    tilt=scene.random.uniform(-0.05, 0.05))  # fmt: skip


def scan_edge(scene):
    scene.somewhere(0.15)
    for side in scene.random.choice(4, scene.random.integers(1, 3), replace=False):
        reach = scene.random.uniform(0.01, 0.1)
        depth = (scene.y, scene.x, 1 - scene.y, 1 - scene.x)[side]
        crooked = scene.random.uniform(0, 0.03) * (scene.x if side % 2 == 0 else scene.y)
        scene.light *= 1 - scene.random.uniform(0.6, 0.97) * _step(reach + crooked - depth, 0.003)


def desk(scene):
    """A tilted sheet: the desk shows along an edge or at a corner."""
    scene.somewhere(0.22)
    angle = scene.random.uniform(0, 2 * np.pi)
    along = (scene.x - 0.5) * np.cos(angle) + (scene.y - 0.5) * np.sin(angle)
    reach = np.abs(along).max() - scene.random.uniform(0.05, 0.2)
    scene.light *= 1 - scene.random.uniform(0.4, 0.9) * _step(along - reach, 0.004)


def page_edge(scene):
    """The next sheet: a thin dark line where the paper ends, and a little less light beyond."""
    scene.somewhere(0.2)
    side = scene.random.integers(4)
    depth = (scene.y, scene.x, 1 - scene.y, 1 - scene.x)[side] + scene.random.uniform(-0.03, 0.03) * (scene.x + scene.y)
    reach = scene.random.uniform(0.05, 0.14)
    scene.light *= 1 - scene.random.uniform(0.3, 0.8) * np.exp(-(((depth - reach) / 0.008) ** 2))
    scene.light *= 1 - scene.random.uniform(0.05, 0.2) * _step(reach - depth, 0.005)


def rule_below(scene):
    _rule(scene, scene.random.uniform(0.08, 0.3))


def rule_above(scene):
    _rule(scene, -scene.random.uniform(0.08, 0.3))


def rule_touched(scene):
    _rule(scene, scene.random.uniform(-0.03, 0.02))


def _rule(scene, room):
    top, left, bottom, right = scene.somewhere(0.2)
    at = bottom + room * scene.height if room > -0.05 else top + room * scene.height
    whole = scene.random.random() < 0.5
    start = -9 if whole else left - scene.random.uniform(0.3, 0.7) * scene.height
    end = scene.shape[1] + 9 if whole else right + scene.random.uniform(0.3, 0.7) * scene.height
    tilt = scene.random.uniform(-0.03, 0.03) * (end - start)
    scene.lines([((start, at - tilt / 2), (end, at + tilt / 2))], *scene.pen())


def ruled_paper(scene):
    scene.somewhere(0.1)
    gap = scene.random.uniform(0.5, 1.3) * scene.height
    width, dark = max(1, 0.015 * scene.height), scene.random.uniform(0.1, 0.35)
    start = scene.random.uniform(0, gap)
    rows = np.arange(start, scene.shape[0], gap)
    scene.lines([((-9, row), (scene.shape[1] + 9, row)) for row in rows], width, dark)
    if scene.random.random() < 0.5:
        margin = scene.random.uniform(0.04, 0.12) * scene.shape[1]
        scene.lines([((margin, -9), (margin, scene.shape[0] + 9))], width, min(0.9, dark * 1.5))


def squared_paper(scene):
    scene.somewhere(0.1)
    gap = scene.random.uniform(0.2, 0.6) * scene.height
    width, dark = max(1, 0.012 * scene.height), scene.random.uniform(0.08, 0.25)
    rows = [((-9, row), (scene.shape[1] + 9, row)) for row in np.arange(0.4 * gap, scene.shape[0], gap)]
    scene.lines(
        rows + [((x, -9), (x, scene.shape[0] + 9)) for x in np.arange(0.6 * gap, scene.shape[1], gap)], width, dark
    )


def holes(scene):
    scene.somewhere(0.2)
    size = scene.random.uniform(0.02, 0.05)
    for y in (0.3, 0.7):
        distance = np.hypot((scene.x - 0.08) * scene.shape[1], (scene.y - y) * scene.shape[0])
        scene.light *= 1 - 0.8 * (distance < size * min(scene.shape))


def staple(scene):
    scene.somewhere(0.2)
    x, y = scene.random.uniform(0.06, 0.12, 2) * scene.shape[::-1]
    turn = scene.random.uniform(0, np.pi)
    way = 0.06 * min(scene.shape) * np.array([np.cos(turn), np.sin(turn)])
    scene.lines([((x - way[0], y - way[1]), (x + way[0], y + way[1]))], max(1, 0.008 * min(scene.shape)), 0.7)


def low_resolution(scene):
    scene.__init__(scene.random, scene.digits, tuple(scene.random.integers(24, 60, 2)), scene.random.uniform(0.5, 0.75))
    scene.somewhere(0.08)


def grainy(scene):
    scene.somewhere()


def near_edge(scene):
    scene.height *= 1.2
    y, x = scene.random.uniform(0.4, 0.6, 2)
    digit = scene.digits[0]
    half = np.array([1, min(1.1, digit.shape[1] / digit.shape[0])]) * scene.height / scene.shape / 2
    side = scene.random.integers(4)
    gap = scene.random.uniform(-0.03, 0.02)
    places = [(gap + half[0], x), (y, gap + half[1]), (1 - gap - half[0], x), (y, 1 - gap - half[1])]
    scene.write(digit, *places[side])


def filled(scene):
    """The digit fills the picture."""
    scene.__init__(scene.random, scene.digits, scene.shape, scene.random.uniform(0.85, 0.95))
    scene.write(scene.digits[0], 0.5, 0.5)


def blackboard(scene):
    """Chalk, with a wooden frame around the board."""
    scene.somewhere(0.2)
    scene.paper, scene.negative = 1, True
    rows, columns = scene.shape
    if scene.random.random() < 0.7:
        width = scene.random.uniform(0.02, 0.07) * min(scene.shape)
        scene.rectangle(width / 2, width / 2, rows - 1 - width / 2, columns - 1 - width / 2, width,
                        scene.random.uniform(0.3, 0.8))  # fmt: skip
    _shadow(scene, scene.random.uniform(0.04, 0.1), scene.random.uniform(0.1, 0.4))


def boxed_in_shadow(scene):
    _boxed(scene)
    _shadow(scene, scene.random.uniform(0.03, 0.1), scene.random.uniform(0.3, 0.6))


def scan_edge_and_rule(scene):
    _rule(scene, scene.random.uniform(0.08, 0.3))
    scene.light *= 1 - 0.9 * _step(scene.random.uniform(0.02, 0.06) - scene.x, 0.003)


KINDS = {kind.__name__: kind for kind in (
    clean, filled, near_edge, low_resolution, grainy, soft_shadow, sharp_shadow, two_shadows, lamp_and_shadow, flash, vignette,  # noqa: E501
    box, tilted_box, rounded_box, dashed_box, thick_box, touched_box, tight_box, partial_box, neighbours, boxed_in_shadow,  # noqa: E501
    frame, tilted_frame, blackboard, scan_edge, desk, page_edge, rule_below, rule_above, rule_touched, scan_edge_and_rule,  # noqa: E501
    ruled_paper, squared_paper, holes, staple)}  # fmt: skip


def photograph(kind, digit, random):
    """A picture of a kind with one digit, its ink from 0 to 1 and cut to its box; bytes, and grey."""
    scene = Scene(random, [digit])
    scene.negative = False
    KINDS[kind](scene)
    if kind == "grainy":
        return scene.taken(least_noise=random.uniform(6, 14), quality=int(random.integers(30, 60)))
    if scene.negative:
        scene.print, scene.ink = 1 - (1 - scene.print) * (1 - scene.dark * scene.ink), scene.ink * 0
        board = random.uniform(0.1, 0.3)
        scene.light *= board + (1 - board) * scene.print
        scene.print = scene.print * 0
    return scene.taken()


def row(digits, random, printed="boxes"):
    """A row of digits: each in its box or touching boxes, on a rule, or on a comb; bytes, and grey."""
    pitch = int(np.exp(random.uniform(np.log(50), np.log(160))))
    gap = int(pitch * random.uniform(0.05, 0.3))
    shape = (int(pitch * random.uniform(1.3, 2)), pitch * len(digits) + gap * (len(digits) + 1))
    height = pitch * random.uniform(0.4, 0.65)
    scene = Scene(random, digits, shape, height / min(shape))
    together = printed == "comb" or (printed == "boxes" and random.random() < 0.4)
    width, dark = scene.pen()
    tall = min(pitch * random.uniform(1, 1.3), 0.9 * shape[0])
    top, bottom = shape[0] / 2 - tall / 2, shape[0] / 2 + tall / 2
    step = pitch if together else pitch + gap
    for index, digit in enumerate(digits):
        left = gap + index * step
        middle = (left + pitch / 2) / shape[1]
        scene.write(
            digit, 0.5 + random.uniform(-0.05, 0.05), middle + random.uniform(-0.05, 0.05) * pitch / shape[1], height
        )
        if printed == "boxes":
            scene.rectangle(top, left, bottom, left + pitch, width, dark)
    if printed == "rule":
        scene.lines([((-9, bottom), (shape[1] + 9, bottom + random.uniform(-0.03, 0.03) * shape[0]))], width, dark)
    if printed == "comb":
        base = max(written[2] for written in scene.boxes) + random.uniform(0.05, 0.35) * height
        tick, tilt, over = (
            random.uniform(0.25, 0.8) * height,
            random.uniform(-0.01, 0.01),
            random.choice([0, 0, 9 * gap]),
        )
        ends = gap - over, gap + len(digits) * pitch + over
        scene.lines(
            [(((ends[0], base + tilt * ends[0])), (ends[1], base + tilt * ends[1]))]
            + [((x + tilt * tick, base + tilt * x - tick), (x, base + tilt * x))
               for x in gap + pitch * np.arange(len(digits) + 1)],
            width, dark)  # fmt: skip
    return scene.taken()
