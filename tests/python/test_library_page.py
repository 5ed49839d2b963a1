"""docs/library.md as a reader follows it: the settings of each kind of library, and the whole way from
photos in a PostgreSQL or a bucket to a verdict."""

import base64
import json
import os
import re
import subprocess

import documents
import pytest
import support
from authority import Authority
from postgres import USER, Cluster
from s3 import S3
from support import CALL_SECONDS, SAMPLE

PAGE = "docs/library.md"

REQUEST = documents.block(PAGE, '{"folder_id"')
POLICY = documents.block(PAGE, '{\n  "Version"')
DOCTOR = documents.block(PAGE, "facematch doctor")
MATCH = documents.block(PAGE, "facematch match")
TABLE = documents.block(PAGE, "CREATE TABLE customers")
ROLE = documents.block(PAGE, "CREATE SCHEMA facematch")
EXPLAIN = re.compile(r"`(EXPLAIN SELECT .*?)`")

FOLDER = documents.block(PAGE, 'library = "file:')
BUCKET = documents.block(PAGE, 'library = "s3:')
WEB_SERVICE = documents.block(PAGE, 'library = "https:')
POSTGRES = documents.block(PAGE, 'library = "postgres:')
MYSQL = documents.block(PAGE, 'library = "mysql:')
TENANTS = documents.block(PAGE, "[tenant.retail.library]")

DATABASE, CUSTOMER, OBJECT = "bank", "4711", "4711/2024/photo.jpg"
PASSWORD = re.search(r"PASSWORD '(.*?)'", ROLE).group(1)

# The credentials of the bucket, which is asked on this machine and isn't there.
CLOUD = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}


@pytest.fixture
def etc(tmp_path):
    """The folder of the settings, with the files that the page's settings name, and what replaces
    the page's texts."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (tmp_path / "photos").mkdir()
    for secret in ("library-token", "library-password", "private-password"):
        (etc / secret).write_text(f"{PASSWORD}\n")
    (etc / "internal-ca.pem").write_bytes(Authority("internal").pem)
    return {
        "/etc/facematch": str(etc),
        "file:///srv/photos": (tmp_path / "photos").as_uri(),
        # No host of these names exists, and no name server is asked.
        "photos.internal": "127.0.0.1:1",
        "db.internal": "127.0.0.1:1",
    }


def replace(text, replaced):
    for printed, real in replaced.items():
        text = text.replace(printed, real)
    return text


def write_settings(etc, simulator, tmp_path, library):
    (tmp_path / "etc" / "oz-password").write_text(simulator.password)
    folder = etc["/etc/facematch"]
    own = {
        "listen": "127.0.0.1:0",
        "store": f"sqlite:{tmp_path}/journal.db",
        "oz-url": simulator.url,
        "oz-login": simulator.login,
        "oz-password-file": f"{folder}/oz-password",
    }
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items())
    with open(f"{folder}/facematch.toml", "w") as file:
        file.write(text + library)


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        (FOLDER, "folder"),
        (BUCKET, "s3"),
        (WEB_SERVICE, "http"),
        (POSTGRES, "postgres"),
        (MYSQL, "mysql"),
    ],
    ids=["folder", "s3", "http", "postgres", "mysql"],
)
def test_the_settings_of_each_kind_are_accepted(terminal, etc, simulator, tmp_path, library, kind):
    write_settings(etc, simulator, tmp_path, replace(library, etc))
    said = terminal(CLOUD, etc).run("facematch serve --check --config /etc/facematch/facematch.toml")
    assert f"would read photos from: {kind} of default\n" in said, said
    # Where nothing answers, the service starts and waits.
    assert ("warning " in said) == (kind != "folder"), said


def test_the_libraries_of_tenants_are_accepted(terminal, etc, simulator, tmp_path):
    write_settings(etc, simulator, tmp_path, 'callers-file = "/etc/facematch/callers.toml"\n')
    settings = tmp_path / "etc" / "facematch.toml"
    settings.write_text(replace(settings.read_text(), etc))
    caller = '[caller.kyc]\ntenant = "retail"\nallow = ["match"]\ncertificates = ["dns:kyc.internal"]\n'
    (tmp_path / "etc" / "callers.toml").write_text(replace(TENANTS, etc) + caller)
    said = terminal(CLOUD, etc).run("facematch serve --check --config /etc/facematch/facematch.toml")
    assert "would read photos from: postgres of private; s3 of retail\n" in said, said


@pytest.fixture
def oz(tmp_path):
    """An Oz of its own, for the doctor: other tests move the clock of the one that they share."""
    oz = support.Simulator(os.environ["FACEMATCH_BIN"], tmp_path / "oz.log")
    yield oz
    oz.stop()


@pytest.fixture
def liveness(oz, portrait):
    """A folder with liveness media of the person in the portrait."""
    return oz.post_folder(portrait)


@pytest.fixture
def bank():
    """A PostgreSQL with the page's table and role, and one customer's photo."""
    cluster = Cluster()
    cluster.create(DATABASE)
    photo = base64.b64encode((SAMPLE / "portrait.jpg").read_bytes()).decode()
    customer = f"INSERT INTO customers VALUES ({CUSTOMER}, 'A', decode('{photo}', 'base64')), (7, 'B', NULL)"
    for statements in (TABLE, customer, ROLE):
        running = cluster.sql(DATABASE, statements)
        assert running.wait(CALL_SECONDS) == 0, statements
    yield cluster
    cluster.stop()


@pytest.fixture
def settings(bank, etc, oz, tmp_path):
    """The settings file of the page, for a server without TLS."""
    library = re.sub(r"library-ca-file = .*\n", "", POSTGRES)
    replaced = {"db.internal": f"127.0.0.1:{bank.port}"}
    write_settings(etc, oz, tmp_path, replace(replace(library, replaced), etc))
    return etc


def follow(terminal, replaced, environment, key):
    """Types the page's commands for a photo of this key. Returns what the doctor says, what matches
    a key, and the server."""
    tried = terminal(environment, replaced).run(DOCTOR.replace(CUSTOMER, key))
    server = terminal(environment, replaced)
    server.type("facematch serve --config /etc/facematch/facematch.toml")
    [ready] = server.wait_for(r"facematch is ready on (\S+)")
    caller = terminal(environment | {"FACEMATCH_SERVER": f"http://{ready.group(1)}"})

    def match(key):
        return caller.run(MATCH.replace(CUSTOMER, f"'{key}'"), fails=True)

    return tried, match, server


def assert_tried(said, library):
    assert re.search(rf"^holds +photo library: the {library} answers", said, re.M), said
    assert re.search(r"^holds +reference photo: the library has a JPEG of \d+ bytes", said, re.M), said
    assert CUSTOMER not in said


def test_photos_in_a_database_lead_to_a_verdict_by_the_page_s_steps(terminal, settings, liveness):
    tried, match, server = follow(terminal, settings, {"FOLDER": liveness}, CUSTOMER)
    assert_tried(tried, "PostgreSQL database")
    assert "FINISHED    SUCCESS" in match(CUSTOMER)
    for key in ("7", "8", "04711", "4711x", "4711 OR 1=1"):
        said = match(key)
        assert "FAILED      REFERENCE_NOT_FOUND" in said, f"{key}: {said}"
    assert PASSWORD not in server.said()


@pytest.fixture
def bucket(simulator, tmp_path):
    """The page's bucket in an S3 server, with one customer's photo."""
    (tmp_path / "s3").mkdir()
    s3 = S3("moto", tmp_path / "s3", simulator.password)
    s3.make_bucket("bank-photos", versioned=False)
    s3.put("bank-photos", OBJECT, (SAMPLE / "portrait.jpg").read_bytes())
    yield s3
    s3.stop()


def test_photos_in_a_bucket_lead_to_a_verdict_by_the_page_s_steps(
    terminal, bucket, etc, oz, liveness, tmp_path
):
    write_settings(etc, oz, tmp_path, replace(BUCKET, etc))
    environment = bucket.variables() | {"FOLDER": liveness}
    tried, match, server = follow(terminal, etc, environment, OBJECT)
    assert_tried(tried, "bucket at S3")
    assert "FINISHED    SUCCESS" in match(OBJECT)
    assert "FAILED      REFERENCE_NOT_FOUND" in match(OBJECT.replace("4711", "4712"))
    assert bucket.secret not in server.said()


def test_the_role_of_the_page_reads_the_photos_and_nothing_else(bank):
    reads = "SET ROLE facematch_reader; SELECT photo FROM facematch.photos"
    assert bank.sql(DATABASE, reads).wait(CALL_SECONDS) == 0
    for refused in (
        "SELECT name FROM customers",
        "UPDATE facematch.photos SET photo = NULL",
        "DELETE FROM facematch.photos",
        "CREATE TABLE facematch.more (id int)",
    ):
        denied = bank.sql(DATABASE, f"SET ROLE facematch_reader; {refused}")
        assert denied.wait(CALL_SECONDS) != 0, refused


def test_the_page_s_plan_uses_the_index(bank):
    [explain] = EXPLAIN.findall((support.ROOT / PAGE).read_text())
    fill = "INSERT INTO customers SELECT n, 'C', NULL FROM generate_series(10000, 30000) n; ANALYZE customers"
    assert bank.sql(DATABASE, fill).wait(CALL_SECONDS) == 0
    done = subprocess.run(
        [str(bank.programs / "psql"), "-h", "127.0.0.1", "-p", str(bank.port), "-U", USER, "-c", explain, DATABASE],
        capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}, timeout=CALL_SECONDS,
    )
    assert "Index Scan" in done.stdout, done.stdout + done.stderr


def test_the_request_and_the_policy_of_the_page_are_sound(pb):
    request = json.loads(REQUEST)
    photo = pb.ReferencePhoto(reference_key=request["photo"]["reference_key"])
    pb.MatchRequest(folder_id=request["folder_id"], photo=photo)
    statements = json.loads(POLICY)["Statement"]
    rights = {statement["Action"]: statement["Resource"] for statement in statements}
    # The right to list is one on the bucket, the right to read one on its objects.
    assert rights["s3:GetObject"] == rights["s3:ListBucket"] + "/*"
