"""Holds MQTT discovery messages to Home Assistant's own sources.

usage: home_assistant.py WHEEL < MESSAGES

MESSAGES is a JSON list of [topic without its prefix, configuration]. The wheel of Home Assistant is read, not installed: which keys
a platform's schema has, which device classes there are, and what a topic looks like is in its text.
"""

import ast
import json
import re
import sys
import zipfile

KINDS = ("Optional", "Required", "Exclusive")
wheel = zipfile.ZipFile(sys.argv[1])


def tree(path):
    return ast.parse(wheel.read(f"homeassistant/{path}").decode())


def constants(module):
    """Names that are assigned a text at the top of a module."""
    found = {}
    for node in module.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[target.id] = value.value
    return found


def keys(module, names):
    """The keys of every `Optional(...)`, `Required(...)` and `Exclusive(...)` of a module."""
    found = set()
    for node in ast.walk(module):
        is_key = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS
        if is_key and node.args:
            first = node.args[0]
            if isinstance(first, ast.Name) and first.id in names:
                found.add(names[first.id])
            elif isinstance(first, ast.Constant):
                found.add(first.value)
    return found


def classes(module, name):
    """The values of an enumeration."""
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {node.value.value for node in body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}


mqtt = "components/mqtt"
names = constants(tree("const.py")) | constants(tree(f"{mqtt}/const.py"))
schemas, base = tree(f"{mqtt}/schemas.py"), tree(f"{mqtt}/config.py")
shared = keys(schemas, names) | keys(base, names)
sensor = tree("components/sensor/const.py")
enums = {
    "sensor": {"device_class": classes(sensor, "SensorDeviceClass"), "state_class": classes(sensor, "SensorStateClass")},
    "binary_sensor": {"device_class": classes(tree("components/binary_sensor/const.py"), "BinarySensorDeviceClass")},
    "switch": {"device_class": classes(tree("components/switch/const.py"), "SwitchDeviceClass")},
}
categories = classes(tree("const.py"), "EntityCategory")
assigned = [node for node in schemas.body if isinstance(node, ast.Assign)]
device = set().union(*(keys(node, names) for node in assigned if "DEVICE_INFO" in ast.dump(node.targets[0])))
matcher = next(node for node in tree(f"{mqtt}/discovery.py").body if "TOPIC_MATCHER" in ast.dump(node))
topic_form = re.compile(matcher.value.args[0].value)

messages = json.load(sys.stdin)
for topic, message in messages:
    match = topic_form.fullmatch(topic)
    assert match, f"{topic}: not a topic of discovery"
    platform = match["component"]
    module = tree(f"{mqtt}/{platform}.py")
    of_platform = constants(tree(f"components/{platform}/const.py")) | constants(sensor)
    known = shared | keys(module, names | of_platform | constants(module))
    unknown = set(message) - known
    assert not unknown, f"{topic}: {platform} has no {unknown}"
    for key, values in enums[platform].items():
        assert message.get(key) in values | {None}, f"{topic}: {key} {message[key]}"
    assert message.get("entity_category") in categories | {None}, f"{topic}: {message['entity_category']}"
    # A sensor may not be a setting, and a setting may not be a sensor.
    assert (message.get("entity_category") == "config") <= (platform == "switch"), topic
    unknown = set(message["device"]) - device
    assert not unknown, f"{topic}: a device has no {unknown}"
    url = message["device"].get("configuration_url", "http://")
    assert url.startswith(("http://", "https://", "homeassistant://")), url
print(len(messages))
