"""Judges documents by a JSON Schema: {"schema": …, "documents": […]} on stdin, for each document the list of its faults
as [path, message] on stdout. Fails where the schema itself is no draft-07 schema."""

import json
import sys

from jsonschema import Draft7Validator

asked = json.load(sys.stdin)
Draft7Validator.check_schema(asked["schema"])
validator = Draft7Validator(asked["schema"])
json.dump(
    [
        [["/".join(map(str, fault.absolute_path)), fault.message] for fault in validator.iter_errors(document)]
        for document in asked["documents"]
    ],
    sys.stdout,
)
