"""Names, parts and verdicts: pure arithmetic over hostile text and bytes."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.communication.files.content import JUDGES, Sample, fault_of
from services.communication.files.rules import (
    EXTENSIONS,
    NAME_LENGTH,
    PART_BYTES,
    SINGLE_BYTES,
    clean_name,
    disposition,
    final_key,
    missing,
    owner_of,
    parts_of,
    quarantine_key,
)
from services.communication.tests.files import DOCX, PDF, PNG, archive, docx, gif, jpeg, pdf, png, webp

TYPES = sorted(EXTENSIONS)
HOSTILE = st.text(
    st.sampled_from("a.Z ∕/\\\0\r\n\t\u202e\u2066\u200d\ufeff\ud7ff:*?<>|\"'%é日👩con.exe.pdf"), max_size=255
)


def sample(content: bytes, window: int = 256 * 1024) -> Sample:
    return Sample(size_bytes=len(content), head=content[:window], tail=content[-window:])


@given(st.one_of(st.text(min_size=1, max_size=255), HOSTILE), st.sampled_from(TYPES))
def test_a_clean_name_can_be_saved_anywhere_and_shows_what_it_is(name: str, media_type: str) -> None:
    clean = clean_name(name, media_type)

    assert clean.lower().endswith(EXTENSIONS[media_type])
    assert 1 <= len(clean) <= NAME_LENGTH
    assert len(clean.encode()) <= 255
    assert not set(clean) & set('/\\<>:"|?*')
    assert not clean.startswith((".", " "))
    assert all(unicodedata.category(each)[0] != "C" or each in "\u200c\u200d" for each in clean)
    assert clean.partition(".")[0].strip().lower() not in {"con", "nul", "com1"}


@given(st.one_of(st.text(min_size=1, max_size=255), HOSTILE), st.sampled_from(TYPES))
def test_a_clean_name_stays_as_it_is(name: str, media_type: str) -> None:
    clean = clean_name(name, media_type)

    assert clean_name(clean, media_type) == clean


@given(st.one_of(st.text(min_size=1, max_size=255), HOSTILE), st.sampled_from(TYPES))
def test_a_name_cannot_break_out_of_its_header(name: str, media_type: str) -> None:
    header = disposition(clean_name(name, media_type))

    assert header.isascii()
    assert header.isprintable()
    assert header.startswith('attachment; filename="')
    assert header.count('"') == 2
    assert header.count(";") == 2


@given(st.integers(1, 60 * 1024 * 1024))
def test_the_parts_of_a_file_are_all_of_it_once(size_bytes: int) -> None:
    parts = parts_of(size_bytes)

    assert [part.offset for part in parts] == [sum(p.size_bytes for p in parts[:n]) for n in range(len(parts))]
    assert sum(part.size_bytes for part in parts) == size_bytes
    assert all(part.size_bytes >= PART_BYTES for part in parts[:-1])
    assert (len(parts) > 1) == (size_bytes > SINGLE_BYTES)
    assert missing(size_bytes, {part.number: part.size_bytes for part in parts}) == []
    assert missing(size_bytes, {1: parts[0].size_bytes - 1}) == parts


@given(st.uuids(), st.uuids(), st.uuids())
def test_a_key_tells_whose_it_is(school_id, file_id, attempt_id) -> None:
    assert owner_of(quarantine_key(school_id, file_id)) == (school_id, file_id)
    assert owner_of(final_key(school_id, file_id, attempt_id)) == (school_id, file_id)


@pytest.mark.parametrize(
    "key",
    [
        "school/x/quarantine/y",
        f"imports/{'a' * 36}",
        f"school/{'-' * 36}/quarantine/{'-' * 36}",
        "school//files//",
        f"a/school/{'0' * 36}/quarantine/{'0' * 36}",
    ],
)
def test_a_key_that_was_never_made_is_nobodys(key: str) -> None:
    assert owner_of(key) is None


PPTX, XLSX = (each for each in TYPES if each.endswith((".sheet", "presentation")))
OFFICE = {"[Content_Types].xml": b"<Types/>"}
GOOD = {
    "application/pdf": [pdf(), b"%PDF-2.0\n" + pdf(300_000)[9:]],
    "image/png": [png(), png(12_000, 9_000)],
    "image/jpeg": [jpeg(), jpeg(12_000, 9_000), jpeg(extra=b"x" * 60_000), jpeg() + b"a clip of the moment"],
    "image/gif": [gif()],
    "image/webp": [webp(), webp(12_000, 9_000)],
    "text/plain": [b"Bring a coat.\r\n", "Grüße".encode("cp1252"), "Grüße ✓".encode(), b"1 < 2"],
    "text/csv": [b"name,mark\r\nAda,1\r\n", b"\xef\xbb\xbfa;b\n"],
    DOCX: [docx(), docx(**{"word/media/image1.png": random.Random(1).randbytes(400_000)})],
    PPTX: [archive({**OFFICE, "ppt/presentation.xml": b"<p/>"})],
    XLSX: [archive({**OFFICE, "xl/workbook.xml": b"<x/>"})],
}


@pytest.mark.parametrize("media_type", TYPES)
def test_what_is_what_it_says_passes_and_nothing_else_is_it(media_type: str) -> None:
    assert [fault_of(media_type, sample(content)) for content in GOOD[media_type]] == [None] * len(GOOD[media_type])
    texts = {"text/plain", "text/csv"}
    others = [
        content
        for other, contents in GOOD.items()
        if other != media_type and not {other, media_type} <= texts
        for content in contents
    ]
    # A document in ASCII alone is text as well; served as text, it is harmless.
    hidden = [content for content in others if media_type not in texts or not content.startswith(b"%PDF")]
    assert None not in {fault_of(media_type, sample(content)) for content in hidden}


@pytest.mark.parametrize("media_type", TYPES)
@given(data=st.data())
def test_no_bytes_break_a_verdict(media_type: str, data: st.DataObject) -> None:
    """A good file, cut or changed anywhere: a verdict comes, whichever."""
    content = bytearray(GOOD[media_type][0])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))

    assert fault_of(media_type, sample(bytes(content[:cut]))) in {
        None, "wrong_type", "mixed_types", "too_many_pixels", "unpacks_too_large", "has_macros",
    }  # fmt: skip


@given(st.binary(max_size=400), st.sampled_from(TYPES))
def test_garbage_is_no_picture_and_no_document(content: bytes, media_type: str) -> None:
    if not media_type.startswith("text/"):
        assert fault_of(media_type, sample(content)) is not None


@pytest.mark.parametrize(
    ("media_type", "content", "fault"),
    [
        pytest.param("image/jpeg", jpeg(65_000, 65_000), "too_many_pixels", id="a large jpeg"),
        pytest.param("image/gif", gif(65_000, 65_000), "too_many_pixels", id="a large gif"),
        pytest.param("image/webp", webp(16_000, 16_000), "too_many_pixels", id="a large webp"),
        pytest.param(PNG, png(0, 5), "wrong_type", id="a png without width"),
        pytest.param(PNG, png() + b"more", "mixed_types", id="something after a png"),
        pytest.param("image/webp", webp() + b"more", "mixed_types", id="something after a webp"),
        pytest.param("image/gif", b"GIF89a/*" + gif()[8:], "mixed_types", id="a gif that is a script"),
        pytest.param("image/jpeg", b"\xff\xd8\xff\xe0/*" + jpeg()[6:], "mixed_types", id="a jpeg that is a script"),
        pytest.param("image/jpeg", jpeg() + archive({"a.class": b"x"}), "mixed_types", id="a jpeg that is a jar"),
        pytest.param("image/jpeg", jpeg(extra=b"<?php x ?>"), "mixed_types", id="a jpeg with php"),
        pytest.param("image/jpeg", jpeg(extra=b"%PDF-1.4 "), "mixed_types", id="a jpeg that is a pdf"),
        pytest.param(PDF, b" " + pdf(), "wrong_type", id="something before a pdf"),
        pytest.param(PDF, b"%PDF-1.7\n<html>" + pdf()[9:], "mixed_types", id="a pdf that is html"),
        pytest.param("text/plain", b"#!/bin/sh\n", "mixed_types", id="a script"),
        pytest.param("text/plain", b"a\0b", "wrong_type", id="text with a NUL"),
        pytest.param("text/plain", b"Hello <script>x</script>", "mixed_types", id="text with a script in it"),
        pytest.param(DOCX, b"x" + docx(), "wrong_type", id="something before a document"),
        pytest.param(DOCX, docx(**{"word/a.bin": bytes(600 * 1024 * 1024)}), "unpacks_too_large", id="a zip bomb"),
        pytest.param(DOCX, docx(**{f"word/{n}": b"" for n in range(5_001)}), "wrong_type", id="no directory in sight"),
        pytest.param(DOCX, docx(**{f"{n}": b"" for n in range(5_001)}), "unpacks_too_large", id="many entries"),
        pytest.param(DOCX, docx(**{"word/../../x": b""}), "mixed_types", id="a name that climbs"),
        pytest.param(DOCX, docx(**{"word/VBAPROJECT.bin": b""}), "has_macros", id="macros"),
        pytest.param(DOCX, archive({**OFFICE, "xl/workbook.xml": b""}), "wrong_type", id="a sheet as a document"),
    ],
)
def test_what_is_more_than_it_says_does_not_pass(media_type: str, content: bytes, fault: str) -> None:
    assert fault_of(media_type, sample(content)) == fault


def test_every_type_that_may_be_allowed_has_a_judge_and_an_ending() -> None:
    assert set(JUDGES) == set(EXTENSIONS)
