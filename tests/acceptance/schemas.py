"""Holds what `--json` printed against docs/schemas. A member that a schema does not know is an error."""
import functools
import json
import pathlib
import warnings

import jsonschema

DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "docs" / "schemas"


@functools.cache
def schemas():
    """By the name in the member `schema`, without "bot-bottle." and number."""
    return {path.name.split(".")[0]: json.loads(path.read_text()) for path in DIRECTORY.glob("*.schema.json")}


@functools.cache
def validator(name):
    if name not in schemas():
        raise AssertionError(f"docs/schemas has no {name}.schema.json")
    with warnings.catch_warnings():
        # Debian 12's jsonschema has only this; later ones call it deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        resolver = jsonschema.RefResolver("", schemas()[name], store={one["$id"]: one for one in schemas().values()})
        return jsonschema.Draft202012Validator(schemas()[name], resolver=resolver)


def check_document(document, name=None):
    if name is None:
        kind, slash, number = document["schema"].removeprefix("bot-bottle.").partition("/")
        if number != "1":
            raise AssertionError(f"{document['schema']} is not of the first version")
        name = kind
    faults = [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message}" for fault in validator(name).iter_errors(document)]
    if faults:
        raise AssertionError(f"it is not what docs/schemas/{name}.schema.json says:\n  " + "\n  ".join(faults) +
                             f"\n{json.dumps(document, indent=1)[:4000]}")
    return name


def documents(text):
    """One after the other, as `fork -n 2 --json` prints them."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        yield document
        text = text[end:].strip()


def check_output(arguments, text):
    """The names of the schemas that it was held against; none when no JSON was asked for."""
    words = [str(word) for word in arguments]
    words = words[:words.index("--")] if "--" in words else words
    if "--json" not in words:
        return []
    if "logs" in words[:3]:
        return [check_document(json.loads(line), "event") for line in text.splitlines()]
    return [check_document(document) for document in documents(text)]
