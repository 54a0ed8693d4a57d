import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from patchline.wire import messages
from patchline.wire.channels import CHANNELS
from patchline.wire.topics import DEFAULT_PREFIX

DOCUMENT_PATH = Path(__file__).parents[3] / "docs" / "reference" / "asyncapi.yaml"
VECTORS = Path(__file__).parent / "vectors"
KINDS = (
    messages.EdgeMessage,
    messages.Receipt,
    messages.MapMessage,
    messages.Profile,
    messages.AssetChunk,
    messages.EdgeStatus,
    messages.ServiceStatus,
    messages.Command,
    messages.GateCommand,
)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(DOCUMENT_PATH.read_text(encoding="utf-8"))
    return loaded


def as_draft_07(schema: Any) -> Any:
    """AsyncAPI 3.0 schemas are draft 07: tuples are spelled with `items`, there is no `prefixItems`."""
    if isinstance(schema, list):
        return [as_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    spelled = {key: as_draft_07(value) for key, value in schema.items()}
    if "prefixItems" in spelled:
        spelled["items"] = spelled.pop("prefixItems")
        spelled["additionalItems"] = False
    if isinstance(spelled.get("description"), str):
        spelled["description"] = inspect.cleandoc(spelled["description"]) + "\n"
    return spelled


def schemas_of_the_code() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(KINDS, ref_template="#/components/schemas/{name}")
    spelled: dict[str, Any] = json.loads(json.dumps(as_draft_07(schemas)))
    return spelled


def resolved(document: dict[str, Any], reference: dict[str, Any]) -> Any:
    while "$ref" in reference:
        node: Any = document
        for step in reference["$ref"].removeprefix("#/").split("/"):
            node = node[step]
        reference = node
    return reference


def references_in(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references_in(value)]
    return [found for part in node for found in references_in(part)] if isinstance(node, list) else []


def test_the_document_names_exactly_the_channels_of_the_code(document: dict[str, Any]) -> None:
    assert tuple(document["channels"]) == tuple(CHANNELS)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_lives_where_the_code_puts_it(document: dict[str, Any], channel: str) -> None:
    assert document["channels"][channel]["address"] == f"{DEFAULT_PREFIX}/{{site}}/{{line}}/{{station}}/{channel}"


def test_the_schemas_are_those_of_the_structs(document: dict[str, Any]) -> None:
    expected = schemas_of_the_code()
    written = {name: document["components"]["schemas"].get(name) for name in expected}
    assert written == expected, "the schemas should read:\n" + yaml.safe_dump(expected, sort_keys=False, width=110)


def test_no_schema_is_left_over(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]) - set(schemas_of_the_code()) == {"BytesAsReceived"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert all(resolved(document, {"$ref": reference}) for reference in references_in(document))


def test_every_channel_has_an_operation_and_its_quality_of_service(document: dict[str, Any]) -> None:
    served = {operation["channel"]["$ref"].rsplit("/", 1)[1] for operation in document["operations"].values()}
    assert served == set(CHANNELS)
    for operation in document["operations"].values():
        quality = CHANNELS[operation["channel"]["$ref"].rsplit("/", 1)[1]].qos
        assert operation["bindings"]["mqtt"]["qos"] == quality


@pytest.mark.parametrize(
    ("message", "content_type"),
    [
        ("frame", messages.CONTENT_TYPE_FRAME),
        ("drop", messages.CONTENT_TYPE_FRAME),
        ("map", messages.CONTENT_TYPE_MAP),
        ("profile", messages.CONTENT_TYPE_PROFILE),
        ("asset", messages.CONTENT_TYPE_ASSET),
        ("verdict", messages.CONTENT_TYPE_JSON),
        ("drop_receipt", messages.CONTENT_TYPE_JSON),
        ("edge_status", messages.CONTENT_TYPE_JSON),
        ("service_status", messages.CONTENT_TYPE_JSON),
        ("command", messages.CONTENT_TYPE_JSON),
        ("gate_command", messages.CONTENT_TYPE_JSON),
    ],
)
def test_a_message_has_its_content_type_and_its_vector_fits_its_schema(
    document: dict[str, Any], message: str, content_type: str
) -> None:
    described = document["components"]["messages"][message]
    assert described["contentType"] == content_type
    schema = {**described["payload"], "components": document["components"]}
    sample = json.loads((VECTORS / f"{message}.json").read_bytes())
    jsonschema.Draft7Validator(schema).validate(sample)


def test_a_message_with_a_field_of_another_type_does_not_fit(document: dict[str, Any]) -> None:
    schema = {**document["components"]["messages"]["verdict"]["payload"], "components": document["components"]}
    sample = json.loads((VECTORS / "verdict.json").read_bytes()) | {"score": "high"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(sample)
