from facematch.testing import FakeFaceMatch, verdict


def test_another_person():
    fake = FakeFaceMatch.script([verdict("DECLINED")])
    assert not fake.match("folder", b"photo").same_person


def test_a_real_server_with_a_simulated_oz(facematch):
    assert facematch.client.match(facematch.folder_id, facematch.photo).same_person
