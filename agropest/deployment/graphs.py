"""A detector as one graph, TorchScript or ONNX, that runs without Detectron2; checked against the model on pictures.

The graph takes a picture at the network's size (float32 [3, H, W], 0 to 255, in the channel order of ``INPUT.FORMAT``)
and returns boxes [N, 4] (x0 y0 x1 y1 in that picture's pixels), scores [N] and class indices [N].
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from agropest import files
from agropest.deployment.detector import Detector
from agropest.deployment.parity import Found, Parity, compare_found
from agropest.errors import EnvironmentFault, StoreError, TrialError, fault
from agropest.sweep.trial import TrialSpec

TORCHSCRIPT, ONNX = "model.ts", "model.onnx"
FILES = {"torchscript": TORCHSCRIPT, "onnx": ONNX}
OPSET = 16  # the first whose ROIAlign has Detectron2's half-pixel shift
TOLERANCE = 1e-3  # of pixels and scores
NAMES = ("boxes", "scores", "classes")
ARCHITECTURES = ("GeneralizedRCNN",)

Run = Callable[[Tensor], Sequence[Any]]
Export = Callable[[Detector, Sequence[Path]], dict[str, str]]


class PlainDetector(nn.Module):
    """A model from a tensor to tensors, which can be traced.

    Args:
        model: a ``GeneralizedRCNN`` in evaluation mode.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns boxes, scores and classes of a picture [3, H, W]."""
        with _lengths_as_tensors():
            found = self.model.inference([{"image": image}], do_postprocess=False)[0]
        return found.pred_boxes.tensor, found.scores, found.pred_classes


def exporter(trial: TrialSpec, formats: Sequence[str], out: Path) -> Export:
    """Returns what adds graphs to a model folder; refuses what cannot be one before anything is written.

    Args:
        formats: of ``FILES``.
        out: the model folder.

    Raises:
        StoreError: the model has something that no graph holds.
        EnvironmentFault: onnx or onnxruntime is missing.
    """
    require_exportable(trial, formats)
    if "onnx" in formats:
        _onnx_packages()

    def export(detector: Detector, pictures: Sequence[Path]) -> dict[str, str]:
        plain = Detector(detector.cfg.clone(), detector.plain.state_dict(), "cpu")
        images = [image for path in pictures if (image := _input(plain, path)) is not None]
        if not images:
            fix = "the graph is recorded and checked on validation pictures; bring the data set back"
            raise StoreError(fault("--torchscript, --onnx", "expected a validation picture", "none is there", fix))
        return {FILES[name]: _write(name, plain, images, out) for name in formats}

    return export


def require_exportable(trial: TrialSpec, formats: Sequence[str]) -> None:
    """Raises StoreError, one fault for each reason, where a trial's model cannot be one graph."""
    where = "/".join(f"--{name}" for name in formats)
    faults = []
    architecture = trial.config["MODEL.META_ARCHITECTURE"]
    if architecture not in ARCHITECTURES:
        rule = f"expected MODEL.META_ARCHITECTURE {' or '.join(ARCHITECTURES)}"
        faults.append(fault(where, rule, architecture, "its detections are chosen in Python; use the model folder"))
    if trial.config["TEST.AUG.ENABLED"]:
        fix = "its passes are merged in Python, which no graph holds; use the model folder, or a variant without it"
        faults.append(fault(where, "expected a model without test-time augmentation", "TEST.AUG.ENABLED true", fix))
    if faults:
        raise StoreError(*faults)


def _write(name: str, detector: Detector, images: Sequence[Tensor], out: Path) -> str:
    """Writes one graph, checks it, and returns what was found."""
    plain = PlainDetector(detector.plain).eval()
    make, open_graph = (_torchscript, torchscript_runner) if name == "torchscript" else (_onnx, onnx_runner)
    try:
        content = make(plain, images[0])
    except Exception as error:  # whatever the tracer cannot follow
        value = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "the model has an operation that this format lacks; use the model folder"
        raise StoreError(fault(f"--{name}", "expected a model that can be traced", value, fix)) from error
    parity = check_graph(plain, open_graph(content), images, detector)
    if not parity.holds(TOLERANCE):
        rule = f"expected the graph's boxes within {TOLERANCE:g} px and score of the model's"
        raise StoreError(fault(FILES[name], rule, parity.in_words(), "the graph was not written; use the model folder"))
    files.write_bytes(out / FILES[name], content)
    return f"equal to the model on {len(images)} pictures and one of another size ({parity.in_words()})"


def check_graph(plain: PlainDetector, run: Run, images: Sequence[Tensor], detector: Detector) -> Parity:
    """Returns how far a graph is from the model on pictures, and on one of another size and shape."""
    height, width = images[0].shape[1:]
    stretched = nn.functional.interpolate(images[0][None], size=(height + 32, width * 3 // 4))[0]
    lowest, most = detector.cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, detector.cfg.TEST.DETECTIONS_PER_IMAGE
    total = Parity()
    for image in (*images, stretched):
        with torch.no_grad():
            expected, got = plain(image), run(image)
        total += compare_found(_found(got), _found(expected), lowest, most, TOLERANCE)
    return total


def onnx_runner(content: bytes) -> Run:
    """Returns what runs an ONNX graph on the CPU."""
    _, onnxruntime = _onnx_packages()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings of nodes that it folds
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda image: [torch.from_numpy(one) for one in session.run(None, {"image": image.numpy()})]


def torchscript_runner(content: bytes) -> Run:
    """Returns what runs a TorchScript graph on the CPU."""
    with _quiet():
        loaded: Run = torch.jit.load(io.BytesIO(content), map_location="cpu")
    return loaded


def _torchscript(plain: PlainDetector, image: Tensor) -> bytes:
    buffer = io.BytesIO()
    with torch.no_grad(), _quiet():
        torch.jit.save(torch.jit.trace(plain, (image,), check_trace=False), buffer)
    return buffer.getvalue()


def _onnx(plain: PlainDetector, image: Tensor) -> bytes:
    buffer = io.BytesIO()
    axes = {"image": {1: "height", 2: "width"}, **{name: {0: "objects"} for name in NAMES}}
    with torch.no_grad(), _quiet():
        # The tracing exporter: the newer one does not follow Detectron2's Instances.
        torch.onnx.export(
            plain,
            (image,),
            buffer,  # type: ignore[arg-type]  # a file, too
            input_names=["image"],
            output_names=list(NAMES),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def _onnx_packages() -> tuple[Any, Any]:
    """Returns onnx and onnxruntime, which only those who export need.

    Raises:
        EnvironmentFault: one is missing.
    """
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        fix = "pip install onnx onnxruntime"
        raise EnvironmentFault(fault("--onnx", "expected onnx and onnxruntime", f"no {error.name}", fix)) from None
    return onnx, onnxruntime


@contextmanager
def _lengths_as_tensors() -> Iterator[None]:
    """Makes the box head ask objects for their own length while it is traced: ``len`` would record a constant.

    As Detectron2's ``export.torchscript_patch``, which 0.6 does not import without Caffe2.
    """
    if not torch.jit.is_tracing():
        yield
        return
    place = "detectron2.modeling.roi_heads.fast_rcnn.len"
    with mock.patch(place, create=True, side_effect=lambda one: one.__len__()):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what tracing warns of: that a graph may not generalise is what :func:`check_graph` looks at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _input(detector: Detector, path: Path) -> Tensor | None:
    try:
        image: Tensor = detector.prepare(path)["image"]
    except TrialError:
        return None
    return image.float()


def _found(outputs: Sequence[Any]) -> Found:
    boxes, scores, classes = (one.detach().cpu().numpy() for one in outputs)
    return Found(boxes, scores, classes.astype("int64"))
