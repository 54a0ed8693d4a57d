"""How many multiply-adds a network spends on one picture."""

from math import prod

from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import missing_extra


def multiply_adds(model: bytes, size: Size) -> int:
    """Multiply-adds of all convolutions of an ONNX model on one picture; what else there is costs next to nothing.

    Args:
        model: Its bytes; cut it first, for every convolution in it counts.
        size: Height and width of the picture.

    Raises:
        MisconfiguredError: the torch extra, which brings the `onnx` package, is not installed.
    """
    try:
        import onnx  # noqa: PLC0415 - only this measure needs it
    except ModuleNotFoundError as error:
        raise missing_extra("onnx", "torch") from error
    network = onnx.load_from_string(model)
    for dimension, value in zip(network.graph.input[0].type.tensor_type.shape.dim, (1, 3, *size), strict=True):
        dimension.Clear()
        dimension.dim_value = value
    inferred = onnx.shape_inference.infer_shapes(network, data_prop=True).graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    shapes |= {weight.name: list(weight.dims) for weight in inferred.initializer}
    return sum(
        prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
        for node in inferred.node
        if node.op_type == "Conv"
    )
