"""Calls into NVML, and its errors by stable names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energy_plugin.meters.tape import SensorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# NVML return codes -> stable names; the numbers are part of NVML's ABI.
CODES = {
    1: "driver-unloaded",
    3: "not-supported",
    4: "no-permission",
    6: "not-found",
    9: "no-driver",
    10: "timeout",
    12: "no-driver",
    13: "no-function",
    15: "gpu-lost",
    16: "gpu-reset-required",
    18: "driver-mismatch",
    999: "nvml-unknown",
}

FIELD_SAYS_WATTS = 0.001  # power fields are in milliwatts, as unsigned integers


def call(function: Callable[..., Any], *arguments: object) -> Any:
    """Call NVML.

    Raises:
        SensorError: NVML says no; its code is one of :data:`CODES` or ``nvml-<number>``.
    """
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        number = getattr(error, "value", 999)
        raise SensorError(CODES.get(number, f"nvml-{number}"), str(error)) from error


def field_w(handle: object, field: int) -> float:
    """A power field of a GPU in watts.

    Raises:
        SensorError: the GPU or the driver does not know this field.
    """
    import pynvml

    (value,) = call(pynvml.nvmlDeviceGetFieldValues, handle, [field])
    if value.nvmlReturn:
        raise SensorError(
            CODES.get(value.nvmlReturn, f"nvml-{value.nvmlReturn}"), f"field {field} cannot be read"
        )
    return float(value.value.uiVal * FIELD_SAYS_WATTS)


def first_of(functions: Sequence[str], *arguments: object) -> Any:
    """The answer of the first of these NVML functions that this driver and its Python library have.

    Raises:
        SensorError: none of them is there, or the one that is says no.
    """
    import pynvml

    for name in functions:
        function = getattr(pynvml, name, None)
        if function is None:
            continue
        try:
            return call(function, *arguments)
        except SensorError as error:
            if error.code != "no-function":
                raise
    raise SensorError("no-function", f"neither library nor driver has {functions[0]}")
