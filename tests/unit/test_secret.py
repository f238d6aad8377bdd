# Copyright: (c) 2026, aiops.runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No secret survives a text, and ordinary messages do."""

from __future__ import annotations

import base64
import json
import re
import time
from urllib.parse import quote, quote_plus

import pytest

from ansible_collections.aiops.runbook.plugins.module_utils.secret import (
    ALL_HIDDEN,
    MASK,
    Mask,
    ending,
    is_plain_url,
    is_secret_name,
    masked_query,
    query_shape,
    shortened,
)

# Put in the place of <> in each line: a secret that no Mask has learned, seen by its shape alone.
PLAIN = "plantedsecret"
SHAPES = [
    # URLs
    "connecting to postgresql+psycopg2://aiops:<>@db:5432/aiops",
    "redis://:<>@redis:6379/0",
    "amqp://guest:<>@rabbit//",
    "redis://:<>@one:6379/0,redis://:<>@two:6379/0",
    "postgresql://aiops:<>@<>@db/aiops",  # a raw @ in the password
    "postgresql://aiops:<>/<>@db/aiops",  # a raw /
    "could not parse 'postgres://u:<>@h/d' as a URL",
    "https://user:<>@proxy:3128",
    # headers
    "Authorization: Bearer <>",
    "authorization: bearer <>",
    "Authorization: Basic <>",
    "Authorization: <>",
    '{"Authorization": "Bearer <>"}',
    "{'authorization': 'Token <>'}",
    "('Authorization', 'Bearer <>')",
    "-H 'Authorization: Bearer <>'",
    "sending Bearer <> to the provider",
    "X-API-Key: <>",
    "x-api-key=<>",
    "Cookie: theme=dark; session=<>; csrf=<>",
    "Set-Cookie: sid=<>; Path=/; HttpOnly",
    '{"cookie": "sid=<>; other=<>"}',
    # settings and JSON
    "DATABASE_PASSWORD=<>",
    "PGPASSWORD=<> psql -h db",
    "export DB_PASS=<>",
    "db_pwd: <>",
    "password: <>",
    "Password = <>",
    "password => <>",
    "host=db user=aiops password=<> dbname=aiops",
    "host=db password='<> <>' dbname=aiops",
    '{"user": "bob", "password": "<>", "age": 3}',
    '{"password":"<> with \\"quotes\\" <>","x":1}',
    "{'password': '<>', 'user': 'bob'}",
    "{'password': '<>\\'<>', 'user': 'bob'}",
    '"{\\"password\\": \\"<>\\", \\"user\\": \\"bob\\"}"',
    '"{\\\\\\"password\\\\\\": \\\\\\"<>\\\\\\"}"',
    "Settings(jwt_secret_key='<>', debug=False)",
    "OPENAI_API_KEY: <>",
    "client_secret=<>&grant_type=password",
    "?access_token=<>&page=2",
    "refresh-token: <>",
    "secret: <>",
    "credentials=<>",
    "sessionid=<>",
    'password="<>',  # cut off
    # command lines
    "redis-server --requirepass <>",
    "celery --broker-password <> worker",
    "mysqldump --password=<> app",
    "tool --api-key <> run",
    # SQL and Redis
    "ALTER ROLE aiops PASSWORD '<>'",
    "ALTER ROLE aiops WITH ENCRYPTED PASSWORD '<>''<>'",
    "CREATE USER x IDENTIFIED BY '<>'",
    "CONFIG SET requirepass <>",
    '"CONFIG" "SET" "requirepass" "<>"',
    "masterauth <>",
    "AUTH <>",
    '"AUTH" "default" "<>"',
    "['AUTH', 'default', '<>']",
    "HELLO 3 AUTH default <>",
    '"HELLO" "3" "AUTH" "default" "<>" "SETNAME" "x"',
    "MIGRATE host 6379 key 0 1000 AUTH2 default <>",
    "ACL SETUSER app on ><> ~* +@all",
    '"ACL" "SETUSER" "app" "on" "><>" "~*"',
    "user app on ><> ~* &* +@all",
    "redis-cli -h redis -a <> ping",
    '["CMD", "redis-cli", "-a", "<>", "ping"]',
    '["redis-server", "--requirepass", "<>"]',
    "['redis-server','--requirepass','<>']",
    "curl -fsS -u user:<> http://api/",
    "mysqladmin -uroot -p<> ping",
    "ALTER ROLE aiops PASSWORD $$<>$$",
    "ALTER ROLE aiops PASSWORD $x$<>$$<>$x$",
    # URLs, cut off or odd
    "could not connect to postgresql://aiops:<>",
    "postgresql://aiops:<>'<>@db/aiops",
    'postgresql://aiops:"<>"@db',
    "postgresql://aiops:<> <>@db/aiops",
    "GET /go?to=redis%3A%2F%2F%3A<>%40redis%3A6379",
    "GET /login?next=%2F%3Fpassword%3D<>",
    "https://store.example/x?X-Amz-Signature=<>&X-Amz-Expires=60",
    "https://store.example/x?sv=2020&sig=<>&se=2",
    "/callback?code=<>&state=x",
    # names and values apart
    "('x-api-key', '<>')",
    "(b'x-api-key', b'<>')",
    '[["x-api-key","<>"]]',
    '{"name": "DB_PASSWORD", "value": "<>"}',
    "- name: DB_PASSWORD\n  value: <>",
    # words that are no value where they stand alone
    "password=failover-<>",
    "password=token",
    "jwt=<>",
    # more headers
    "Authorization: ApiKey <>",
    'Authorization: Digest username="u", realm="r", response="<>"',
    "Authorization: AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=host, Signature=<>",
    # a user before the password, an option without a blank, a setting before its command
    "AUTH app <>",
    "sending AUTH app <> failed",
    "printf 'AUTH app <>\\r\\nPING\\r\\n' | nc localhost 6379",
    "echo AUTH app <> | nc localhost 6379",
    "AUTH PLAIN <>",
    "AUTH\x1fapp\x1f<>",
    "REDISCLI_AUTH=<> redis-cli ping",
    "VALKEYCLI_AUTH: '<>'",
    "redis-cli --user app -a<> ping",
    "redis-cli -a'<> <>' ping",
    # Azure's
    "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=<>/<>+<>==;EndpointSuffix=core.windows.net",
    "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=<>/<>=",
    # what was sent to pydantic and FastAPI
    "  String should have at least 12 characters [type=string_too_short, input_value='<>', input_type=str]",
    "  Input should be a valid string [type=string_type, input_value={'pin': '<>', 'a': ['<>']}, input_type=dict]",
    "  Input should be a valid URL [type=url, input_value=\"it's <>\", input_type=str] x [type=url, input_value='<>', input_type=str]",
    "[{'type': 'string_too_short', 'loc': ('body', 'pin'), 'msg': 'String should have …', 'input': '<>', 'ctx': {'min_length': 12}}]",
    "[{'type': 'missing', 'loc': ('body',), 'msg': 'Field required', 'input': {'pin': '<>', 'more': [{'a': ('<>',)}]}}]",
    "[{'type': 'missing', 'loc': ('body',), 'msg': 'Field required', 'input': {'a': {'a': {'a': {'a': '<>'}}}}}]",
    "[{'type': 'x', 'loc': ('body', 'function-after[f(), str]'), 'msg': 'no', 'input': '<>'}]",
    "[{'type': 'x', 'loc': (), 'msg': \"it's bad\", 'input': Upload(name='<>', size=3)}]",
    "[{'type': 'x', 'loc': ('body', 'a'), 'msg': 'one', 'input': '<>'}, {'type': 'x', 'loc': ('body', 'b'), 'msg': 'two', 'input': b'<>'}]",
    '{"detail": [{"type":"string_too_short","loc":["body","pin"],"msg":"too short","input":"<>"}]}',
    '{"event": "[{\\"type\\":\\"x\\",\\"loc\\":[\\"body\\",\\"pin\\"],\\"msg\\":\\"too short\\",\\"input\\":\\"<>\\"}]"}',
    '{"event": "{\\"loc\\":[\\"pin\\"],\\"msg\\":\\"short\\",\\"input\\":\\"say \\\\\\"hi\\\\\\" <>\\"}"}',
    '{"detail": [{"ctx": {}, "input": "<>", "loc": ["body", "pin"], "msg": "too short", "type": "string_too_short"}]}',
    "{'type': 'x', 'loc': ('body', 'pin'), 'msg': 'too short', 'input': '<>",  # cut off
    # values of statements
    "DETAIL:  Failing row contains (1, bob, <>).",
    "DETAIL:  Key (api_token)=(<>) already exists.",
    "DETAIL:  Parameters: $1 = 'bob', $2 = '<>'",
    "[SQL: INSERT INTO users VALUES (%s, %s)]\n[parameters: ('bob', '<>')]\n(Background on this error at: https://sqlalche.me/e/20/gkpj)",
]


@pytest.mark.parametrize("line", SHAPES)
@pytest.mark.parametrize("secret", [PLAIN, "P1ante-d_S3cret", "plänted-päss"])
def test_shape_hides_secret(line: str, secret: str) -> None:
    if re.search("Bearer <>|Basic <>", line):  # a header's token is ASCII
        secret = secret.encode("ascii", "ignore").decode()
    masked = Mask().text(line.replace("<>", secret))
    assert secret not in masked
    assert MASK in masked


def test_a_word_of_a_command_line_is_known_by_the_one_before() -> None:
    assert Mask().words(["CMD", "redis-cli", "-a", "planted", "ping"]) == ["CMD", "redis-cli", "-a", MASK, "ping"]
    assert Mask().words(["CMD-SHELL", "PGPASSWORD=planted pg_isready -U app"]) == ["CMD-SHELL", "PGPASSWORD=*** pg_isready -U app"]
    assert Mask().words(["sh", "-c", "--password 'planted", "one"]) == ["sh", "-c", "--password ***", "one"]
    assert Mask().words([]) == []
    assert Mask().words(["CMD", "redis-cli", "AUTH", "app", "planted-two", "PING"])[4:] == [MASK, "PING"]
    assert Mask().words(["sh", "-c", "REDISCLI_AUTH=planted redis-cli -n 1 ping"]) == ["sh", "-c", "REDISCLI_AUTH=*** redis-cli -n 1 ping"]
    assert Mask().words(["CMD", "redis-cli", "-aplanted", "ping"]) == ["CMD", "redis-cli", "-a***", "ping"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("AUTH app planted-two failed", "AUTH *** *** failed"),
        ("AccountName=shop;AccountKey=a/b+c==;EndpointSuffix=core.windows.net", "AccountName=shop;AccountKey=***;EndpointSuffix=core.windows.net"),
        ("SharedAccessKeyName=Root;SharedAccessKey=a/b=;EntityPath=q", "SharedAccessKeyName=Root;SharedAccessKey=***;EntityPath=q"),
        ("too short [type=string_too_short, input_value='a b', input_type=str]", "too short [type=string_too_short, input_value=***, input_type=str]"),
        (
            "422: [{'type': 'x', 'loc': ('body', 'a'), 'msg': 'short', 'input': 'a b'}, {'loc': ('q',), 'msg': 'long', 'input': [1, {'a': 'b'}], 'ctx': 1}]",
            "422: [{'type': 'x', 'loc': ('body', 'a'), 'msg': 'short', 'input': ***}, {'loc': ('q',), 'msg': 'long', 'input': ***, 'ctx': 1}]",
        ),
        ('{"input":"a","loc":["b"],"msg":"no","type":"x"}', '{"input":***,"loc":["b"],"msg":"no","type":"x"}'),
    ],
)
def test_what_stands_beside_a_value_stays(text: str, masked: str) -> None:
    assert Mask().text(text) == masked
    assert Mask().text(masked) == masked, "what is hidden already takes nothing with it"


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "eyJhbGciOiJIUzI1NiJ9.e30",
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-AbCdEf",
        "sk_live_abcdefghij",
        "ghp_abcdefghijklmnop",
        "xoxb-abcdefgh-ijkl",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA-abcdefghijk",
        "sk-proj-********************abcd",
        "hf_abcdefghijklmnopqrstuvwx",
        "gsk_abcdefghijklmnopqrst",
        "whsec_abcdefghijkl",
        "9f86d081884c7d659a2feaa0c55ad015",
        "f3a9c1e8-7d6b-4a5f-9e3d-0c1b2a394857",
        "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA==",
        "q1W2e3R4t5Y6u7I8o9P0",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nxyz\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEabc",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "got {} from the caller", "({})", "'{}'", "/reset/{}", "reset/{}/confirm", "a:{}", "[{}]", "{},", "{}."])
def test_well_known_secret(secret: str, frame: str) -> None:
    masked = Mask().text(frame.format(secret))
    longest = max(secret.replace("-", ".").replace("_", ".").split("."), key=len)
    assert longest not in masked
    assert MASK in masked


ORDINARY = [
    "",
    'FATAL:  password authentication failed for user "aiops"',
    "FATAL:  sorry, too many clients already",
    "invalid username-password pair or user is disabled.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOAUTH Authentication required.",
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
    "Could not validate token: Signature has expired",
    "Invalid token: expired",
    "invalid token supplied by the caller",
    "token expired after 60 minutes",
    "Missing Bearer token",
    "Bearer authentication required",
    "Authorization header missing",
    "authorization: required",
    "Basic authentication is off",
    "secret not found",
    "password: not set",
    "credential is missing",
    "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    "remaining connection slots are reserved for non-replication superuser connections",
    'connection to server at "postgres" (172.18.0.2), port 5432 failed: Connection refused',
    'could not translate host name "postgres.example.internal" to address: Name or service not known',
    "max_connections=100 superuser_reserved_connections=3",
    "idle_in_transaction_session_timeout=60000",
    "shared_buffers=128MB work_mem=4096kB effective_cache_size=4194304kB",
    "container aiops-ref-postgres-1 exited with code 137",
    "worker celery@aiops-ref-worker-1 is not consuming",
    "image debian:bookworm-slim, package postgresql-client-15, libpq5-15.3-0+deb12u1",
    "POST /api/v1/agents/code-review 503 in 1042.7 ms",
    "prompt_tokens=812 completion_tokens=97 max_tokens=4096 total_tokens: 909",
    '{"usage": {"total_tokens": 909}, "token_type": "bearer"}',
    "SELECT * FROM items FOR UPDATE SKIP LOCKED; constraint pk_orders_items_2024 of orders_2024_archive",
    "skipping-the-checkpoint because skeleton-of-the-run",
    "ModuleNotFoundError: No module named 'app.settings_production'",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "Task app.tasks.send_report raised unexpected: TimeoutError('timed out')",
    "2026-11-22T20:01:36.990879+00:00 ERROR api request failed path=/api/v1/items status=500 duration_ms=1200.5",
    "http://127.0.0.1:18080/health and redis://redis:6379/0 and postgresql://aiops@db/aiops",
    "the key user:1:profile of the cache, 3 keys expired",
    "passed 12 failed 0, compass: north, bypass-cache 3",
    "連線池已耗盡,等待逾時",
    "mongodb://a:27017,b:27017/x and http://[::]:8000/ and http://${HOST}:${PORT}/",
    "Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)",
    "upstream http://api:8000: 502, see http://api:8000",
    "GET /items?code=404&key=12 200",
    "missing: ['password', 'username', 'model']",
    'secret "shop-db-2" not found, secret shop-db-2 not found',
    "password is expired",
    '{"auth": "required"}',
    "AUTH failed for default",
    "AUTH command sent before HELLO",
    "AUTH request took 30 ms",
    "SMTP AUTH extension not supported by server.",
    "[AUTH] login of the day",
    "redis-cli -h redis -n 1 --askpass ping, redis-cli -p 6379",
    "AccountName=shop;EndpointSuffix=core.windows.net, the account key of shop",
    '{"level": "info", "msg": "the tool answered", "tool": "search", "input": "weather"}',
    "input: 3 values, output: 4; 'input': 'north'",
    "{'loc': ('body', 'name'), 'msg': 'Field required', 'type': 'missing'}, no input",
    "1 validation error for Settings\nport\n  Input should be a valid integer [type=int_parsing]",
    "HELLO world, user bob is on the list",
    "redis-cli -h redis -p 6379 ping",
    "curl -fsS http://api:8000/health",
    "mysql -h db -u app",
    "password=None token=null",
    "npm_config_user_agent_of_somebody",
    "name: api value: 3",
    'insert or update violates foreign key constraint "orders_items" on table "items", Key (id) of it',
    "readiness asks http://:web/health, https://localhost:web/",
    "JWT: decoded locally",
    "[parameters: none]",
]


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_message_stays(line: str) -> None:
    assert Mask().text(line) == line


SECRETS = [
    "hunter2-Tr0ub4dor",
    "with space and, comma",
    "p@ss/w:rd?#%&+=",
    "quote\"and\\back'slash",
    "pässwörd-密碼",
    "a%2Fb%40c-encoded",
    "short6",
    "tab\tand\nnewline",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "encode",
    [
        str,
        lambda value: quote(value, safe=""),
        quote,
        quote_plus,
        lambda value: re.sub(r"%..", lambda pair: pair[0].lower(), quote(value, safe="")),
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        repr,
        lambda value: json.dumps({"line": value}),
    ],
)
def test_learned_secret_is_blotted_out(secret: str, encode) -> None:
    mask = Mask()
    mask.secret(secret)
    written = encode(secret)
    inner = written[1:-1] if written[:1] in "\"'" else written
    masked = mask.text("before " + written + " after")
    assert inner not in masked
    assert secret not in masked
    assert masked.startswith("before ") and masked.endswith(" after")


@pytest.mark.parametrize("secret", [value for value in SECRETS if len(value) > 6])
@pytest.mark.parametrize("before", ["", "u", "us", "user:", "aiops:", "x" * 10])
@pytest.mark.parametrize("after", ["", "y", "@host", "!!"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_learned_secret_in_base64(secret: str, before: str, after: str, encode) -> None:
    mask = Mask()
    mask.learn(secret)
    written = encode((before + secret + after).encode()).decode()
    masked = mask.text("value %s." % written)
    left = masked[6:-1].split(MASK)
    assert len(left) == 2, "it is blotted out once"
    # What stays is what stands before and after, and at most the edge of the secret, where its bits share a letter with its neighbour's.
    assert len(left[0]) <= len(before.encode()) * 4 / 3 + 2
    assert len(left[1].rstrip("=")) <= len(after.encode()) * 4 / 3 + 2


KEY = "-----BEGIN PRIVATE KEY-----\nplantedplantedPLANTED01\nplantedplantedPLANTED02\n-----END PRIVATE KEY-----\n"
INSIDE = [
    ("a line end, as echo leaves one", "planted-one\n", "planted-one"),
    ("blanks around it", "  planted-one ", "planted-one"),
    ("a line of a key", KEY, "plantedplantedPLANTED02"),
    ("the password of a URL", "postgresql://shop:planted-one@db/shop", "planted-one"),
    ("with a raw slash", "postgresql://shop:planted/one@db/shop", "planted/one"),
    ("of a keyword DSN", "host=db user=shop password=planted-one dbname=shop", "planted-one"),
    ("a setting of a .env", "LOG_LEVEL=info\nDB_PASSWORD='planted one'\n", "planted one"),
    ("an entry of JSON", '{"host": "db", "password": "planted-one", "port": 5432}', "planted-one"),
    ("a connection string", "AccountName=shop;AccountKey=planted-one==;EndpointSuffix=x", "planted-one=="),
]


@pytest.mark.parametrize(("what", "secret", "met"), INSIDE, ids=[case[0] for case in INSIDE])
def test_what_is_inside_a_secret_is_blotted_out(what: str, secret: str, met: str) -> None:
    mask = Mask()
    mask.learn(secret)
    assert mask.text("before %s after" % met) == "before *** after"


@pytest.mark.parametrize("secret", ["auth: enabled\nport: 5432\nname: shop-orders", '{"host": "enabled", "user": "shop-orders"}', "%61%62%63"])
def test_what_is_beside_a_secret_stays(secret: str) -> None:
    mask = Mask()
    mask.learn(secret)
    assert mask.text("enabled 5432 shop-orders abc") == "enabled 5432 shop-orders abc"


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ("orders", 'no host "orders" for orders-api.shop.svc', 'no host "orders" for orders-api.shop.svc'),
        ("orders-api", "GET http://orders-api:8000/", "GET http://orders-api:8000/"),
        ("orders-api-Zz9", "see orders-api-Zz9 of orders-api", "see *** of orders-api"),
        ("api-planted", "see orders-api-planted", "see orders-***"),
        ("planted", "pod orders-api-7d9f8b6c5d-x2x4z, not orders-api-7d9f8b6c5d-x2x4y", "pod orders-api-7d9f8b6c5d-x2x4z, not ***"),
    ],
)
def test_a_name_of_the_stack_stays(secret: str, text: str, masked: str) -> None:
    mask = Mask()
    mask.learn(secret)
    mask.keep(["orders", "orders-api", "orders-api-7d9f8b6c5d-x2x4z"])
    assert mask.text(text) == masked


@pytest.mark.parametrize(
    ("text", "beginning", "end"),
    [
        ("a planted-one", "a planted-one", "a planted-one"),
        ("said planted-one twice", "said ", " twice"),
        ("said planted one", "said planted", " one"),
        ("planted-planted-planted", "", ""),
    ],
)
def test_no_word_is_cut_in_half(text: str, beginning: str, end: str) -> None:
    assert (shortened(text, 12 if len(text) > 13 else 13), ending(text, 9 if len(text) > 13 else 13)) == (beginning, end)


def test_learned_longest_first() -> None:
    mask = Mask()
    mask.learn("planted")
    mask.learn("planted-longer")
    assert mask.text("planted-longer planted") == "%s %s" % (MASK, MASK)


def test_common_words_and_short_values_are_not_blotted_out() -> None:
    mask = Mask()
    for value in ("postgres", "Secret", "dev", "abc", "", None):
        mask.learn(value)
    assert mask.text("postgres keeps a secret dev abc") == "postgres keeps a secret dev abc"


def test_what_may_be_said_of_a_secret() -> None:
    mask = Mask()
    said = mask.secret("plantedsecret")
    assert said == {"set": True, "length": 13, "hash": said["hash"], "default": False}
    assert mask.secret("plantedsecret")["hash"] == said["hash"]
    assert mask.secret("plantedsecre7")["hash"] != said["hash"]
    assert Mask().secret("plantedsecret")["hash"] != said["hash"], "hashes of two runs must not compare"
    assert mask.secret("ChangeMe")["default"] is True
    assert mask.secret("") == mask.secret(None) == {"set": False}
    assert mask.secret("bytes\udcff-planted")["set"] is True
    assert "plantedsecret" not in json.dumps(said)


@pytest.mark.parametrize(
    "name",
    "DATABASE_PASSWORD DB_PASS PGPASSWORD REDIS_PASSWD JWT_SECRET_KEY SECRET_KEY SECRET OPENAI_API_KEY ANTHROPIC_APIKEY SENTRY_DSN ACCESS_TOKEN auth "
    "Authorization X-Auth COOKIE_SALT AWS_SECRET_ACCESS_KEY PRIVATE_KEY signing_key GOOGLE_CREDENTIALS KEY FERNET_KEY session_key JWT passphrase "
    "FERNET_KEYS API_KEYS KEY2 DB_PW DB_PWD DEBUG_PIN GITHUB_PAT AZURE_STORAGE_CONNECTION_STRING AccountKey".split(),
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    "DATABASE_URL DB_HOST AUTHOR LOG_LEVEL DEBUG RATE_LIMIT KEYCLOAK MONKEY_MODE ACCESS_TOKEN_EXPIRE_MINUTES JWT_ALGORITHM TOKEN_TTL LLM_MAX_TOKENS "
    "DB_PASSWORD_FILE PASSWORD_MIN_LENGTH POOL_SIZE PATH HOME "
    "PWD OLDPWD AUTH_HOST AUTH_PORT AUTH_USER COOKIE_NAME CACHE_KEY_PREFIX PASSWORD_HASHER KEYDB_HOST".split(),
)
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql://aiops@db/aiops", True),
        ("postgresql://aiops:***@db:5432/aiops", True),
        ("https://api.openai.com/v1/chat/completions", True),
        ("http://[::1]:8000", True),
        ("postgresql://aiops:p@db/aiops", False),
        ("https://hooks.slack.com/services/T00/B00/planted", False),
        ("https://api.example.com/v1/p1anted", False),
        ("https://api.example.com/?sig=planted", False),
    ],
)
def test_is_plain_url(url: str, plain: bool) -> None:
    assert is_plain_url(url) is plain


@pytest.mark.parametrize(
    "query,masked",
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT * FROM items WHERE id = 42 AND name = 'planted'", "SELECT * FROM items WHERE id = ? AND name = ?"),
        ("UPDATE t2 SET c1 = -3.14 WHERE a = $1", "UPDATE t2 SET c1 = -? WHERE a = $1"),
        ("SELECT 'it''s planted', 'planted'", "SELECT ?, ?"),
        ("SELECT E'it\\'s planted', 'planted'", "SELECT ?, ?"),
        ("SELECT $$planted$$, $tag$planted $$ x$tag$", "SELECT ?, ?"),
        ("SELECT 'planted", "SELECT ?"),
        ("SELECT $a$planted", "SELECT ?"),
        ("SELECT /* planted */ 1 -- planted\nFROM x", "SELECT ? FROM x"),
        ("SELECT /* a /* planted */ planted */ 1", "SELECT ?"),
        ("SELECT 1 /* planted", "SELECT ?"),
        ('SELECT "col1" FROM "t2"', 'SELECT "col1" FROM "t2"'),
        ("ALTER ROLE aiops PASSWORD 'planted'", "ALTER ROLE aiops PASSWORD ?"),
        ("SELECT B'0101', X'1FF', N'planted'", "SELECT ?, ?, ?"),
        ("SELECT  a,\n\t b", "SELECT a, b"),
        # the marks of one part within another
        ("INSERT INTO t VALUES ('retry -- failed',\n 'planted', 'planted')", "INSERT INTO t VALUES (?, ?, ?)"),
        (
            "UPDATE k SET pem = '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----', o = 'planted' WHERE id = 3",
            "UPDATE k SET pem = ?, o = ? WHERE id = ?",
        ),
        ("SELECT o.id AS \"customer's id\" FROM o WHERE o.email = 'planted'", 'SELECT o.id AS "customer\'s id" FROM o WHERE o.email = ?'),
        ('SELECT \'a "\', "it\'s ""so""", \'planted\'', 'SELECT ?, "it\'s ""so""", ?'),
        ("SELECT * FROM t WHERE glob = '/*' AND a = 'planted' AND path LIKE '%*/x'", "SELECT * FROM t WHERE glob = ? AND a = ? AND path LIKE ?"),
        ("SELECT 1 -- it's one\n, 'planted'", "SELECT ? , ?"),
        ("SELECT 1 -- it's one\r, 'planted'", "SELECT ? , ?"),
        ("SELECT /* it's one */ a, 'planted'", "SELECT a, ?"),
        ("SELECT $$it's$$, 'planted', $q$ $$ $q$", "SELECT ?, ?, ?"),
        ("SELECT a$b$, 'x $b$ planted', t.type'planted'", "SELECT a$b$, ?, t.type?"),
        ("SELECT $1$x$planted$x$, $é$planted$é$", "SELECT $1?, ?"),
        ("SELECT E'\\\\', 'planted', 1e5, 0x1F, 1_000", "SELECT ?, ?, ?, ?, ?"),
        ('SELECT "planted', "SELECT ?"),
        ("SELECT E'planted\\", "SELECT ?"),
        ("", ""),
    ],
)
def test_masked_query(query: str, masked: str) -> None:
    assert masked_query(query) == masked


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'C:\\', 'planted'",  # a plain string that ends with a backslash
        "SELECT 'it\\'s', 'planted'",  # the same bytes where standard_conforming_strings is off
        "SELECT 'a -- planted', 'planted'",
        "SELECT 'a /* planted', 'planted'",
        "SELECT '$$', 'planted', '$$'",
        "SELECT 'a\n-- b\nplanted'",
        "SELECT U&'\\0061planted'",
        "INSERT INTO t VALUES ('planted\\\\', 'planted')",
    ],
)
def test_no_literal_survives_an_odd_query(query: str) -> None:
    assert "planted" not in masked_query(query)


@pytest.mark.parametrize(
    ("opened", "text", "shown", "left"),
    [
        ("", "SELECT 'a', \"b\" -- it's", 'SELECT ?, "b"', ""),
        ("", "SELECT 'planted", "SELECT ?", "'"),
        ("'", "planted', 'b', c", "?, ?, c", ""),
        ("'", "planted", "?", "'"),
        ("'", "'' planted'' c", "?", "'"),  # two quotes at its beginning are one
        ("", "SELECT E'planted", "SELECT ?", "E'"),
        ("E'", "it\\'s planted', b", "?, b", ""),
        ("", "SELECT $q$ planted", "SELECT ?", "$q$"),
        ("$q$", "$$ 'planted' $q$, b", "?, b", ""),
        ("", 'SELECT "planted', "SELECT ?", '"'),
        ('"', 'planted", b', "?, b", ""),
        ("", "SELECT /* a /* planted", "SELECT", "/*/*"),
        ("/*/*", "planted */ planted", "", "/*"),
        ("/*", "*/ a", "a", ""),
        ("", "SELECT 'it\\'s planted", "SELECT ?", ALL_HIDDEN),
        (ALL_HIDDEN, "planted', 'planted'", "?", ALL_HIDDEN),
        ("", "/*" * 5000, "", ALL_HIDDEN),
    ],
)
def test_a_query_in_parts(opened: str, text: str, shown: str, left: str) -> None:
    assert query_shape(text, opened) == (shown, left)


MARKS = "' '' E' E'\\ \\ '\\ '\\a $ $a $a$ $a$b $$ \" \"\" /* */ / - --\n 1 1a a1 a$ $1 é$ U&' 'a'".split(" ")


@pytest.mark.parametrize("mark", MARKS)
def test_a_hostile_query_is_read_once(mark: str) -> None:
    began = time.process_time()
    for end in ("", "'", ' "', " x"):
        query_shape(mark * (100_000 // len(mark)) + end)
    assert time.process_time() - began < 4


def test_query_is_cut_after_masking() -> None:
    assert len(masked_query("SELECT " + ", ".join("column_%s" % number for number in range(100)))) == 300


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "password=" * 20_000,
        "x-" * 100_000,
        "://" * 50_000,
        "postgres://u:" + "p" * 100_000,
        '{"password": "' + "\\" * 100_000,
        "token" * 40_000,
        "cookie: " * 20_000,
        "Failing row contains (" * 9_000,
        "[parameters: (" * 14_000,
        "Key (a)=(" * 20_000,
        "%3a%2f%2f%3a" * 16_000,
        "password%3d" * 18_000,
        "('token', '" * 18_000,
        "name: token value" * 12_000,
        "redis-cli -a" * 16_000,
        "curl -u" * 25_000,
        "mysql -" * 25_000,
        "user a on b " * 16_000,
        "acl setuser " * 16_000,
        "HELLO 3 AUTH " * 15_000,
        "?code=" * 30_000,
        "://a:b" * 30_000,
        "://a:b'" * 30_000,
        "password $a$" * 16_000,
        '"auth": "' * 20_000,
        "api key " * 25_000,
        "Authorization: Digest " * 9_000,
        "AUTH a b " * 20_000,
        "redis-cli -ax " * 14_000,
        "input_value='" * 15_000,
        "'loc': ('a'), 'msg': 'input': " * 6_000,
        '\\"input\\": \\"' * 12_000,
        "'input': x, 'loc': (" * 10_000,
        "'input': {'a', (" * 12_000,
        " " * 200_000,
        "-" * 200_000,
    ],
    ids=lambda text: text[:16].strip() or "spaces",
)
def test_hostile_text_ends_and_hides_nothing_less(text: str) -> None:
    """A shape that took the square of the length would be at it for minutes here."""
    mask = Mask()
    mask.learn("plantedsecret")
    assert "plantedsecret" not in mask.text(text + " plantedsecret")
    assert "plantedsecret" not in masked_query(text[:20_000] + " 'plantedsecret")
