import os

from bearcnn.data.names import on_one_line, readable


def test_names_are_text_whatever_their_bytes_are():
    name = os.fsdecode(b"b\xc3\xa4r \xf6\n\x1b[31m.jpg")
    assert readable(name) == "bär \\xf6\n\x1b[31m.jpg"
    assert on_one_line(name) == "bär \\xf6\\n\\x1b[31m.jpg"
