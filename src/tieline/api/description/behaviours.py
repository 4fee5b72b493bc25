"""What the API does beyond its documents: each rule, with what it rests on."""

from dataclasses import dataclass
from typing import Final

from tieline.api.description.documented import BasisKind


@dataclass(frozen=True)
class Behaviour:
    """One rule: what it is about, what it rests on, and a sentence or two."""

    subject: str
    name: str
    basis: BasisKind
    note: str


def _about(subject: str, *rules: tuple[str, BasisKind, str]) -> tuple[Behaviour, ...]:
    return tuple(Behaviour(subject, *rule) for rule in rules)


_AUTHENTICATION: Final = _about(
    "Authentication",
    (
        "token requests",
        "observed",
        (
            "An API token is exchanged as a form or as JSON, with the client's id in Basic authentication, in the body "
            "or nowhere: the vendor's clients come in all these shapes. The id itself is never checked."
        ),
    ),
    ("access tokens", "documented", "They last 900 seconds, and `expires_in` is always given."),
    (
        "refresh tokens",
        "inferred",
        "One is given to whoever asks for the scope `offline_access`. It lasts 30 days and stays the same.",
    ),
    (
        "API tokens as bearers",
        "added",
        "An API token is taken in `Authorization: Bearer` itself, for people with curl.",
    ),
    (
        "401",
        "observed",
        (
            'The header `WWW-Authenticate: Bearer error="invalid_token"` makes clients fetch a new access token and '
            "try again."
        ),
    ),
    ("403", "observed", "Who may look and not change gets 403; who may not even look gets 404."),
    ("operators", "added", "Users with `is_operator` create users and see every project."),
)
_ADDRESSES: Final = _about(
    "Addresses and links",
    (
        "two prefixes",
        "observed",
        "Paths are served with and without `/api`; links have it, because clients look for it.",
    ),
    ("links", "documented", "`self` is a whole URL and every other link a path, as in the vendor's examples."),
    ("operations", "observed", "A link named `#operation` is there exactly when the caller may do that now."),
    (
        "hook URLs",
        "observed",
        "`#hook` is there for types that receive webhooks; clients make a whole URL of it and `self`.",
    ),
    (
        "lists",
        "documented",
        "Lists of a project's things are bare arrays; those of accounts have `items` and `_links`.",
    ),
    ("media type", "observed", "JSON is sent as bare `application/json`: with a charset, one client reads no errors."),
    ("HEAD", "added", "Every GET takes HEAD too."),
    ("entity tags", "added", "Documents have an `ETag`, and `If-None-Match` is answered with 304."),
)
_CHANGES: Final = _about(
    "Creating and changing",
    (
        "201",
        "inferred",
        "What creates answers 201. The vendor names no status; with 202 the JavaScript client would lose the entity.",
    ),
    ("200 with a body", "observed", "PATCH and DELETE answer 200 with JSON: on an empty 204 a client fails."),
    ("embedded", "observed", "The answer to a change has the entity and the activities it set off in `_embedded`."),
    (
        "partial changes",
        "observed",
        "A PATCH needs no field, although the vendor's document requires some: clients send only what changed.",
    ),
    ("the type of an integration", "inferred", "It may be sent with a change, and cannot be another one."),
    ("read-only fields", "inferred", "They are ignored in what is sent, because clients send whole documents back."),
    (
        "unknown fields",
        "documented",
        "Whoever makes or changes something hears of them, as the vendor's document says; orders ignore them.",
    ),
    (
        "null",
        "documented",
        "It is refused with 400 where the vendor's document does not let a field be null; what is to stay is not sent.",
    ),
    (
        "secrets that are not sent",
        "inferred",
        "They stay as they are, unless the object they belong to becomes another.",
    ),
    (
        "repository addresses",
        "observed",
        "A whole address, or a slash in front as the command line sends it, is made `user/repo`.",
    ),
    (
        "switches that need another",
        "documented",
        (
            "They are switched off with the one they need, and not refused: "
            "`prune_branches` without `fetch_branches`, for example."
        ),
    ),
    (
        "a second Git source",
        "inferred",
        "It is refused with 400 at `type`; the vendor's command line takes the first one for the only one.",
    ),
    (
        "addresses to call",
        "added",
        "A URL or host inside the operator's network is refused with 400, unless `TIELINE_EGRESS_ALLOW` names it.",
    ),
    ("removing an integration", "inferred", "It sets off no activities, and environments stay."),
)
_VALIDATION: Final = _about(
    "Validating",
    (
        "validate",
        "observed",
        "200 when all is well; 400 names what is wrong by field. Types that do not act answer 200, and ask nobody.",
    ),
    ("validating a webhook", "added", "It is sent a signed ping; what it answers is what the validation says."),
    ("validating a script", "added", "It is parsed, and nothing of it runs."),
)
_VARIABLES: Final = _about(
    "Variables of integrations",
    ("sensitive values", "inferred", "They are never read back, and a variable that is sensitive stays so."),
)
_SCRIPTS: Final = _about(
    "Activity scripts",
    (
        "what they find",
        "documented",
        (
            "`activity`, `project`, `variables`, Underscore, `fetch`, `storage` and `crypto`, as the vendor's guide "
            "has them; both `resp.text()` and `resp.body.text()` work, because its examples use both."
        ),
    ),
    ("variables of scripts", "inferred", "They are there by name, parsed where `is_json` is set."),
    (
        "byte strings",
        "inferred",
        "What `digest()` gives stands for its bytes when it is a key, or signed again; other text is signed in UTF-8.",
    ),
    ("scripts that fail", "inferred", "They are not run again by themselves, because they may have done half."),
    ("what scripts may use", "added", "Time, memory, requests, lines and what is kept are bounded."),
    ("languages and time zones", "added", "There is no `Intl`, and the clock of scripts is in UTC."),
)
_DEVELOPMENT: Final = _about(
    "Development",
    (
        "reset and snapshot",
        "added",
        (
            "With `TIELINE_DEVELOPMENT=1` an operator brings the server back to its seed by `POST /_tieline/reset`, or "
            "to what it was at the last `POST /_tieline/snapshot`."
        ),
    ),
)
_ERRORS: Final = _about(
    "Errors",
    (
        "one shape",
        "observed",
        "`status`, `code`, `title`, `message` and `detail`: from these all clients can read something.",
    ),
    (
        "invalid input",
        "observed",
        "Always 400, with a sentence for each field in `detail`; never 422, which clients do not understand.",
    ),
    ("fields within fields", "inferred", "They are named with dots: `app_credentials.secret`."),
    ("empty bodies", "observed", "An empty body counts as `{}`: clients send none with a JSON content type."),
    ("strict JSON", "added", "Names that are there twice, NaN, numbers beyond 2^53 and NUL are refused with 400."),
    ("large bodies", "added", "Beyond 1 MiB a body is answered with 413."),
    ("failures", "added", "A 500 says nothing but a `reference` into the server's log."),
)
_ACTIVITIES: Final = _about(
    "Activities",
    (
        "paging",
        "observed",
        "`starts_at` is the newest `created_at` to return, and no two activities of a project share one.",
    ),
    (
        "a broken plus",
        "observed",
        "The plus of an offset in `starts_at` may arrive as a space, as two clients send it.",
    ),
    ("page size", "inferred", "25, and at most 100; the vendor stops at 25."),
    ("unknown parameters", "observed", "They are ignored, because clients leave them on copied URLs."),
    (
        "the end of a log",
        "observed",
        "The seal is sent only after the activity reads complete: clients ask without a pause otherwise.",
    ),
    (
        "logs from a number on",
        "observed",
        "With `start_at` and without `max_delay` the answer is held until the log is sealed.",
    ),
    ("old readers", "observed", "A log is sent without chunks to clients of HTTP/1.0, and ends with the connection."),
    ("the property `log`", "observed", "It is a sentence that says where the log is streamed."),
    ("cancelling", "observed", "What cannot be cancelled answers 400 with the very words that the command line knows."),
    (
        "never null",
        "observed",
        (
            "`description`, `text`, `environments` and `commands` are never null, although the vendor's "
            "document lets some be: clients fail on it."
        ),
    ),
    ("states", "inferred", "`scheduled` and `staged` can be asked for, and nothing is ever in them."),
    ("who sees what", "added", "Viewers do not see the settings of the integration in an activity's payload."),
    (
        "order",
        "documented",
        "One activity at a time runs on an environment, two environments at once in a project, production first.",
    ),
)
_DELIVERIES: Final = _about(
    "Deliveries",
    (
        "what is told",
        "documented",
        "A webhook is POSTed the activity with its `payload` and `log`; a script finds the same in `activity`.",
    ),
    (
        "signatures",
        "documented",
        "With a `shared_key` there is `X-JWS-Signature`; the headers of Standard Webhooks beside it are Tieline's.",
    ),
    (
        "activities of deliveries",
        "documented",
        "Each delivery is an activity of the integration, `integration.webhook` or `integration.script`, with a log.",
    ),
    (
        "attempts",
        "added",
        (
            "What does not arrive is tried again for more than a day with the same id, and what a script began is not; "
            "the vendor documents nothing."
        ),
    ),
    (
        "order of deliveries",
        "added",
        "What happens in one environment arrives in the order in which it happened, unless `ordered` is false.",
    ),
    (
        "history",
        "added",
        "What was sent to a receiver is kept, with every attempt, at `deliveries` of its integration.",
    ),
    (
        "replay",
        "added",
        "What was delivered or given up can be sent again, one by one or all that failed since a moment, with its id.",
    ),
    ("pausing", "added", "While an integration is paused, what it would be told is held, and sent when it is resumed."),
    (
        "cancelling a delivery",
        "added",
        "The activity of a delivery that waits for another attempt can be cancelled, which gives the delivery up.",
    ),
)
_ENVIRONMENTS: Final = _about(
    "Environments",
    ("branches", "documented", "A branch that is fetched becomes an inactive environment below the default one."),
    (
        "pull requests",
        "documented",
        (
            "An open one becomes an active environment below that of its target, rebuilt on each "
            "push, and removed when it is merged or declined."
        ),
    ),
    ("pr-N", "observed", "The environment of pull request N has the id `pr-N` and the title `PR #N: ...`."),
    (
        "machine names",
        "inferred",
        "The id and a hash of seven characters, always the same; the vendor's algorithm is not published.",
    ),
    ("empty, never null", "observed", "`resources_overrides` is `{}`: a client fails on null."),
    ("branching and merging", "added", "Refused with the reason: code comes from the Git host."),
    (
        "removal only on proof",
        "added",
        (
            "Nothing is removed because a host answered nonsense; a removal of more than half "
            "waits for a second look or a person."
        ),
    ),
    ("forks", "added", "A pull request of a fork waits until an admin activates it, and so does each later commit."),
    ("passwords", "added", "Viewers see none of `http_access.basic_auth`."),
)
_LISTINGS: Final = _about(
    "Listings",
    (
        "vendor",
        "observed",
        "Projects and organizations say that their vendor is `upsun`: the command line shows no other.",
    ),
    (
        "capabilities",
        "observed",
        "`integrations` is always there, and offers every type that is declared, acting or not.",
    ),
    (
        "what is not offered",
        "inferred",
        "Sizes, backups, domains, scaling and the like are in the documents, and switched off or empty.",
    ),
    ("settings", "inferred", "A project's settings are those that clients read; the vendor's document has sixty more."),
)
BEHAVIOURS: Final = (
    *_AUTHENTICATION,
    *_ADDRESSES,
    *_CHANGES,
    *_VALIDATION,
    *_VARIABLES,
    *_SCRIPTS,
    *_ERRORS,
    *_ACTIVITIES,
    *_DELIVERIES,
    *_ENVIRONMENTS,
    *_LISTINGS,
    *_DEVELOPMENT,
)

# Of the vendor's public document, and what is known of the rest.
MISSING: Final = (
    ("variables of projects and environments", "Those of integrations are here."),
    ("domains, certificates and routes", "They are the deployer's."),
    ("backups and restoring", "Tieline takes none."),
    ("resources, autoscaling, tasks and operations at run time", "They are the deployer's."),
    ("metrics, profiles and traffic", "Nothing is measured."),
    ("teams and invitations", "Access is given to users, by project and by organization."),
    ("subscriptions, orders, invoices and vouchers", "Nothing is sold."),
    ("SSH keys, second factors and login in a browser", "People come with API tokens."),
    ("profiles, phone numbers and support tickets", "Users are what their administrator says of them."),
    ("pages of lists of accounts", "`page[size]` and the like are ignored, and the whole list is answered."),
    ("removing projects and organizations", "There is no way to do it through the API."),
    ("writing Git data, and tags", "Code comes from the Git host."),
    ("events by `subscribe`", "Clients ask again instead."),
)
