"""Uses the generated client against a running service, whose store is empty: python use.py URL DOCUMENT IMAGES.

`make test-client` type-checks it with `mypy --strict`. GLIMPSE_API_KEY has an admin key. The first wrong value ends it with the line
that expects another one.
"""

import base64
import importlib
import json
import os
import struct
import sys
import time
import uuid
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from glimpse_client import AuthenticatedClient, models
from glimpse_client.api.collections import count_values, export_collection, find_duplicates, get_collection
from glimpse_client.api.health import get_metrics, get_session
from glimpse_client.api.images import delete_image, get_image, get_original, get_preview, get_thumbnail
from glimpse_client.api.images import list_images, post_objects, put_object
from glimpse_client.api.jobs import get_job, list_jobs, submit_images_job
from glimpse_client.api.keys import add_key, list_keys, remove_key
from glimpse_client.api.search import create_embeddings, search_by_image, search_by_text
from glimpse_client.models import (
    CollectionDetailsReply,
    CompositeQuery,
    DeletedReply,
    DuplicatesReply,
    EmbeddingsReply,
    EmbeddingsRequest,
    ErrorReply,
    ExportedImage,
    ExportEnd,
    ExportHeader,
    FacetsReply,
    ImageFormat,
    ImageQuery,
    ImageReply,
    ImagesReply,
    JobReply,
    JobsReply,
    JobState,
    KeyReply,
    KeyRequest,
    KeysReply,
    ObjectReply,
    ObjectsReply,
    RemovedKeyReply,
    Role,
    SearchReply,
    SessionReply,
    SubmitReply,
    SubmitRequest,
    UploadForm,
)
from glimpse_client.types import File, Response

NAMES = ["cat.jpg", "panda.jpg", "palace.jpg", "coffee.jpg", "rocket.jpg", "windmill.jpg"]
# Seconds.
JOB_TIMEOUT = 60

T = TypeVar("T")


def expect(reply: object, kind: type[T]) -> T:
    """Returns the reply. Fails if it is of another type, such as an error."""
    assert isinstance(reply, kind), f"expected {kind.__name__}: {reply}"
    return reply


def check_error(reply: Response[T], status: HTTPStatus, code: str) -> ErrorReply:
    """Fails if the reply is not this error."""
    assert reply.status_code == status, reply
    error = expect(reply.parsed, ErrorReply)
    assert error.code == code and error.message and isinstance(error.request_id, str), error
    return error


def check_document(document: Path) -> None:
    """Fails if an operation or a schema of the document is not in the client."""
    content = json.loads(document.read_text())
    operations = [
        operation for methods in content["paths"].values() for operation in methods.values() if "operationId" in operation
    ]
    assert len(operations) > 60, len(operations)
    for operation in operations:
        module = importlib.import_module(f"glimpse_client.api.{operation['tags'][0]}.{operation['operationId']}")
        assert callable(module.sync_detailed), module
    for name, schema in content["components"]["schemas"].items():
        # The alternatives of a union have classes of their own.
        assert "oneOf" in schema or hasattr(models, name), name


def upload(client: AuthenticatedClient, images: Path) -> uuid.UUID:
    """Uploads all images, the first one by itself, and returns its id."""
    first, others = NAMES[0], NAMES[1:]
    path = images / first
    with path.open("rb") as file:
        stored = expect(put_object.sync(f"images/{first}", client=client, body=File(file)), ObjectReply)
    assert stored.indexed and not stored.replaced and stored.s3_uri.endswith(f"/images/{first}"), stored

    again = put_object.sync_detailed(
        f"images/{first}", client=client, body=File(BytesIO(path.read_bytes())), if_none_match="*"
    )
    check_error(again, HTTPStatus.PRECONDITION_FAILED, "object_exists")

    files = [File(BytesIO((images / name).read_bytes()), file_name=name) for name in others]
    form = expect(post_objects.sync(client=client, body=UploadForm(prefix="images/", file=files)), ObjectsReply)
    assert (form.stored, form.refused) == (len(others), 0), form
    assert [result.file for result in form.results] == others, form
    return stored.id


def ingest(client: AuthenticatedClient, collection: str) -> None:
    """Indexes the bucket into another collection and waits for the job."""
    submitted = expect(
        submit_images_job.sync(client=client, body=SubmitRequest(s3_prefix="images/", collection=collection)), SubmitReply
    )
    deadline = time.monotonic() + JOB_TIMEOUT
    while True:
        job = expect(get_job.sync(submitted.job_id, client=client), JobReply)
        if job.status not in (JobState.PENDING, JobState.RUNNING):
            break
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
    assert job.status is JobState.SUCCEEDED, job
    assert (job.counts.listed, job.counts.done, job.counts.failed) == (len(NAMES), len(NAMES), 0), job.counts
    assert job.job_id == submitted.job_id and job.collection == collection, job
    jobs = expect(list_jobs.sync(client=client, limit=1), JobsReply)
    assert [one.job_id for one in jobs.jobs] == [submitted.job_id], jobs
    details = expect(get_collection.sync(collection, client=client), CollectionDetailsReply)
    assert details.count == len(NAMES) and details.formats.additional_properties == {"jpeg": len(NAMES)}, details


def keys_of(found: SearchReply) -> list[str]:
    """Returns the keys of the results, best first."""
    return [result.s3_key for result in found.results]


def search(client: AuthenticatedClient, collection: str, images: Path) -> None:
    """Searches by a text, by an image, by both, and by several terms."""
    by_text = expect(search_by_text.sync(client=client, q="a cat", collection=collection, limit=3), SearchReply)
    assert keys_of(by_text)[0] == "images/cat.jpg" and by_text.total == 3 and by_text.query == "a cat", by_text
    assert by_text.results[0].format_ is ImageFormat.JPEG and -1 <= by_text.results[0].score <= 1, by_text

    panda = (images / "panda.jpg").read_bytes()
    body = ImageQuery(file=File(BytesIO(panda), file_name="panda.jpg"))
    by_image = expect(search_by_image.sync(client=client, body=body, collection=collection, limit=1), SearchReply)
    assert keys_of(by_image) == ["images/panda.jpg"] and by_image.file == "panda.jpg", by_image
    assert by_image.results[0].score > 0.99, by_image
    body = ImageQuery(file=File(BytesIO(panda)), q="an animal")
    by_both = expect(search_by_image.sync(client=client, body=body, collection=collection), SearchReply)
    assert keys_of(by_both)[0] == "images/panda.jpg" and by_both.query == "an animal", by_both

    panda_id = by_image.results[0].id
    query = CompositeQuery.from_dict(
        {"positive": [{"text": "a cup of coffee"}], "negative": [{"id": str(panda_id)}], "collection": collection, "limit": 2}
    )
    by_terms = expect(search_by_image.sync(client=client, body=query), SearchReply)
    assert keys_of(by_terms)[0] == "images/coffee.jpg" and by_terms.total == 2, by_terms
    similar = expect(search_by_text.sync(client=client, like=panda_id, collection=collection, limit=1), SearchReply)
    assert keys_of(similar)[0] != "images/panda.jpg" and similar.like == panda_id, similar
    nothing = expect(
        search_by_text.sync(client=client, q="a cat", collection=collection, format_=["png", "gif"]), SearchReply
    )
    assert nothing.results == [], nothing

    vectors = expect(create_embeddings.sync(client=client, body=EmbeddingsRequest(input_=["a cat", "a dog"])), EmbeddingsReply)
    lengths = [len(vector.embedding) for vector in vectors.data]
    assert lengths == [512, 512], lengths


def read_images(client: AuthenticatedClient, image_id: uuid.UUID, images: Path) -> None:
    """Lists the images page by page, and reads the files of one."""
    page = expect(list_images.sync(client=client, limit=4), ImagesReply)
    listed = [image.s3_key for image in page.images]
    assert isinstance(page.next_cursor, str), page
    page = expect(list_images.sync(client=client, limit=4, cursor=page.next_cursor), ImagesReply)
    assert page.next_cursor is None, page
    listed += [image.s3_key for image in page.images]
    assert sorted(listed) == sorted(f"images/{name}" for name in NAMES), listed
    facets = expect(count_values.sync("documents", client=client, field="format"), FacetsReply)
    assert [(value.value, value.count) for value in facets.values] == [("jpeg", len(NAMES))], facets

    image = expect(get_image.sync(image_id, client=client), ImageReply)
    file = (images / NAMES[0]).read_bytes()
    assert image.s3_key == f"images/{NAMES[0]}" and image.size_bytes == len(file) and image.frames == 1, image
    assert expect(get_original.sync(image_id, client=client), File).payload.read() == file
    for reply in (get_thumbnail.sync(image_id, client=client), get_preview.sync(image_id, client=client, size=256)):
        assert expect(reply, File).payload.read(3) == b"\xff\xd8\xff"


def export(client: AuthenticatedClient, collection: str) -> None:
    """Exports a collection with its vectors."""
    text = expect(export_collection.sync(collection, client=client), str)
    first, *rows, last = [json.loads(line) for line in text.splitlines()]
    header = ExportHeader.from_dict(first["header"])
    assert header.collection == collection and header.images == len(NAMES), header
    assert ExportEnd.from_dict(last["end"]).images == len(NAMES), last
    exported = [ExportedImage.from_dict(row["image"]) for row in rows]
    assert sorted(Path(image.s3_uri).name for image in exported) == sorted(NAMES), exported
    for image in exported:
        vector = struct.unpack(f"<{header.dimension}f", base64.b64decode(image.vector))
        assert abs(sum(number * number for number in vector) - 1) < 1e-3, image.s3_uri


def duplicates(client: AuthenticatedClient, images: Path) -> None:
    """Stores an image twice, finds both, and removes one."""
    copy = File(BytesIO((images / NAMES[0]).read_bytes()))
    stored = expect(put_object.sync("copies/a b+ü.jpg", client=client, body=copy), ObjectReply)
    assert stored.s3_uri.endswith("/copies/a b+ü.jpg"), stored
    lines = expect(find_duplicates.sync("documents", client=client), str).splitlines()
    (group,) = [DuplicatesReply.from_dict(json.loads(line)) for line in lines]
    assert group.total == 2 and {image.s3_key for image in group.images} == {
        f"images/{NAMES[0]}",
        "copies/a b+ü.jpg",
    }, group
    removed = expect(delete_image.sync(stored.id, client=client), DeletedReply)
    assert removed.id == str(stored.id), removed
    check_error(get_image.sync_detailed(stored.id, client=client), HTTPStatus.NOT_FOUND, "unknown_image")


def roles(client: AuthenticatedClient, url: str) -> None:
    """Makes a key, uses it, and removes it."""
    made = expect(add_key.sync(client=client, body=KeyRequest(name="reader", role=Role.READ)), KeyReply)
    assert isinstance(made.key, str) and made.role is Role.READ and made.expires_at is None, made
    listed = expect(list_keys.sync(client=client), KeysReply).keys
    assert [(key.name, key.role) for key in listed if key.source == "ledger"] == [("reader", Role.READ)], listed
    assert all(not isinstance(key.key, str) for key in listed), listed

    reader = AuthenticatedClient(base_url=url, token=made.key)
    assert expect(get_session.sync(client=reader), SessionReply).role is Role.READ
    expect(search_by_text.sync(client=reader, q="a cat"), SearchReply)
    refused = submit_images_job.sync_detailed(client=reader, body=SubmitRequest())
    check_error(refused, HTTPStatus.FORBIDDEN, "role_too_low")
    expect(remove_key.sync("reader", client=client), RemovedKeyReply)
    check_error(list_jobs.sync_detailed(client=reader), HTTPStatus.UNAUTHORIZED, "unauthorized")


def errors(client: AuthenticatedClient) -> None:
    """Reads errors by their codes."""
    missing = get_collection.sync_detailed("nothing", client=client)
    assert "nothing" in check_error(missing, HTTPStatus.NOT_FOUND, "unknown_collection").message
    wrong = search_by_text.sync_detailed(client=client, q="a cat", limit=500)
    assert "500" in check_error(wrong, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_limit").message
    text = File(BytesIO(b"this is a text"))
    upload = put_object.sync_detailed("images/text.jpg", client=client, body=text)
    check_error(upload, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_format")
    assert "glimpse_search_" in expect(get_metrics.sync(client=client), str)


def main() -> None:
    url, document, images = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    client = AuthenticatedClient(base_url=url, token=os.environ["GLIMPSE_API_KEY"])
    check_document(document)
    image_id = upload(client, images)
    ingest(client, "again")
    search(client, "again", images)
    read_images(client, image_id, images)
    export(client, "again")
    duplicates(client, images)
    roles(client, url)
    errors(client)
    print("the generated client ingests, searches and exports")


if __name__ == "__main__":
    main()
