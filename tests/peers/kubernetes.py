"""Reads manifests from stdin, judges each by the schemas of Kubernetes, strictly, and prints what they are and what is wrong."""

import json
import sys

import kubernetes_validate
import yaml

documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
faults = []
for document in documents:
    try:
        kubernetes_validate.validate(document, sys.argv[1], strict=True)
    except kubernetes_validate.ValidationError as error:
        faults.append(f"{document['kind']}: {str(error).splitlines()[0]}")
json.dump({"documents": documents, "faults": faults}, sys.stdout)
