"""The part of AWS's API model that the sandbox serves, and the judgement of answers by it.

`model.py extract` prints `redshift-model.json` from the botocore that is installed; the file says which one that
was. No other file knows the model's format.
"""

import datetime
import gzip
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

COPY = pathlib.Path(__file__).with_name("redshift-model.json")

SERVED = {
    "redshift": [
        "BatchDeleteClusterSnapshots",
        "BatchModifyClusterSnapshots",
        "CreateCluster",
        "CreateClusterSnapshot",
        "CreateTags",
        "DeleteCluster",
        "DeleteClusterSnapshot",
        "DeleteTags",
        "DescribeClusterSnapshots",
        "DescribeClusters",
        "DescribeEvents",
        "DescribeTags",
        "ModifyCluster",
        "ModifyClusterSnapshot",
        "PauseCluster",
        "ResumeCluster",
    ],
    "sts": ["AssumeRole", "GetCallerIdentity"],
}

# "Common Errors" and "Common Error Types" of the API references of Redshift and STS, and what Signature Version 4
# and temporary credentials add to them.
COMMON_ERRORS = {
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "MissingAction",
    "MissingAuthenticationToken",
    "MissingParameter",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "Throttling",
    "ValidationError",
}


def extract():
    """The served operations and every shape that they reach, without documentation."""
    import botocore

    data = pathlib.Path(botocore.__file__).parent / "data"
    whole = {"source": f"botocore {botocore.__version__}"}
    for service, operations in SERVED.items():
        (path,) = data.glob(f"{service}/*/service-2.json.gz")
        full = json.loads(gzip.decompress(path.read_bytes()))
        wanted = {name: bare(full["operations"][name]) for name in operations}
        reached, queue = {}, [wanted]
        while queue:
            for name in named_shapes(queue.pop()):
                if name not in reached:
                    reached[name] = bare(full["shapes"][name])
                    queue.append(reached[name])
        whole[service] = {
            "xmlNamespace": full["metadata"]["xmlNamespace"],
            "operations": wanted,
            "shapes": dict(sorted(reached.items())),
        }
    return whole


def bare(value):
    """The value without its documentation; a member may be called so, and then it is an object."""
    if isinstance(value, dict):
        return {
            key: bare(inner)
            for key, inner in value.items()
            if not (key in ("documentation", "http", "name") and isinstance(inner, (str, bool)))
            and not (key == "http" and "requestUri" in inner)
        }
    return [bare(inner) for inner in value] if isinstance(value, list) else value


def named_shapes(value):
    if isinstance(value, dict):
        if isinstance(value.get("shape"), str):
            yield value["shape"]
        for inner in value.values():
            yield from named_shapes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_shapes(inner)


class Wrong(AssertionError):
    """An answer that the API model does not allow."""


class Judge:
    """Checks answers of one service."""

    def __init__(self, service):
        model = json.loads(COPY.read_text())[service]
        self.namespace = model["xmlNamespace"]
        self.operations = model["operations"]
        self.shapes = model["shapes"]
        self.seen = set()

    def answer(self, operation, status, body):
        """Checks the bytes of an answer: its envelope, and in it every element."""
        root = ElementTree.fromstring(body)
        if status >= 300:
            return self._error(operation, root)
        self.seen.add(operation)
        model = self.operations[operation].get("output")
        self._is(root, f"{operation}Response")
        children = list(root)
        self._is(children[-1], "ResponseMetadata")
        (request_id,) = children[-1]
        self._is(request_id, "RequestId")
        if model is None:
            if len(children) != 1:
                raise Wrong(f"{operation} has no output, but it was answered {names(children)}")
            return None
        if len(children) != 2:
            raise Wrong(f"{operation} was answered {names(children)}")
        self._is(children[0], model["resultWrapper"])
        return self._element(children[0], model["shape"], operation)

    def _error(self, operation, root):
        self._is(root, "ErrorResponse")
        if names(root) != ["Error", "RequestId"] or names(root[0]) != ["Type", "Code", "Message"]:
            raise Wrong(f"the refusal of {operation} is {ElementTree.tostring(root)}")
        declared = {
            self.shapes[error["shape"]]["error"].get("code", error["shape"])
            for error in self.operations[operation].get("errors", [])
        }
        code = root[0][1].text
        if code not in declared | COMMON_ERRORS:
            raise Wrong(f"{operation} does not declare the error {code}")

    def _is(self, element, name):
        if element.tag != f"{{{self.namespace}}}{name}":
            raise Wrong(f"{element.tag} instead of {name} in {self.namespace}")

    def _element(self, element, shape_name, path):
        shape = self.shapes[shape_name]
        kind = shape["type"]
        if kind == "structure":
            self._structure(element, shape, path)
        elif kind == "list":
            member = shape["member"].get("locationName", "member")
            for number, child in enumerate(element):
                self._is(child, member)
                self._element(child, shape["member"]["shape"], f"{path}[{number}]")
        else:
            if len(element):
                raise Wrong(f"{path} has children {names(element)}, but it is a {kind}")
            text_is(element.text or "", shape, path)

    def _structure(self, element, shape, path):
        members = {inner.get("locationName", name): inner for name, inner in shape["members"].items()}
        found = names(element)
        if len(found) != len(set(found)):
            raise Wrong(f"{path} has a member twice: {found}")
        missing = set(shape.get("required", [])) - set(found)
        if missing:
            raise Wrong(f"{path} lacks {missing}")
        for child in element:
            name = local(child)
            if name not in members:
                raise Wrong(f"{path} has no member {name}")
            self._is(child, name)
            self._element(child, members[name]["shape"], f"{path}.{name}")

    def parsed(self, operation, value):
        """Checks what a client made of an answer: only known members, each of its type."""
        self.seen.add(operation)
        model = self.operations[operation].get("output")
        if model is None:
            if value:
                raise Wrong(f"{operation} has no output, but the client has {value}")
            return
        self._value(value, model["shape"], operation)

    def _value(self, value, shape_name, path):
        shape = self.shapes[shape_name]
        kind = shape["type"]
        if not isinstance(value, PARSED[kind]) or (kind != "boolean" and isinstance(value, bool)):
            raise Wrong(f"{path} is {value!r}, but it is a {kind}")
        if kind == "structure":
            unknown = set(value) - set(shape["members"])
            missing = set(shape.get("required", [])) - set(value)
            if unknown or missing:
                raise Wrong(f"{path} has {unknown} that are unknown and lacks {missing}")
            for name, inner in value.items():
                self._value(inner, shape["members"][name]["shape"], f"{path}.{name}")
        elif kind == "list":
            for number, inner in enumerate(value):
                self._value(inner, shape["member"]["shape"], f"{path}[{number}]")
        elif kind == "timestamp" and isinstance(value, str):
            datetime.datetime.fromisoformat(value)

    def require_all_seen(self):
        unseen = set(self.operations) - self.seen
        if unseen:
            raise Wrong(f"nobody asked for {sorted(unseen)}")


# boto3 gives times as such, the AWS CLI as text.
PARSED = {
    "boolean": bool,
    "double": (int, float),
    "integer": int,
    "list": list,
    "long": int,
    "string": str,
    "structure": dict,
    "timestamp": (datetime.datetime, str),
}

TEXTS = {
    "boolean": r"true|false",
    "double": r"-?\d+(\.\d+)?([eE]-?\d+)?",
    "integer": r"-?\d+",
    "long": r"-?\d+",
    "string": r"(?s).*",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z",
}


def text_is(text, shape, path):
    if not re.fullmatch(TEXTS[shape["type"]], text):
        raise Wrong(f"{path} is {text!r}, but it is a {shape['type']}")
    if shape["type"] == "string":
        if "enum" in shape and text not in shape["enum"]:
            raise Wrong(f"{path} is {text!r}, which is not one of {shape['enum']}")
        if not shape.get("min", 0) <= len(text) <= shape.get("max", len(text)):
            raise Wrong(f"{path} has {len(text)} characters")


def local(element):
    return element.tag.rpartition("}")[2]


def names(elements):
    return [local(element) for element in elements]


if __name__ == "__main__":
    if sys.argv[1:] == ["extract"]:
        print(json.dumps(extract(), indent=1))
    elif sys.argv[1:] == ["check"]:
        if extract() != json.loads(COPY.read_text()):
            sys.exit(f"{COPY.name} is not what model.py extract prints")
    else:
        sys.exit("usage: model.py extract|check")
