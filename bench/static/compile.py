"""Hands SPIR-V compute shaders to the Vulkan driver that the loader finds; nothing is run.

    RADV_FORCE_FAMILY=navi31 RADV_DEBUG=shaderstats,asm MESA_SHADER_CACHE_DISABLE=true \
        VK_DRIVER_FILES=…/radeon_icd.json python3 bench/static/compile.py ENTRY FILE.spv [ENTRY FILE.spv …]

Mesa's RADV makes up a device of the forced family where there is none, and prints what became of each shader on standard
error; before each stands a line `=== FILE`. A shader that the driver refuses ends the process. Pipeline layouts follow
from the decorations in the SPIR-V itself. Node has no foreign function interface, hence Python.
"""
import ctypes
import os
import struct
import sys
from ctypes import Structure, byref, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_void_p, cast

vulkan = ctypes.CDLL("libvulkan.so.1")

COMPUTE_STAGE = 0x20
UNIFORM_BUFFER, STORAGE_BUFFER = 6, 7
# SPIR-V: the numbers of what is looked for.
OP_VARIABLE, OP_DECORATE = 59, 71
BINDING, DESCRIPTOR_SET = 33, 34
CLASS_UNIFORM, CLASS_PUSH_CONSTANT = 2, 9


def record(title, /, **fields):
    """A Vulkan structure; sType and pNext stand first in those that have a `type`."""
    head = [("sType", c_uint32), ("pNext", c_void_p)] if fields.pop("typed", True) else []
    return type(title, (Structure,), {"_fields_": head + list(fields.items())})


ApplicationInfo = record("ApplicationInfo", name=c_char_p, version=c_uint32, engine=c_char_p, engineVersion=c_uint32, api=c_uint32)
InstanceInfo = record(
    "InstanceInfo", flags=c_uint32, application=c_void_p, layers=c_uint32, layerNames=c_void_p, extensions=c_uint32, extensionNames=c_void_p
)
QueueInfo = record("QueueInfo", flags=c_uint32, family=c_uint32, count=c_uint32, priorities=c_void_p)
DeviceInfo = record(
    "DeviceInfo",
    flags=c_uint32,
    queues=c_uint32,
    queueInfos=c_void_p,
    layers=c_uint32,
    layerNames=c_void_p,
    extensions=c_uint32,
    extensionNames=c_void_p,
    features=c_void_p,
)
ModuleInfo = record("ModuleInfo", flags=c_uint32, size=c_size_t, code=c_void_p)
LayoutBinding = record(
    "LayoutBinding", typed=False, binding=c_uint32, type=c_uint32, count=c_uint32, stages=c_uint32, samplers=c_void_p
)
SetLayoutInfo = record("SetLayoutInfo", flags=c_uint32, count=c_uint32, bindings=c_void_p)
PushRange = record("PushRange", typed=False, stages=c_uint32, offset=c_uint32, size=c_uint32)
PipelineLayoutInfo = record(
    "PipelineLayoutInfo", flags=c_uint32, sets=c_uint32, setLayouts=c_void_p, ranges=c_uint32, rangeList=c_void_p
)
StageInfo = record("StageInfo", flags=c_uint32, stage=c_uint32, module=c_void_p, entry=c_char_p, specialization=c_void_p)
PipelineInfo = record(
    "PipelineInfo", flags=c_uint32, stage=StageInfo, layout=c_void_p, base=c_void_p, baseIndex=c_int32
)


def call(name, *arguments):
    result = getattr(vulkan, name)(*arguments)
    if result != 0:
        sys.exit(f"{name} returned {result}")


def address(value):
    return cast(byref(value), c_void_p)


def create(name, device, info):
    """An object made by vkCreate<name> on a device."""
    handle = c_void_p()
    call(f"vkCreate{name}", device, byref(info), None, byref(handle))
    return handle


def open_device():
    application = ApplicationInfo(sType=0, name=b"static", api=(1 << 22) | (3 << 12))
    instance = c_void_p()
    call("vkCreateInstance", byref(InstanceInfo(sType=1, application=address(application))), None, byref(instance))
    count, found = c_uint32(1), (c_void_p * 1)()
    listed = vulkan.vkEnumeratePhysicalDevices(instance, byref(count), found)
    if listed not in (0, 5) or count.value == 0:  # 5: there are more than one
        sys.exit("the driver shows no device")
    priority = c_float(1)
    queue = QueueInfo(sType=2, family=0, count=1, priorities=address(priority))
    device = c_void_p()
    info = DeviceInfo(sType=3, queues=1, queueInfos=address(queue))
    call("vkCreateDevice", c_void_p(found[0]), byref(info), None, byref(device))
    return device


def interface(code):
    """[set][(binding, type)] of a module, and whether it has push constants."""
    words = struct.unpack(f"<{len(code) // 4}I", code)
    decorations, classes, at = {}, {}, 5
    while at < len(words):
        length, operation = words[at] >> 16, words[at] & 0xFFFF
        if operation == OP_DECORATE and words[at + 2] in (BINDING, DESCRIPTOR_SET):
            decorations.setdefault(words[at + 1], {})[words[at + 2]] = words[at + 3]
        elif operation == OP_VARIABLE:
            classes[words[at + 2]] = words[at + 3]
        at += length
    sets = {}
    for variable, found in decorations.items():
        kind = UNIFORM_BUFFER if classes[variable] == CLASS_UNIFORM else STORAGE_BUFFER
        sets.setdefault(found.get(DESCRIPTOR_SET, 0), []).append((found[BINDING], kind))
    return [sorted(sets.get(i, [])) for i in range(max(sets, default=-1) + 1)], CLASS_PUSH_CONSTANT in classes.values()


def compile_shader(device, entry, path):
    with open(path, "rb") as file:
        code = file.read()
    text = ctypes.create_string_buffer(code, len(code))
    module = create("ShaderModule", device, ModuleInfo(sType=16, size=len(code), code=address(text)))
    sets, pushes = interface(code)
    layouts = (c_void_p * max(1, len(sets)))()
    for i, bindings in enumerate(sets):
        entries = (LayoutBinding * max(1, len(bindings)))(
            *[LayoutBinding(binding=number, type=kind, count=1, stages=COMPUTE_STAGE) for number, kind in bindings]
        )
        info = SetLayoutInfo(sType=32, count=len(bindings), bindings=address(entries))
        layouts[i] = create("DescriptorSetLayout", device, info).value
    ranges = PushRange(stages=COMPUTE_STAGE, offset=0, size=128)
    info = PipelineLayoutInfo(
        sType=30, sets=len(sets), setLayouts=address(layouts), ranges=int(pushes), rangeList=address(ranges)
    )
    layout = create("PipelineLayout", device, info)
    stage = StageInfo(sType=18, stage=COMPUTE_STAGE, module=module, entry=entry.encode())
    pipeline = c_void_p()
    info = PipelineInfo(sType=29, stage=stage, layout=layout, baseIndex=-1)
    call("vkCreateComputePipelines", device, None, 1, byref(info), None, byref(pipeline))


def main():
    device = open_device()
    arguments = sys.argv[1:]
    for entry, path in zip(arguments[::2], arguments[1::2], strict=True):
        os.write(2, f"=== {path}\n".encode())
        compile_shader(device, entry, path)


main()
