"""Files of the shop, where they are in S3: sent by web, to who may see them."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from products.tests.factories import make_product


@pytest.mark.django_db
def test_an_attachment_goes_to_the_bucket_and_comes_back_to_its_owner_alone(
    as_ann, as_bob, bucket, default_in_s3
):
    sent = {"subject": "Broken", "body": "See.", "attachments": [SimpleUploadedFile("a.txt", b"x")]}
    ticket = as_ann.post("/api/tickets/", sent, "multipart").json()
    url = ticket["messages"][0]["attachments"][0]["url"]
    answer = as_ann.get(url)

    (kept,) = bucket.objects.all()
    folder = f"test1/{connection.tenant_identity}"
    assert re.fullmatch(rf"{folder}/tickets/{ticket['id']}/[0-9a-f]{{32}}\.txt", kept.key)
    assert b"".join(answer.streaming_content) == b"x"
    assert answer["Content-Length"] == "1"
    assert answer["Content-Disposition"] == 'attachment; filename="a.txt"'
    assert as_bob.get(url).status_code == 404
    kept.delete()
    assert as_ann.get(url).status_code == 404


@pytest.mark.django_db
def test_an_image_is_sent_from_the_bucket(site, default_in_s3):
    image = SimpleUploadedFile("mug.png", b"pixels")
    product = make_product(image=image)
    answer = site.get(f"/api/products/{product.pk}/image/")
    assert b"".join(answer.streaming_content) == b"pixels"
    assert answer["Content-Type"] == "image/png"
